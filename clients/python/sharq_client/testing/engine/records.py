"""Defines what the engine keeps: jobs, dead letters, tombstones and batches."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from sharq_client.answers import DeadReason, JobState
from sharq_client.requests import OnExpiry, RetryPolicy

LATEST_US = 2**53
"""The latest time: the store's numbers hold any µs up to it."""

FINISHED_RETENTION_US = 300_000_000
"""The time for which finished, cancelled and expired jobs are remembered: the server's default."""

DEAD_RETENTION_US = 604_800_000_000
"""The time for which dead letters are kept: the server's default."""


Trace: TypeAlias = tuple[str, str]
"""The traceparent and the tracestate of a job, which is empty for none."""


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is enqueued. None means that the request does not say it."""

    queue_id: str
    job_id: str
    payload: bytes
    requeue_limit: int = -1
    interval_us: int | None = None
    burst: float | None = None
    delay_us: int = 0
    max_queued_length: int | None = None
    repeat: bool = False
    cost: int = 1
    max_leased: int | None = None
    priority: int = 5
    at_us: int | None = None
    expires_us: int | None = None
    expires_at_us: int | None = None
    on_expiry: OnExpiry | None = None
    retry: RetryPolicy | None = None
    batch: str | None = None
    trace: Trace | None = None


class JobReport(msgspec.Struct, frozen=True, kw_only=True):
    """The things that a worker says when it finishes or releases a job.

    Attributes:
        cost: the actual cost; None if it is as enqueued.
        result: of a finish: the JSON text of the result; None for none.
        counts, error, delay_us, prefers_retry: of a release.
    """

    cost: int | None = None
    hold_us: int = 0
    hold_type_us: int = 0
    result: bytes | None = None
    delay_us: int = 0
    counts: bool = True
    error: str = ""
    prefers_retry: bool = False

    @property
    def says_anything(self) -> bool:
        """True if a release says more than that it happened."""
        has_report = self.cost is not None or self.hold_us or self.hold_type_us
        return bool(has_report or not self.counts or self.error)


@dataclass(eq=False)
class Batch:
    """A batch. Its waiting, leased and dead jobs are counted where they are.

    ended_us: since when no job of it waits or is leased; None while one does.
    """

    name: str
    accepted: int = 0
    finished: int = 0
    cancelled: int = 0
    live: int = 0
    is_cancelled: bool = False
    ended_us: int | None = None

    def is_over(self, now_us: int) -> bool:
        """Its last job ended so long ago that the batch is forgotten."""
        return self.ended_us is not None and now_us >= self.ended_us + FINISHED_RETENTION_US


@dataclass(eq=False)
class Job:
    """A job that is queued, delayed or leased, or was so until it ended.

    due_us: queued since, delayed until, or leased until. is_deleted: its queue was deleted while it was leased.
    is_released, is_corrected, is_uncounted: what its newest lease did: gave it back, corrected its cost, did not count.
    error: text, attempt and time of the latest release with an error. progress: text and time of the latest report.
    """

    queue_id: str
    job_id: str
    payload: bytes
    requeue_limit: int
    cost: int
    priority: int
    expires_at_us: int | None
    on_expiry: OnExpiry
    retry: RetryPolicy | None
    batch: Batch | None
    trace: Trace | None
    seq: int = 0
    enqueued_at_us: int = 0
    state: JobState = JobState.QUEUED
    due_us: int = 0
    attempt: int = 0
    token: str | None = None
    is_released: bool = False
    is_corrected: bool = False
    is_uncounted: bool = False
    is_deleted: bool = False
    error: tuple[str, int, int] | None = None
    progress: tuple[bytes, int] | None = None
    result: bytes | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Its queue and its id."""
        return self.queue_id, self.job_id

    @property
    def place(self) -> tuple[int, int]:
        """Its place among the queued jobs of its queue."""
        return self.priority, self.seq

    @property
    def is_leased(self) -> bool:
        """True while a worker holds it."""
        return self.state is JobState.LEASED

    @property
    def is_past_its_limit(self) -> bool:
        """True if it may not be delivered again."""
        return 0 <= self.requeue_limit < self.attempt

    @property
    def has_cancelled_batch(self) -> bool:
        """True if its batch was cancelled."""
        return self.batch is not None and self.batch.is_cancelled

    @property
    def was_leased(self) -> bool:
        """True if a worker had it, so that it is remembered when it goes with its queue."""
        return self.attempt > 0 or self.token is not None

    def has_expired(self, now_us: int) -> bool:
        """Return True if it waits, and its time is over."""
        return self.expires_at_us is not None and self.expires_at_us <= now_us and not self.is_leased

    def timers_us(self) -> list[int]:
        """Return the times at which something happens to it by itself."""
        ends = [] if self.state is JobState.QUEUED else [self.due_us]
        if self.expires_at_us is not None and not self.is_leased:
            ends.append(self.expires_at_us)
        return ends


class Ending(enum.Enum):
    """The way in which a job that is remembered ended."""

    FINISHED = enum.auto()
    DELETED = enum.auto()
    CANCELLED = enum.auto()
    EXPIRED = enum.auto()

    @property
    def state(self) -> JobState:
        """The state in which such a job is shown."""
        if self is Ending.DELETED:
            return JobState.CANCELLED
        return JobState(self.name.lower())


@dataclass
class Tombstone:
    """A job that ended at `at_us`."""

    ending: Ending
    job: Job
    at_us: int


@dataclass
class Letter:
    """A dead letter, with the rate of its queue, and the maximum of leases that jobs gave that queue."""

    job: Job
    died_us: int
    interval_us: int
    burst: float
    max_leased: int | None
    reason: DeadReason
