"""Defines the values that all parts of the system exchange: jobs, leases, queues and their statistics.

All are frozen. Times are integer microseconds since the epoch by the store's clock, and durations are integer
microseconds; milliseconds exist only on the wire. Client input is validated once, in router/api/parsing.py, before
these values are made from it.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec

from sharq_core.caps import Permit
from sharq_core.job_life import PRIORITY, DeadReason, JobError, OnExpiry, Retry
from sharq_core.limits import BlockedBy, Burst, CapCorrection, CapHold

QUEUE_TYPE_PATTERN = r"^(?=.{1,100}$)[A-Za-z0-9_\-.+@]+(~[A-Za-z0-9_\-.+@]+)?$"
"""The pattern of a queue_type that may be gathered: one `~`, neither first nor last (partitions.is_gathered)."""

MAX_INTERVAL_US = 365 * 24 * 3600 * 1_000_000
MAX_LEASE_US = 24 * 3600 * 1_000_000
MIN_LEASE_US = 100_000

MinuteCounts: TypeAlias = list[tuple[int, int]]
"""A list of (start of the minute in ms since the epoch, count), oldest first, length 10, ending with this minute."""


class QueueKey(msgspec.Struct, frozen=True, array_like=True):
    """The identity of a queue: its type (requested by workers) and its id (one per customer)."""

    queue_type: str
    queue_id: str


class NewJob(msgspec.Struct, frozen=True, array_like=True):
    """A job as it is enqueued.

    Attributes:
        payload: the JSON text as received, never re-encoded.
        requeue_limit: how many times the job is requeued after its lease ended; -1 for no limit.
        interval_us: sets the queue's interval, 0 for an unlimited rate; None keeps the queue's interval.
        burst: sets how many leases may go back to back if the queue is late, at least 1, with up to two decimals; None
            keeps the queue's burst (1 for a new queue).
        delay_us: the time that must pass before the job may be leased.
        max_queued_length: the enqueue is refused if this many jobs are queued or delayed; None for no cap.
        repeat: True if a job that is remembered as finished or dead counts as a duplicate, too.
        cost: how many slots of the rate a lease of the job takes, 1 to MAX_COST.
        max_leased: sets how many jobs of the queue may be leased at one time, 1 to MAX_LEASED; None keeps the queue's
            limit (none for a new queue).
        priority: 1 to 9; jobs of a lower number leave their queue first.
        at_us: the time before which the job may not be leased, by the store's clock; instead of delay_us.
        expires_us: the job expires this long after its enqueue.
        expires_at_us: the time at which the job expires, by the store's clock; instead of expires_us.
        on_expiry, retry: its fate then, and its retry policy; None for those of the queue or the gathered type.
        window: the name of the window outside of which it is not leased; None for none of its own.
        ignores_window: True if neither its own window nor that of the queue or the gathered type holds it back.
        batch: the id of the batch that counts it; None for none.
        caps: sets the caps that the queue shares with others, sorted names; empty for none of them. None keeps the
            queue's caps (none for a new queue).
        trace: the context of the trace in which the job was made (telemetry/trace_context.py); empty for none.
    """

    queue_type: str
    queue_id: str
    job_id: str
    payload: bytes
    requeue_limit: int
    interval_us: int | None
    burst: Burst | None = None
    delay_us: int = 0
    max_queued_length: int | None = None
    repeat: bool = False
    cost: int = 1
    max_leased: int | None = None
    priority: int = PRIORITY
    at_us: int | None = None
    expires_us: int | None = None
    expires_at_us: int | None = None
    on_expiry: OnExpiry | None = None
    retry: Retry | None = None
    window: str | None = None
    ignores_window: bool = False
    batch: str | None = None
    trace: bytes = b""
    caps: tuple[str, ...] | None = None


class EnqueueStatus(enum.IntEnum):
    """The outcome of an enqueue. Only QUEUED changed anything."""

    QUEUED = 0
    DUPLICATE = 1
    FULL = 2
    NO_INTERVAL = 3
    """The job has no interval and the queue has none yet."""
    EXPIRES_EARLY = 4
    """The job would expire before it is due."""
    UNKNOWN_WINDOW = 5
    """There is no window of this name."""
    TOO_MANY_WINDOWS = 6
    """The queue has jobs of as many windows as it may."""
    BATCH_CANCELLED = 7
    """The batch of the job is cancelled."""


class Enqueued(msgspec.Struct, frozen=True, array_like=True, tag="q"):
    """The answer for one job of an enqueue.

    Attributes:
        queue_length: number of jobs queued and delayed before this one.
    """

    status: EnqueueStatus
    queue_length: int


class LeasedJob(msgspec.Struct, frozen=True, array_like=True):
    """A job leased to a worker.

    Attributes:
        lease: the lease token, 32 hexadecimal digits; opaque to clients.
        leased_until_us: the time at which the lease ends.
        attempt: 1 for the first delivery.
        requeues_remaining: how many more times the job may be requeued; -1 for no limit.
        queue_length: number of jobs still queued in its queue after this one.
        cost: how many slots of the rate the lease took.
        priority, trace: as in NewJob.
        expires_at_us: the time at which the job would have expired in its queue; None for never.
    """

    queue_type: str
    queue_id: str
    job_id: str
    payload: bytes
    lease: str
    leased_until_us: int
    enqueued_at_us: int
    attempt: int
    requeues_remaining: int
    queue_length: int
    cost: int = 1
    priority: int = PRIORITY
    expires_at_us: int | None = None
    trace: bytes = b""


class FinishJob(msgspec.Struct, frozen=True, array_like=True):
    """A request to end the lease and forget the job.

    Attributes:
        lease: the lease token; None finishes the job under any live lease, as the original SHARQ does.
        cost: the actual cost, 0 to MAX_COST; the queue's ready time moves by the difference, once for each lease. None
            if it is as enqueued.
        hold_us: nothing is leased from the queue for this time from now, up to MAX_HOLD_US; 0 for no hold.
        hold_type_us: the same for all queues of its gathered type.
        result: what the work gave, as JSON text of at most MAX_RESULT_BYTES; empty for none.
        hold_cap: holds a cap once the job is finished; None for none.
    """

    queue_type: str
    queue_id: str
    job_id: str
    lease: str | None = None
    cost: int | None = None
    hold_us: int = 0
    hold_type_us: int = 0
    result: bytes = b""
    hold_cap: CapHold | None = None


class ExtendJob(msgspec.Struct, frozen=True, array_like=True):
    """A request to move the end of the lease to now + by_us.

    Attributes:
        progress: how far the work is, as JSON text of at most MAX_PROGRESS_BYTES; empty for no news.
    """

    queue_type: str
    queue_id: str
    job_id: str
    lease: str
    by_us: int
    progress: bytes = b""


class ReleaseJob(msgspec.Struct, frozen=True, array_like=True):
    """A request to give the job back unfinished.

    Attributes:
        delay_us: the time that must pass before the job may be leased again.
        is_void: True if no worker received the lease: the attempt is not counted, and its token stops acting.
        cost, hold_us, hold_type_us: as in FinishJob.
        counts: False if the attempt is not counted, so that the job comes no closer to its requeue limit.
        error: the reason of the failure as text, at most MAX_ERROR_BYTES in UTF-8; empty for none.
        retries: True if the retry policy decides, and delay_us only if there is none.
        hold_cap: as in FinishJob.
    """

    queue_type: str
    queue_id: str
    job_id: str
    lease: str
    delay_us: int = 0
    is_void: bool = False
    cost: int | None = None
    hold_us: int = 0
    hold_type_us: int = 0
    counts: bool = True
    error: str = ""
    retries: bool = False
    hold_cap: CapHold | None = None


class LeaseStatus(enum.IntEnum):
    """The outcome of a finish, extend or release. Only DONE changed anything (or repeats a call that did)."""

    DONE = 0
    NOT_FOUND = 1
    LOST = 2


class LeaseOutcome(msgspec.Struct, frozen=True, array_like=True, tag="l"):
    """The answer for one job of a finish, extend or release.

    Attributes:
        leased_until_us: the lease's end after an extend that was DONE, else 0.
        is_dead: True if the release exceeded the requeue limit, so that the job is now a dead letter.
        result_kept: False if the job is finished and there was no room for its result; None if it had none.
        corrected: the change of the cost, if the queue of the job has caps; None for none.
        permits: those that must be renewed before the lease can be extended; nothing was done. Empty for all others.
    """

    status: LeaseStatus
    leased_until_us: int = 0
    is_dead: bool = False
    result_kept: bool | None = None
    corrected: CapCorrection | None = None
    permits: tuple[Permit, ...] = ()


class DeletedQueue(msgspec.Struct, frozen=True, array_like=True):
    """The answer for a deleted queue.

    Attributes:
        cancelled: number of queued and delayed jobs that were dropped.
    """

    cancelled: int


class JobState(enum.StrEnum):
    """The state of a job. Finished, cancelled and expired jobs are remembered for a while.

    An expired job that was kept is `dead`. The jobs that go with a deleted queue are not remembered, unless they were
    leased before.
    """

    QUEUED = "queued"
    DELAYED = "delayed"
    LEASED = "leased"
    FINISHED = "finished"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class JobStatus(msgspec.Struct, frozen=True, array_like=True):
    """The status of one job.

    Attributes:
        attempt: number of deliveries so far, 0 before the first.
        lease_expires_at_us: the end of the lease; None if the job is not leased.
        position: 1 for the next job of its queue; None if the job is not queued, and in a list.
        payload: the JSON text; None for a job that is only remembered: finished, cancelled or expired.
        priority, cost, retry: as in NewJob.
        requeue_limit: as in NewJob; None from an older shard.
        delayed_until_us: the end of its delay; None if it is not delayed.
        expires_at_us: the time at which it expires; None for never.
        on_expiry: its fate then; None if it never expires.
        dead_at_us, reason: when and why it died; None if it is not dead.
        error: the latest error of a release; None for none.
        window, ignores_window, batch, trace: as in NewJob.
        opens_at_us: when its windows and its queue's let it leave; None if they are open, and if that is not known.
        result: what the work gave, as JSON text; None for none, and if it is not kept.
        progress: how far the work was at the latest report, as JSON text; None for none, and after the job's end.
        progress_at_us: the time of that report.
        is_explained: True if blocked_by is known, as of a queued or delayed job.
        blocked_by: why it is not leased now; None if its queue gives a job.
        caps: the caps of its queue, if one of them is the reason.
    """

    state: JobState
    attempt: int
    enqueued_at_us: int
    lease_expires_at_us: int | None = None
    position: int | None = None
    payload: bytes | None = None
    priority: int = PRIORITY
    cost: int = 1
    retry: Retry | None = None
    requeue_limit: int | None = None
    delayed_until_us: int | None = None
    expires_at_us: int | None = None
    on_expiry: OnExpiry | None = None
    dead_at_us: int | None = None
    reason: DeadReason | None = None
    error: JobError | None = None
    window: str | None = None
    ignores_window: bool = False
    batch: str | None = None
    opens_at_us: int | None = None
    result: bytes | None = None
    progress: bytes | None = None
    progress_at_us: int | None = None
    trace: bytes = b""
    is_explained: bool = False
    blocked_by: BlockedBy | None = None
    caps: tuple[str, ...] = ()


class QueueStats(msgspec.Struct, frozen=True, array_like=True):
    """The statistics of one queue. For an unknown queue, is_known is False and the numbers are zero.

    Attributes:
        next_ready_in_us: time until the queue may next be leased from, 0 if that time has passed; None if nothing is
            queued, or if the queue is paused or has max_leased leases.
        oldest_age_us: time since the job at the head was enqueued; None if nothing is queued, and in a QueueStatsPage.
        max_leased: the most leases at one time; None for no limit.
        held_until_us: the end of the queue's hold, by the store's clock; None if there is none.
        weight: how many jobs the queue gives in its turn.
        dead: number of its dead letters. Those that died before the library counted them are not included.
        blocked_by: the reason why the queue may not be leased from; None if it may.
        settings: the names of the fields that an operator set, such as interval, burst, max_leased, weight and caps.
        retry, expires_us, on_expiry: the defaults of its jobs, as in QueueSettings; None for none.
        window: the name of its window; None for none.
        is_window_unknown: the change names a window that does not exist; nothing was done, and the other fields are
            void.
        caps: the names of the caps that it shares with other queues, sorted.
        has_interval: False if an enqueue must name the interval. Before revision 16 of the library, and from a shard
            before that, it is True for a queue that only settings made and for one that only dead letters are left of.
    """

    is_known: bool
    interval_us: int
    burst: Burst
    is_pinned: bool
    is_paused: bool
    queued: int
    delayed: int
    leased: int
    next_ready_in_us: int | None
    oldest_age_us: int | None
    enqueue_counts: MinuteCounts
    dequeue_counts: MinuteCounts
    max_leased: int | None = None
    held_until_us: int | None = None
    weight: int = 1
    dead: int = 0
    blocked_by: BlockedBy | None = None
    settings: tuple[str, ...] = ()
    retry: Retry | None = None
    expires_us: int | None = None
    on_expiry: OnExpiry | None = None
    window: str | None = None
    is_window_unknown: bool = False
    caps: tuple[str, ...] = ()
    has_interval: bool = True


class QueueStatsPage(msgspec.Struct, frozen=True, array_like=True):
    """A page of the queues of a type in one partition, as pairs of queue_id and statistics.

    Attributes:
        scan: the cursor of the next page, 0 at the end.
    """

    queues: list[tuple[str, QueueStats]]
    scan: int


class QueuePage(msgspec.Struct, frozen=True, array_like=True):
    """A page of the queues of one partition that have queued, delayed or leased jobs.

    Attributes:
        scan: the cursor of the next page, 0 at the end.
    """

    queue_ids: list[str]
    scan: int


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """The types with queued, delayed or leased jobs, sorted, and the last 10 minutes of enqueues and leases."""

    queue_types: list[str]
    enqueue_counts: MinuteCounts
    dequeue_counts: MinuteCounts
