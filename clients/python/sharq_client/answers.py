"""Defines the server's answers as frozen values, with times in ms. A payload stays JSON text until it is read."""

from __future__ import annotations

import enum
from typing import Any, TypeVar

import msgspec

from sharq_client.campaigns.limits import Limit
from sharq_client.campaigns.quotas import QuotaUse
from sharq_client.errors import SharqError
from sharq_client.requests import OnExpiry, RetryPolicy

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
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_ENDED = frozenset({JobState.FINISHED, JobState.DEAD, JobState.CANCELLED, JobState.EXPIRED})


class DeadReason(enum.StrEnum):
    """The reason why a job became a dead letter: it passed its requeue limit, or it expired."""

    LIMIT = "limit"
    EXPIRED = "expired"


class Enqueued(msgspec.Struct, frozen=True):
    """The answer to an enqueue: the server has the job.

    Attributes:
        job_id: the id of the job. The client generated it if the caller gave none.
        duplicate: True if the server had the job already, so that nothing changed. After a retry, the first try of
            the same call may have queued it.
        current_queue_length: the number of queued and delayed jobs before this one; None unless a maximum was given.
        warning: the reason why the queue cannot keep the rate that was sent; empty for none, and after enqueue_many.
    """

    job_id: str = ""
    duplicate: bool = False
    current_queue_length: int | None = None
    warning: str = ""


class Answers(list[AnswerT]):
    """The answers of a bulk call: one for each job, in order, and an error for each job that failed."""

    @property
    def failed(self) -> int:
        """The number of jobs that failed. Cost: O(jobs)."""
        return sum(isinstance(answer, SharqError) for answer in self)


class LeasedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that this client holds the lease of until `lease_expires_at`.

    Attributes:
        lease: the token with which to finish, extend or release the job.
        lease_expires_at: the end of the lease, in ms since the epoch by the store's clock.
        enqueued_at: the time of the enqueue, in ms since the epoch by the store's clock.
        attempt: the number of this delivery, 1 for the first.
        requeues_remaining: the number of requeues that remain; -1 for no limit.
        current_queue_length: the number of jobs still queued in the job's queue.
        cost: the number of slots of the rate that the lease took.
        priority: the priority of the job, 1 to 9; 1 is leased first.
        expires_at: the time at which the job would have expired if it had not been leased, in ms since the epoch by
            the store's clock; None if it never expires. The lease may outlive it.
        traceparent, tracestate: the context of the trace in which the job was made, in the form of W3C Trace Context;
            None for none.
        payload_json: the JSON text of the payload.
    """

    queue_type: str = ""
    queue_id: str
    job_id: str
    lease: str
    lease_expires_at: int
    enqueued_at: int
    attempt: int
    requeues_remaining: int
    current_queue_length: int
    cost: int = 1
    priority: int = 5
    expires_at: int | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    payload_json: msgspec.Raw = msgspec.field(name="payload")

    @property
    def payload(self) -> Any:
        """The payload, decoded at each use. Cost: O(its bytes)."""
        return msgspec.json.decode(self.payload_json)

    @property
    def payload_bytes(self) -> bytes:
        """The JSON text of the payload, as it was enqueued."""
        return bytes(self.payload_json)

    def payload_as(self, kind: type[PayloadT]) -> PayloadT:
        """Return the payload as a type that msgspec supports. Raise msgspec.ValidationError if it does not match."""
        return msgspec.json.decode(self.payload_json, type=kind)


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one job.

    Attributes:
        attempt: the number of deliveries so far, 0 before the first.
        enqueued_at: the time of the enqueue, in ms since the epoch by the store's clock.
        lease_expires_at: the end of the lease, in ms since the epoch by the store's clock; None unless leased.
        position: the place in the queue, 1 for the next job; None unless queued.
        priority: 1 to 9; 1 is leased first.
        cost: the number of slots of the rate that a lease takes.
        requeue_limit: the number of times that the job is requeued after a failed attempt; -1 for no limit.
        retry: the retry policy of the job itself; None for that of its queue or gathered type.
        delayed_until: the time at which the job is queued, in ms since the epoch by the store's clock; None unless
            delayed.
        expires_at: the time from which the job is not leased, in ms since the epoch by the store's clock; None if it
            never expires.
        on_expiry: the fate of the job when it expires; None if it never expires.
        window: the window of the job itself; None for none.
        ignore_window: True if no window holds it back.
        opens_at: the time at which its windows let it leave, in ms since the epoch by the store's clock; None if
            they are open, or if it is not known.
        blocked_by: why it is not leased now, such as "window" or "cap:acct17"; None if its queue hands out a job.
        dead_at: the time at which it became a dead letter, in ms since the epoch by the store's clock; None unless
            dead.
        reason: the reason why it became a dead letter; None unless dead.
        error: the text of the latest release with an error; None if there was none.
        error_attempt: the number of the delivery that ended with the error.
        error_at: the time of that release, in ms since the epoch by the store's clock.
        result_json: the JSON text of the result of a finished job; empty if it had none, or if it is not kept.
        progress_json: the JSON text of the latest progress of a job that has not ended; empty if there was none.
        progress_at: the time of that report, in ms since the epoch by the store's clock.
        batch: the batch of the job; None for none, and once the job or its batch is forgotten.
        traceparent, tracestate: the context of the trace in which the job was made; None for none, and once the job is
            forgotten.
        payload_json: the JSON text of the payload; empty for a finished, cancelled or dropped job, whose payload is not
            kept.
    """

    state: JobState
    attempt: int
    enqueued_at: int
    lease_expires_at: int | None = None
    position: int | None = None
    priority: int = 5
    cost: int = 1
    requeue_limit: int | None = None
    retry: RetryPolicy | None = None
    delayed_until: int | None = None
    expires_at: int | None = None
    on_expiry: OnExpiry | None = None
    window: str | None = None
    ignore_window: bool = False
    opens_at: int | None = None
    blocked_by: str | None = None
    dead_at: int | None = None
    reason: DeadReason | None = None
    error: str | None = None
    error_attempt: int | None = None
    error_at: int | None = None
    result_json: msgspec.Raw = msgspec.field(default=NOT_KEPT, name="result")
    progress_json: msgspec.Raw = msgspec.field(default=NOT_KEPT, name="progress")
    progress_at: int | None = None
    batch: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    payload_json: msgspec.Raw = msgspec.field(default=NOT_KEPT, name="payload")

    @property
    def has_ended(self) -> bool:
        """True if the job is finished, dead, cancelled or expired."""
        return self.state in _ENDED

    @property
    def payload(self) -> Any:
        """The payload, decoded at each use; None if it is not kept. Cost: O(its bytes)."""
        return _value_of(self.payload_json)

    @property
    def result(self) -> Any:
        """The result, decoded at each use; None if there is none. Cost: O(its bytes)."""
        return _value_of(self.result_json)

    @property
    def progress(self) -> Any:
        """The progress, decoded at each use; None if there is none. Cost: O(its bytes)."""
        return _value_of(self.progress_json)


def _value_of(text: msgspec.Raw) -> Any:
    return msgspec.json.decode(text) if bytes(text) else None


class JobRow(JobStatus, frozen=True, kw_only=True):
    """One job in a list of a queue's jobs."""

    job_id: str


class QueueStats(msgspec.Struct, frozen=True, kw_only=True):
    """The current state of one queue.

    Attributes:
        interval: the least time between two leases, fractions possible; 0 for unlimited.
        rate: the same as a rate, such as "40/s"; None if it is unlimited.
        burst: the most leases that may go back to back when the queue is late, at least 1, fractions possible.
        pinned: True if an operator has fixed the rate, so that enqueues do not change it.
        paused: True if the queue accepts jobs but hands none out.
        queued: the number of jobs that wait for the rate.
        delayed: the number of jobs whose delay has not passed.
        leased: the number of leased jobs.
        dead: the number of dead letters.
        max_leased: the most jobs leased at a time; None for no maximum.
        weight: the number of jobs that the queue gives in its turn.
        held_until: the time before which no job is leased, in ms since the epoch by the store's clock; None if the
            queue is not held.
        settings: the names of the fields that an operator has set, which enqueues do not change.
        blocked_by: why the queue hands out no job now, such as "rate", "empty" or "cap:acct17"; None if it does.
        next_ready_in: the time until the next lease is possible; None if nothing is queued or it is not known.
        oldest_age: the time since the first queued job was enqueued; None if nothing is queued.
        retry, expires, on_expiry: the settings for jobs that have none of their own; None for none.
        window: the name of its window; None for none.
        caps: the names of the caps that it shares with other queues.
    """

    interval: float
    rate: str | None = None
    burst: float
    pinned: bool
    paused: bool = False
    queued: int
    delayed: int = 0
    leased: int
    dead: int = 0
    max_leased: int | None = None
    weight: int = 1
    held_until: int | None = None
    settings: tuple[str, ...] = ()
    blocked_by: str | None = None
    next_ready_in: float | None = None
    oldest_age: float | None = None
    retry: RetryPolicy | None = None
    expires: float | None = None
    on_expiry: OnExpiry | None = None
    window: str | None = None
    caps: tuple[str, ...] = ()


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    """One queue in a list. Fields that QueueStats has, too, mean the same.

    Attributes:
        delivered: the number of jobs leased in the last complete minute.
        promised: the number of jobs that the queue should have given in that minute: as many as its rate allows, but no
            more than it gave and has waiting; None at an unlimited rate.
    """

    queue_id: str
    interval: float
    rate: str | None
    burst: float
    queued: int
    delayed: int
    leased: int
    dead: int
    max_leased: int | None
    delivered: int
    promised: int | None
    blocked_by: str | None
    next_ready_in: float | None
    oldest_age: float | None = None
    caps: tuple[str, ...] = ()


class QueueAge(msgspec.Struct, frozen=True, kw_only=True):
    """The waiting jobs of one queue. Fields that QueueStats has, too, mean the same.

    Attributes:
        due_for: the time for which the queue has been ready; None if it is not ready now.
    """

    queue_id: str
    queued: int
    delayed: int
    leased: int
    due_for: float | None
    oldest_age: float | None


class TypeStats(msgspec.Struct, frozen=True, kw_only=True):
    """The current state of a gathered type. Fields that QueueStats has, too, mean the same for all queues together.

    Attributes:
        limits: the limits that all queues of the type share.
        quotas: the quotas that all queues of the type share, with what is used of them.
        queues: the number of queues that the server keeps a record of.
        warning: the limit that is not delivered in full at its burst; empty if there is none.
    """

    limits: list[Limit]
    max_leased: int | None
    paused: bool
    held_until: int | None
    queued: int
    delayed: int
    leased: int
    dead: int
    queues: int
    blocked_by: str | None
    next_ready_in: float | None
    warning: str = ""
    retry: RetryPolicy | None = None
    expires: float | None = None
    on_expiry: OnExpiry | None = None
    window: str | None = None
    quotas: list[QuotaUse] = []


class TypeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One type in a list, with its numbers over all queues.

    Attributes:
        enqueued, delivered: the numbers of jobs enqueued and leased in the last complete minute.
        blocked_by: why no queue of the type hands out a job now; None if one does.
    """

    queue_type: str
    queued: int
    delayed: int
    leased: int
    dead: int
    enqueued: int
    delivered: int
    blocked_by: str | None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of enqueued and leased jobs in the last ten minutes.

    Attributes:
        queue_types: the types with queued, delayed or leased jobs; empty in the answer for one queue.
        queue_length: the number of queued jobs in the answer for one queue, else None.
        enqueue_counts: start of the minute, in ms since the epoch → enqueued jobs; ten entries.
        dequeue_counts: start of the minute, in ms since the epoch → leased jobs; ten entries.
        unread_partitions: the partitions that the counts are without, because their data is broken.
    """

    queue_types: list[str] = msgspec.field(default_factory=list)
    queue_length: int | None = None
    enqueue_counts: dict[int, int]
    dequeue_counts: dict[int, int]
    unread_partitions: list[int] = []


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A job that passed its requeue limit or expired, kept for inspection.

    Attributes:
        attempt: the number of deliveries.
        enqueued_at: the time of the enqueue, in ms since the epoch by the store's clock.
        dead_at: the time at which it became a dead letter, in ms since the epoch by the store's clock.
        reason: the reason why it became one.
        error: the text of the latest release with an error; None if there was none.
        error_attempt: the number of the delivery that ended with the error.
        error_at: the time of that release, in ms since the epoch by the store's clock.
        payload_json: the JSON text of the payload.
    """

    queue_id: str
    job_id: str
    attempt: int
    enqueued_at: int
    dead_at: int
    reason: DeadReason = DeadReason.LIMIT
    error: str | None = None
    error_attempt: int | None = None
    error_at: int | None = None
    payload_json: msgspec.Raw = msgspec.field(name="payload")

    @property
    def payload(self) -> Any:
        """The payload, decoded at each use. Cost: O(its bytes)."""
        return msgspec.json.decode(self.payload_json)
