"""What the server answers, as frozen values: milliseconds as on the wire, payloads as JSON text until they
are asked for.

Not here: failures (errors.py has the classes, failures.py turns answers into them).
"""

from __future__ import annotations

import enum
from typing import Any, TypeVar

import msgspec

from sharq_client.errors import SharqError

AnswerT = TypeVar("AnswerT")
PayloadT = TypeVar("PayloadT")

NOT_KEPT = msgspec.Raw(b"")


class JobState(enum.StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    DELAYED = "delayed"
    LEASED = "leased"
    FINISHED = "finished"
    DEAD = "dead"


class Enqueued(msgspec.Struct, frozen=True):
    """A job that the server holds.

    Attributes:
        job_id: the id it has, made by this client when the caller gave none.
        is_duplicate: the server held the job already and nothing was changed. After a repeated try it may be
            this very enqueue that came through the first time.
        queue_length: jobs queued and delayed before this one; None unless a cap was given.
        warning: why the queue will not keep the rate that was sent; empty for nothing, and after enqueue_many.
    """

    job_id: str = ""
    is_duplicate: bool = msgspec.field(default=False, name="duplicate")
    queue_length: int | None = msgspec.field(default=None, name="current_queue_length")
    warning: str = ""


class Answers(list[AnswerT]):
    """One answer a job, in order; an error for each job that failed."""

    @property
    def failed(self) -> int:
        """How many jobs failed. Cost: O(jobs)."""
        return sum(isinstance(answer, SharqError) for answer in self)


class LeasedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job in this worker's hands until `leased_until_ms`.

    Attributes:
        lease: the token that finishes, extends or releases it.
        leased_until_ms: end of the lease, ms since the epoch by the store's clock.
        enqueued_at_ms: when it was enqueued, ms since the epoch by the store's clock.
        attempt: 1 for the first delivery.
        requeues_remaining: how often it may still come back; -1 for ever.
        queue_length: jobs still queued in its queue after this one.
        payload_json: the payload's JSON text.
    """

    queue_type: str = ""
    queue_id: str
    job_id: str
    lease: str
    leased_until_ms: int = msgspec.field(name="lease_expires_at")
    enqueued_at_ms: int = msgspec.field(name="enqueued_at")
    attempt: int
    requeues_remaining: int
    queue_length: int = msgspec.field(name="current_queue_length")
    payload_json: msgspec.Raw = msgspec.field(name="payload")

    @property
    def payload(self) -> Any:
        """The payload, decoded at each use. Cost: O(its bytes)."""
        return msgspec.json.decode(self.payload_json)

    @property
    def payload_bytes(self) -> bytes:
        """The payload's JSON text as it was enqueued."""
        return bytes(self.payload_json)

    def payload_as(self, kind: type[PayloadT]) -> PayloadT:
        """The payload decoded and checked as a type that msgspec knows; raises msgspec.ValidationError."""
        return msgspec.json.decode(self.payload_json, type=kind)


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the server knows of one job.

    Attributes:
        attempt: deliveries so far, 0 before the first.
        enqueued_at_ms: ms since the epoch by the store's clock.
        leased_until_ms: end of the lease of a leased job, else None.
        position: 1 for the next job of its queue; None unless queued.
        payload_json: the payload's JSON text; empty for a finished job, whose payload is not kept.
    """

    state: JobState
    attempt: int
    enqueued_at_ms: int = msgspec.field(name="enqueued_at")
    leased_until_ms: int | None = msgspec.field(default=None, name="lease_expires_at")
    position: int | None = None
    payload_json: msgspec.Raw = msgspec.field(default=NOT_KEPT, name="payload")

    @property
    def payload(self) -> Any:
        """The payload, decoded at each use; None when it is not kept. Cost: O(its bytes)."""
        return msgspec.json.decode(self.payload_json) if bytes(self.payload_json) else None


class QueueStats(msgspec.Struct, frozen=True, kw_only=True):
    """One queue as it is now.

    Attributes:
        interval_ms: least time between two leases, fractions possible; 0 for unlimited.
        burst: leases that may go back to back when late, at least 1.
        is_pinned: an operator set the rate, and enqueues do not change it.
        is_paused: it takes jobs and gives none.
        queued: jobs that wait for the rate; delayed: jobs whose time has not come; leased: jobs in workers'
            hands.
        next_ready_in_ms: time until it may next be leased from; None when nothing is queued or it is paused.
        oldest_age_ms: time since the job at its head was enqueued; None when nothing is queued.
    """

    interval_ms: float = msgspec.field(name="interval")
    burst: int
    is_pinned: bool = msgspec.field(name="pinned")
    is_paused: bool = msgspec.field(default=False, name="paused")
    queued: int
    delayed: int = 0
    leased: int
    next_ready_in_ms: float | None = msgspec.field(default=None, name="next_ready_in")
    oldest_age_ms: float | None = msgspec.field(default=None, name="oldest_age")


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was enqueued and leased in the last ten minutes: {start of the minute in ms: count}, ten entries.

    Attributes:
        queue_types: types with queued, delayed or leased jobs; empty in the answer for one queue.
        queue_length: jobs queued, in the answer for one queue, else None.
    """

    queue_types: list[str] = msgspec.field(default_factory=list)
    queue_length: int | None = None
    enqueue_counts: dict[int, int]
    dequeue_counts: dict[int, int]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A job past its requeue limit, kept for a person.

    Attributes:
        attempt: how often it was delivered.
        enqueued_at_ms, dead_at_ms: ms since the epoch by the store's clock.
        payload_json: the payload's JSON text.
    """

    queue_id: str
    job_id: str
    attempt: int
    enqueued_at_ms: int = msgspec.field(name="enqueued_at")
    dead_at_ms: int = msgspec.field(name="dead_at")
    payload_json: msgspec.Raw = msgspec.field(name="payload")

    @property
    def payload(self) -> Any:
        """The payload, decoded at each use. Cost: O(its bytes)."""
        return msgspec.json.decode(self.payload_json)
