"""Defines the values about the life of a job: when it expires, how it is tried again, and its dead letter."""

from __future__ import annotations

import enum

import msgspec

FIRST_PRIORITY = 1
LAST_PRIORITY = 9
PRIORITY = 5
"""The priority of a job that names none; 1 is served first."""

MAX_RETRY_MS = 30 * 24 * 3600 * 1000
"""The longest delay of a retry policy: 30 days."""

MAX_ERROR_BYTES = 2048
"""The length at which the error of a release is cut, in bytes of UTF-8."""


class OnExpiry(enum.StrEnum):
    """The fate of a job that expires: it becomes a dead letter, or it is dropped and counts as cancelled."""

    DEAD = "dead"
    DROP = "drop"


class DeadReason(enum.StrEnum):
    """The reason why a job became a dead letter: it passed its requeue limit, or it expired."""

    LIMIT = "limit"
    EXPIRED = "expired"


class Retry(msgspec.Struct, frozen=True, array_like=True):
    """A retry policy: the wait of a job after an attempt that failed.

    The wait is min(max, delay * factor^(attempt - 1)) * (1 - jitter * u), with u from 0 to 1 by chance.

    Attributes:
        delay_ms: the wait after the first attempt.
        factor: by which the wait grows with each further attempt, 1 to 10, with up to two decimals.
        max_ms: the longest wait.
        jitter: the share of the wait that chance may take off, 0 to 1, with up to two decimals.
    """

    delay_ms: int
    factor: int | float = 2
    max_ms: int = MAX_RETRY_MS
    jitter: int | float = 0


class JobError(msgspec.Struct, frozen=True, array_like=True):
    """The error that a worker gave when it released a job; the latest one is kept.

    Attributes:
        attempt: the attempt that failed.
        at_us: the time of the release, by the store's clock.
    """

    text: str
    attempt: int
    at_us: int


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
    NO_ROOM = 3
    """The queue has waiting or leased jobs of as many windows as it may."""
    BATCH_CANCELLED = 4
    """The batch of the dead letter is cancelled."""
