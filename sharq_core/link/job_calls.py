"""Defines the calls that look after single jobs: they cancel, change and list them.

All are of format 3, so a router sends none before every member knows them (sharq_core/link/messages.py).
"""

from __future__ import annotations

from typing import ClassVar

from sharq_core.job_changes import CancelJob, CancelOutcome, CancelPage, ChangedJob, JobChange, JobPage
from sharq_core.link.messages import Failure, JobsCall, QueueCall
from sharq_core.models import JobState


class Cancel(JobsCall[list[CancelOutcome | Failure]], frozen=True):
    """A call that cancels jobs. One answer per job, in order."""

    function: ClassVar[str] = "cancel"
    formats: ClassVar[int] = 3

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
