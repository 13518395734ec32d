"""Defines the values of the calls that look after single jobs: their lists, cancellations and changes."""

from __future__ import annotations

import enum

import msgspec
from msgspec import UNSET, UnsetType

from sharq_core.models import JobState, JobStatus


class JobRow(msgspec.Struct, frozen=True, array_like=True):
    """A job in a list of its queue's jobs."""

    job_id: str
    status: JobStatus


class JobPage(msgspec.Struct, frozen=True, array_like=True):
    """A page of the jobs of a queue. It may be short or empty although more follow.

    Attributes:
        scan: the cursor of the next page, empty at the end.
    """

    jobs: list[JobRow]
    scan: str


class CancelJob(msgspec.Struct, frozen=True, array_like=True):
    """A request to cancel one job.

    Attributes:
        force: True cancels a leased job too: its lease is lost.
    """

    queue_type: str
    queue_id: str
    job_id: str
    force: bool = False


class CancelStatus(enum.IntEnum):
    """The outcome of the cancellation of a job. Only DONE changed anything (or repeats a call that did)."""

    DONE = 0
    NOT_FOUND = 1
    LEASED = 2


class CancelOutcome(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """The answer for one job of a cancellation.

    Attributes:
        was: the state before the call, CANCELLED if it had been cancelled before; None unless DONE.
    """

    status: CancelStatus
    was: JobState | None = None


class CancelPage(msgspec.Struct, frozen=True, array_like=True):
    """The answer of one step of a cancellation by prefix.

    Attributes:
        cancelled: number of jobs that this step cancelled.
        scan: the cursor of the next step, empty at the end.
    """

    cancelled: int
    scan: str


class JobChange(msgspec.Struct, frozen=True):
    """A change of a waiting job. UNSET keeps a field; a new delay or time gives the job a new place in its queue.

    Attributes:
        payload, delay_us, at_us, priority, cost: as in NewJob; at most one of delay_us and at_us.
        expires_us, expires_at_us: the same, counted from now; at most one of them. None: the job never expires.
    """

    payload: bytes | UnsetType = UNSET
    delay_us: int | UnsetType = UNSET
    at_us: int | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    cost: int | UnsetType = UNSET
    expires_us: int | UnsetType | None = UNSET
    expires_at_us: int | UnsetType | None = UNSET


class ChangeStatus(enum.IntEnum):
    """The outcome of a change of a job. Only DONE changed anything."""

    DONE = 0
    NOT_FOUND = 1
    NOT_WAITING = 2
    """The job is leased, finished, dead, cancelled or expired."""
    EXPIRES_EARLY = 3
    """The job would expire before it is due."""


class ChangedJob(msgspec.Struct, frozen=True, array_like=True):
    """The answer for a changed job.

    Attributes:
        job: the job after the change; None unless DONE.
    """

    status: ChangeStatus
    job: JobStatus | None = None
