"""Defines the calls that look after single jobs and dead letters: they cancel, change, list, redrive and drop them.

A router sends none of format 3 before every member knows it (sharq_core/link/messages.py).
"""

from __future__ import annotations

from typing import ClassVar

from sharq_core.job_changes import CancelJob, CancelOutcome, CancelPage, ChangedJob, JobChange, JobPage
from sharq_core.job_life import DeadPage, DeadRef, RedriveStatus
from sharq_core.link.messages import Failure, JobsCall, PartitionCall, QueueCall
from sharq_core.models import JobState


class Cancel(JobsCall[list[CancelOutcome | Failure]], frozen=True):
    """A call that cancels jobs. One answer per job, in order."""

    function: ClassVar[str] = "cancel"
    formats: ClassVar[int] = 3
    ends_jobs: ClassVar[bool] = True

    jobs: list[CancelJob]


class CancelMatching(QueueCall[CancelPage], frozen=True):
    """A call that cancels queued and delayed jobs of a queue in one bounded step.

    Attributes:
        prefix: of the ids of the jobs; empty for all.
        scan: the cursor of the step before; empty for the first one. Jobs enqueued after the first step are kept.
    """

    function: ClassVar[str] = "cancel_matching"
    formats: ClassVar[int] = 3

    prefix: str
    scan: str


class ChangeJob(QueueCall[ChangedJob], frozen=True):
    """A call that changes a queued or delayed job."""

    function: ClassVar[str] = "change_job"
    formats: ClassVar[int] = 3

    job_id: str
    change: JobChange


class ListJobs(QueueCall[JobPage], frozen=True):
    """A call for up to `limit` jobs of a queue in one state, queued, delayed or leased, from `scan` on.

    Attributes:
        prefix: only jobs whose ids begin with it; empty for all.
        scan: the cursor of the page before; empty for the first one.
    """

    function: ClassVar[str] = "list_jobs"
    formats: ClassVar[int] = 3
    is_read: ClassVar[bool] = True

    state: JobState
    limit: int
    prefix: str
    scan: str


class DropDeadLetter(QueueCall[bool], frozen=True):
    """A call that drops one dead letter; False if there is none."""

    function: ClassVar[str] = "drop_dead_letter"
    formats: ClassVar[int] = 3

    job_id: str


class ListDead(PartitionCall[DeadPage], frozen=True):
    """A call for up to `limit` dead letters of one partition from `scan` on (empty: from the start), oldest first.

    Attributes:
        queue_id: only those of this queue; a page may then be short or empty although more follow. Empty for all.
    """

    function: ClassVar[str] = "list_dead"
    is_read: ClassVar[bool] = True

    scan: str
    limit: int
    queue_id: str = ""


class Redrive(JobsCall[list[RedriveStatus | Failure]], frozen=True):
    """A call that queues dead letters again, attempts from 0. One answer each, in order."""

    function: ClassVar[str] = "redrive"

    jobs: list[DeadRef]


class DropLetters(JobsCall[list[bool | Failure]], frozen=True):
    """A call that drops named dead letters. One answer each, in order; False if there is no such letter."""

    function: ClassVar[str] = "drop_letters"
    formats: ClassVar[int] = 8

    jobs: list[DeadRef]


class DropDead(PartitionCall[int], frozen=True):
    """A call that drops up to `limit` of a partition's dead letters, oldest first; it returns their number.

    Attributes:
        before_us: keep those that died later, by the time of the partition's server; None keeps none.
    """

    function: ClassVar[str] = "drop_dead"

    limit: int
    before_us: int | None = None
