"""The things that the model knows: jobs, queues with their rates and limits, dead letters and tombstones."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

from sharq_core.job_life import PRIORITY, DeadReason, JobError, OnExpiry, Retry
from sharq_core.limits import BlockedBy, Burst
from sharq_core.models import JobState

MINUTE_US = 60_000_000
KEPT_MINUTES = 10
LATEST_US = 2**53

JobKey = tuple[str, str]
"""queue_id, job_id"""


def field_of(queue_id: str, job_id: str) -> str:
    """Return the name of a job in the store, by which it sorts the names of jobs."""
    return f"{queue_id.replace(':', '~')}:{job_id}"


@dataclass(eq=False)
class Batch:
    """A batch. The jobs that live and the dead letters are counted where they are (batches.py).

    ended_us: since when no job of it waits or is leased; None while one does. retention_us: how long it is kept then.
    """

    name: str
    retention_us: int
    accepted: int = 0
    finished: int = 0
    cancelled: int = 0
    is_cancelled: bool = False
    is_forgotten: bool = False
    ended_us: int | None = None


@dataclass(eq=False)
class Job:
    """A job that is queued, delayed or leased, or was when its queue was deleted or it died.

    due_us: queued since, delayed until, or leased until. is_cancelled: its queue was deleted while it was leased.
    is_released, is_corrected, is_uncounted: what its newest lease did: gave it back, corrected its cost, did not count.
    expires_at_us, on_expiry: when it expires (None: never), and its fate then.
    retry: its own retry policy. error, progress: the latest error of a release and the latest
    progress of an extend, with times of the partition.
    batch, trace: those that it was enqueued with.
    """

    queue_id: str
    job_id: str
    payload: bytes
    requeue_limit: int
    seq: int = 0
    enqueued_at_us: int = 0
    state: JobState = JobState.QUEUED
    due_us: int = 0
    attempt: int = 0
    token: str | None = None
    is_released: bool = False
    is_corrected: bool = False
    is_uncounted: bool = False
    is_cancelled: bool = False
    cost: int = 1
    corrected_cost: int | None = None
    priority: int = PRIORITY
    expires_at_us: int | None = None
    on_expiry: OnExpiry = OnExpiry.DEAD
    retry: Retry | None = None
    error: JobError | None = None
    progress: tuple[bytes, int] | None = None
    batch: Batch | None = None
    trace: bytes = b""

    @property
    def key(self) -> JobKey:
        return self.queue_id, self.job_id

    @property
    def is_past_its_limit(self) -> bool:
        return 0 <= self.requeue_limit < self.attempt

    @property
    def place(self) -> tuple[int, int]:
        """Its place among the jobs of its queue in its state: only queued jobs are in the order of priorities."""
        return (self.priority if self.state is JobState.QUEUED else 0), self.seq

    @property
    def was_leased(self) -> bool:
        """A worker had it, so that it is remembered when it goes with its queue."""
        return self.attempt > 0 or self.token is not None

    @property
    def has_cancelled_batch(self) -> bool:
        """Its batch was cancelled."""
        return self.batch is not None and self.batch.is_cancelled and not self.batch.is_forgotten

    def is_over(self, now_us: int) -> bool:
        """The job waits and is not leased any more: it has expired, or its batch was cancelled."""
        return self.is_expired(now_us) or (self.has_cancelled_batch and self.state is not JobState.LEASED)

    def is_expired(self, now_us: int) -> bool:
        """The job waits, and its time is over."""
        is_over = self.expires_at_us is not None and self.expires_at_us <= now_us
        return is_over and self.state is not JobState.LEASED


@dataclass
class Letter:
    """A dead letter, with the rate of its queue, and the limit of leases and the caps that jobs gave that queue."""

    job: Job
    died_us: int
    interval_us: int
    burst: Burst
    max_leased: int | None
    reason: DeadReason = DeadReason.LIMIT
    caps: tuple[str, ...] = ()


class Kind(enum.Enum):
    """Why a job with a tombstone is gone: finished, deleted with its queue, cancelled by its id, or expired.

    The other three say the same of a job that its newest lease had released, so that the release may be repeated.
    """

    FINISHED = enum.auto()
    DELETED = enum.auto()
    RELEASED_DELETED = enum.auto()
    CANCELLED = enum.auto()
    RELEASED_CANCELLED = enum.auto()
    EXPIRED = enum.auto()
    RELEASED_EXPIRED = enum.auto()

    @property
    def state(self) -> JobState:
        """The state in which such a job is remembered."""
        if self is Kind.FINISHED:
            return JobState.FINISHED
        return JobState.EXPIRED if self in (Kind.EXPIRED, Kind.RELEASED_EXPIRED) else JobState.CANCELLED


RELEASED = {
    Kind.DELETED: Kind.RELEASED_DELETED,
    Kind.CANCELLED: Kind.RELEASED_CANCELLED,
    Kind.EXPIRED: Kind.RELEASED_EXPIRED,
}
"""The kinds of tombstones of jobs that their newest lease had released."""

DELETED_KINDS = {Kind.DELETED, Kind.RELEASED_DELETED}


@dataclass
class Tombstone:
    """A tombstone."""

    kind: Kind
    job: Job
    at_us: int


@dataclass
class Queue:
    """A queue's rate and state.

    given: jobs that it gave in the present turn. served_after_us: how far it is behind others that the call served.
    place_us: its place in the line of ready queues, smallest first; None when it is not ready.
    sweep_due_us: since when a deleted queue has records to remove; None when it has none.
    minutes: what was enqueued and leased, by the minute of the store's clock; the last counted minute at the end.
    retry, expires_us, on_expiry: the defaults of its jobs that an operator set.
    """

    interval_us: int = 0
    burst: Burst = 1
    tat_us: int = 0
    last_us: int = 0
    active_us: int = 0
    is_pinned: bool = False
    is_paused: bool = False
    is_purged: bool = False
    sweep_due_us: int | None = None
    place_us: int | None = None
    was_served: bool = False
    was_moved: bool = False
    given: int = 0
    served_after_us: int = 0
    minutes: dict[int, list[int]] = field(default_factory=dict)
    settings: set[str] = field(default_factory=set)
    has_interval: bool = True
    max_leased: int | None = None
    weight: int | None = None
    held_us: int = 0
    retry: Retry | None = None
    expires_us: int | None = None
    on_expiry: OnExpiry | None = None
    caps: tuple[str, ...] = ()

    @property
    def is_set(self) -> bool:
        """An operator set something that lasts until it is cleared."""
        return bool(self.settings or self.retry or self.expires_us or self.on_expiry)

    @property
    def slack_us(self) -> int:
        """The most by which a lease may be late without the next slot moving: (burst - 1) intervals, in whole µs."""
        return (round(self.burst * 100) - 100) * self.interval_us // 100

    @property
    def ready_us(self) -> int:
        """From when on its rate and its hold let it give a job."""
        return max(self.tat_us, self.held_us)

    @property
    def full_us(self) -> int:
        """From when on the whole burst may go at once: a fresh record would allow the same."""
        return max(min(self.tat_us + self.slack_us, LATEST_US), self.held_us)

    def lease(self, now_us: int, cost: int) -> None:
        """Use the rate for one lease."""
        tat_us = max(self.tat_us, now_us - self.slack_us) + cost * self.interval_us
        self.tat_us = tat_us if cost == 1 else min(tat_us, LATEST_US)
        self.last_us, self.held_us = now_us, 0
        self.was_served = True

    def correct(self, cost: int, actual: int) -> None:
        """Pay for what a lease took too little, or take back what it took too much."""
        moved_us = min(self.tat_us + (actual - cost) * self.interval_us, LATEST_US)
        self.tat_us = max(moved_us, min(self.tat_us, self.last_us + self.interval_us))
        self.was_moved = True

    def hold(self, until_us: int) -> None:
        """Give nothing until then, or until an earlier hold ends."""
        self.held_us = max(self.held_us, until_us)
        self.was_moved = True

    def set_caps(self, caps: tuple[str, ...]) -> None:
        """Stand among the queues with these caps from now on."""
        self.was_moved = self.was_moved or caps != self.caps
        self.caps = caps

    def change_rate(self, interval_us: int, burst: Burst) -> None:
        """Re-place the waiting slot; a distance of several slots grows or shrinks with the interval."""
        moved_us = self.tat_us - self.interval_us + interval_us
        beyond_us = self.tat_us - self.last_us
        if beyond_us > self.interval_us > 0:  # as the store calculates, whose numbers are doubles
            scaled = float(beyond_us) * interval_us / self.interval_us
            moved_us = int(min(self.last_us + math.ceil(scaled), LATEST_US))
        self.interval_us, self.burst = interval_us, burst
        self.tat_us = max(moved_us, self.last_us + interval_us - self.slack_us, 0)
        self.was_moved = True

    def blocked_by(self, now_us: int, queued: int, delayed: int, leased: int) -> BlockedBy | None:
        """The first reason why it gives nothing."""
        reasons = (
            (self.is_paused, BlockedBy.PAUSED),
            (self.held_us > now_us, BlockedBy.HOLD),
            (not queued and not delayed, BlockedBy.EMPTY),
            (not queued, BlockedBy.DELAYED),
            (self.max_leased is not None and leased >= self.max_leased, BlockedBy.MAX_LEASED),
            (self.tat_us > now_us, BlockedBy.RATE),
            (bool(self.caps), BlockedBy.CAP),
        )
        return next((reason for holds, reason in reasons if holds), None)

    def count(self, now_us: int, enqueued: int, leased: int) -> None:
        """Add to the current minute."""
        minute = now_us // MINUTE_US
        if minute != next(reversed(self.minutes), None):
            self._turn_minute(minute)
        self.minutes[minute][0] += enqueued
        self.minutes[minute][1] += leased

    def _turn_minute(self, minute: int) -> None:
        """Put another minute at the end, with the counts that it has if the clock stepped back into it."""
        counts = self.minutes.pop(minute, [0, 0])
        if self.minutes:
            self._make_room(minute)
        self.minutes[minute] = counts

    def _make_room(self, minute: int) -> None:
        """Drop the minute before this one if it is ten minutes old; else the oldest that is, or the tenth.

        The others stay: a clock that is set back shows them again.
        """
        *older, latest = self.minutes
        if latest <= minute - KEPT_MINUTES:
            del self.minutes[latest]
        elif older and (older[0] <= minute - KEPT_MINUTES or len(older) == KEPT_MINUTES - 1):
            del self.minutes[older[0]]
