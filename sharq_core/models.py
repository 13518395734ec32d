"""The values that travel through the whole system: jobs, leases, queues and what is known of them.

All are frozen. Inside the system times are integer microseconds since the epoch by the store's clock and durations
are integer microseconds; milliseconds exist only at the wire. What a person may send is validated once, in
router/api/parsing.py; these values are made from what passed.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec

IDENTIFIER_PATTERN = r"^[A-Za-z0-9_\-.+@]{1,100}$"
"""queue_type, queue_id and job_id; `.` and `..` alone are refused besides."""

MAX_INTERVAL_US = 365 * 24 * 3600 * 1_000_000
MAX_LEASE_US = 24 * 3600 * 1_000_000
MIN_LEASE_US = 100_000

MinuteCounts: TypeAlias = list[tuple[int, int]]
"""(start of the minute in ms since the epoch, count), oldest first, 10 long, the last one the current minute."""


class QueueKey(msgspec.Struct, frozen=True, array_like=True):
    """Which queue: its type (what workers ask for) and its id (whose it is). Both are identifiers."""

    queue_type: str
    queue_id: str


class NewJob(msgspec.Struct, frozen=True, array_like=True):
    """A job as it is enqueued.

    Attributes:
        payload: the JSON text as it came, never re-encoded.
        requeue_limit: how many times it may come back after an ended lease; -1 for ever.
        interval_us: the queue's rate from now on, 0 for unlimited; None keeps the queue's own.
        burst: leases that may go back to back when late, at least 1; None keeps the queue's own (1 for a new queue).
        delay_us: it may not be leased before this much time has passed.
        max_queued_length: refuse when this many jobs are queued and delayed already; None for no cap.
        repeat: also a job remembered as finished or dead counts as a duplicate.
    """

    queue_type: str
    queue_id: str
    job_id: str
    payload: bytes
    requeue_limit: int
    interval_us: int | None
    burst: int | None = None
    delay_us: int = 0
    max_queued_length: int | None = None
    repeat: bool = False


class EnqueueStatus(enum.IntEnum):
    """What an enqueue came to. Only QUEUED changed anything."""

    QUEUED = 0
    DUPLICATE = 1
    FULL = 2
    NO_INTERVAL = 3
    """The job named no interval and the queue has none yet."""


class Enqueued(msgspec.Struct, frozen=True, array_like=True, tag="q"):
    """The answer for one enqueued job; queue_length: jobs queued and delayed before this one."""

    status: EnqueueStatus
    queue_length: int


class LeasedJob(msgspec.Struct, frozen=True, array_like=True):
    """A job in a worker's hands.

    Attributes:
        lease: the lease token, 32 hexadecimal digits; opaque to clients.
        leased_until_us: when the lease ends.
        attempt: 1 for the first delivery.
        requeues_remaining: how often it may still come back; -1 for ever.
        queue_length: jobs still queued in its queue after this one.
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


class FinishJob(msgspec.Struct, frozen=True, array_like=True):
    """End the lease and forget the job. lease None: whichever lease is live, as the original does."""

    queue_type: str
    queue_id: str
    job_id: str
    lease: str | None = None


class ExtendJob(msgspec.Struct, frozen=True, array_like=True):
    """Move the end of the lease to now + by_us."""

    queue_type: str
    queue_id: str
    job_id: str
    lease: str
    by_us: int


class ReleaseJob(msgspec.Struct, frozen=True, array_like=True):
    """Give the job back unfinished, to be leased again after delay_us at the earliest.

    is_void: nobody received the lease, so the attempt is not counted and nothing can be done with its token.
    """

    queue_type: str
    queue_id: str
    job_id: str
    lease: str
    delay_us: int = 0
    is_void: bool = False


class LeaseStatus(enum.IntEnum):
    """What a finish, extend or release came to. Only DONE changed anything (or repeats what did)."""

    DONE = 0
    NOT_FOUND = 1
    LOST = 2


class LeaseOutcome(msgspec.Struct, frozen=True, array_like=True, tag="l"):
    """Attributes:
    leased_until_us: the lease's end after an extend that was DONE, else 0.
    is_dead: the release was past the requeue limit, so the job is a dead letter now.
    """

    status: LeaseStatus
    leased_until_us: int = 0
    is_dead: bool = False


class DeletedQueue(msgspec.Struct, frozen=True, array_like=True):
    """cancelled: how many queued and delayed jobs were dropped; 0 when there were none."""

    cancelled: int


class JobState(enum.StrEnum):
    """Where a job is; cancelled jobs are not remembered."""

    QUEUED = "queued"
    DELAYED = "delayed"
    LEASED = "leased"
    FINISHED = "finished"
    DEAD = "dead"


class JobStatus(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one job.

    Attributes:
        attempt: deliveries so far, 0 before the first.
        lease_expires_at_us: for a leased job, else None.
        position: 1 for the next job of its queue; None unless queued.
        payload: JSON text; None for a finished job.
    """

    state: JobState
    attempt: int
    enqueued_at_us: int
    lease_expires_at_us: int | None = None
    position: int | None = None
    payload: bytes | None = None


class QueueStats(msgspec.Struct, frozen=True, array_like=True):
    """One queue. An unknown queue has is_known False and zeros.

    Attributes:
        next_ready_in_us: time until it may next be leased from, 0 when that has passed; None when nothing is queued
            or the queue is paused.
        oldest_age_us: time since the job at its head was enqueued; None when nothing is queued.
    """

    is_known: bool
    interval_us: int
    burst: int
    is_pinned: bool
    is_paused: bool
    queued: int
    delayed: int
    leased: int
    next_ready_in_us: int | None
    oldest_age_us: int | None
    enqueue_counts: MinuteCounts
    dequeue_counts: MinuteCounts


class QueuePage(msgspec.Struct, frozen=True, array_like=True):
    """Ids of queues with queued, delayed or leased jobs, of one partition; scan: where to go on, 0 at the end."""

    queue_ids: list[str]
    scan: int


class TopOrder(enum.StrEnum):
    """What makes a queue come first."""

    AGE = "age"
    """How long it has been due, that is ready to be leased from."""
    DEPTH = "depth"
    """How many queued and delayed jobs it has."""


class TopQueue(msgspec.Struct, frozen=True, array_like=True):
    """One of the queues that come first.

    Attributes:
        due_since_us: since when (by its server's clock) it has been ready to be leased from; None when it is not.
        due_for_us: how long that is; None when it is not.
        oldest_age_us: time since the job at its head was enqueued; None when nothing is queued.
    """

    queue_id: str
    queued: int
    delayed: int
    leased: int
    due_since_us: int | None
    due_for_us: int | None
    oldest_age_us: int | None

    @property
    def depth(self) -> int:
        """Queued and delayed jobs."""
        return self.queued + self.delayed


class TopQueues(msgspec.Struct, frozen=True, array_like=True):
    """The queues that come first, foremost first; is_complete: every queue was looked at."""

    queues: list[TopQueue]
    is_complete: bool


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """Types with queued, delayed or leased jobs, sorted, and what was enqueued and leased in the last 10 minutes."""

    queue_types: list[str]
    enqueue_counts: MinuteCounts
    dequeue_counts: MinuteCounts


class StoreState(msgspec.Struct, frozen=True, array_like=True):
    """What a node says of its store.

    Attributes:
        mode: embedded, single, sentinel or cluster.
        is_reachable: it answered when it was last asked.
        notices: what is off with it, in words.
        partitions_away: how many partitions the node leaves to others, because it does not reach their server, or has
            not reached it well for long enough.
        data_lost: why the node serves no partition, in words; None while it serves some.
        reason: why the store or a part of it cannot be used, in words without its address; None while nothing is known.
    """

    mode: str
    is_reachable: bool
    notices: tuple[str, ...] = ()
    partitions_away: int = 0
    data_lost: str | None = None
    reason: str | None = None


class DeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """A job past its requeue limit, kept for a person."""

    queue_id: str
    job_id: str
    payload: bytes
    attempt: int
    enqueued_at_us: int
    dead_at_us: int


class DeadPage(msgspec.Struct, frozen=True, array_like=True):
    """Dead letters of one partition, oldest first.

    Attributes:
        scan: where to go on, empty at the end.
        now_us: the time of the partition's server when it was asked, µs; None from an older shard.
    """

    jobs: list[DeadLetter]
    scan: str
    now_us: int | None = None


class DeadRef(msgspec.Struct, frozen=True, array_like=True):
    """One dead letter."""

    queue_type: str
    queue_id: str
    job_id: str


class RedriveStatus(enum.IntEnum):
    """What a redrive of one dead letter came to. Only QUEUED changed anything."""

    QUEUED = 0
    DUPLICATE = 1
    """A live job has this id."""
    NOT_FOUND = 2
