"""Defines the values of dead letters: jobs that passed their requeue limit or expired, kept for a person."""

from __future__ import annotations

import enum

import msgspec

from sharq_core.job_life import DeadReason, JobError


class DeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """A job that passed its requeue limit or expired, kept for a person.

    Attributes:
        error: the latest error of a release; None for none.
    """

    queue_id: str
    job_id: str
    payload: bytes
    attempt: int
    enqueued_at_us: int
    dead_at_us: int
    reason: DeadReason = DeadReason.LIMIT
    error: JobError | None = None


class DeadPage(msgspec.Struct, frozen=True, array_like=True):
    """A page of the dead letters of one partition, oldest first.

    Attributes:
        scan: the cursor of the next page, empty at the end.
        now_us: the time of the partition's server when the page was read, µs; None from an older shard.
    """

    jobs: list[DeadLetter]
    scan: str
    now_us: int | None = None


class DeadRef(msgspec.Struct, frozen=True, array_like=True):
    """A reference to one dead letter."""

    queue_type: str
    queue_id: str
    job_id: str


class RedriveStatus(enum.IntEnum):
    """The outcome of a redrive of one dead letter. Only QUEUED changed anything."""

    QUEUED = 0
    DUPLICATE = 1
    """A live job has this id."""
    NOT_FOUND = 2
