"""Defines the calls of a router to a shard, one frozen Struct each, and the types of their replies.

In one process a call is a method call (`ShardPort`); over the link it is a frame. A call about one queue goes to the
owner of the queue's partition; bulk calls are split by owner first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeAlias, TypeVar

import msgspec

from sharq_core.models import (
    Counts,
    DeadPage,
    DeadRef,
    DeletedQueue,
    Enqueued,
    ExtendJob,
    FinishJob,
    JobStatus,
    LeasedJob,
    LeaseOutcome,
    NewJob,
    QueueKey,
    QueuePage,
    QueueStats,
    RedriveStatus,
    ReleaseJob,
    StoreState,
    TopOrder,
    TopQueues,
)

ReplyT = TypeVar("ReplyT")


class Addressed(Protocol):
    """An object that names its queue."""

    @property
    def queue_type(self) -> str:
        """The queue's type."""
        ...

    @property
    def queue_id(self) -> str:
        """The queue's id within its type."""
        ...


class Failure(msgspec.Struct, frozen=True, array_like=True, tag="f"):
    """A job of a bulk call that failed: the code and message of the error class.

    Attributes:
        is_away: the shard does not reach the job's store server; another shard may.
    """

    code: str
    message: str
    is_away: bool = False


class Call(msgspec.Struct, Generic[ReplyT], frozen=True, array_like=True, tag=True):
    """A call whose reply is a ReplyT."""


class Enqueue(Call[list[Enqueued | Failure]], frozen=True):
    """A call that enqueues jobs. One answer per job, in order."""

    jobs: list[NewJob]


class Dequeued(msgspec.Struct, frozen=True, array_like=True):
    """Leased jobs, none if nothing is ready, and the time until the shard's next job of the type is due.

    Attributes:
        next_due_in_us: microseconds until then; None if nothing is queued here; negative if more is ready, by how long
            it has been.
    """

    jobs: list[LeasedJob]
    next_due_in_us: int | None


class Dequeue(Call[Dequeued], frozen=True):
    """A call that leases up to `count` ready jobs of a type from any queue of this shard; it never waits for one."""

    queue_type: str
    count: int
    lease_us: int


class Peek(Call[int | None], frozen=True):
    """A call for the time in µs until the shard's next job of the type is due (negative: since), or None.

    It reads no store while the node's index is complete. After a change of the ring, and for partitions that it served
    for another node, the node reads their agendas before it answers that nothing is due.
    """

    queue_type: str


class Finish(Call[list[LeaseOutcome | Failure]], frozen=True):
    """A call that finishes jobs. One answer per job, in order."""

    jobs: list[FinishJob]


class Extend(Call[list[LeaseOutcome | Failure]], frozen=True):
    """A call that extends leases. One answer per job, in order."""

    jobs: list[ExtendJob]


class Release(Call[list[LeaseOutcome | Failure]], frozen=True):
    """A call that releases jobs. One answer per job, in order."""

    jobs: list[ReleaseJob]


class SetRate(Call[bool], frozen=True):
    """A call that changes a queue's rate; False if the queue does not exist (pin True creates it).

    burst None and pin None leave those as they are.
    """

    key: QueueKey
    interval_us: int
    burst: int | None = None
    pin: bool | None = None


class SetPaused(Call[bool], frozen=True):
    """A call that pauses or resumes a queue; False if it does not exist."""

    key: QueueKey
    is_paused: bool


class DeleteQueue(Call[DeletedQueue], frozen=True):
    """A call that drops the queued and delayed jobs of a queue.

    Attributes:
        purge: also forget the rate once its ready time has passed.
    """

    key: QueueKey
    purge: bool = False


class GetQueue(Call[QueueStats], frozen=True):
    """A call for the statistics of one queue."""

    key: QueueKey


class GetJob(Call[JobStatus | None], frozen=True):
    """A call for the state of one job; None if it is unknown."""

    key: QueueKey
    job_id: str


class ListQueues(Call[QueuePage], frozen=True):
    """A call for about `limit` queues of one partition from `scan` on (0: from the start)."""

    queue_type: str
    partition: int
    scan: int
    limit: int


class GetTop(Call[TopQueues], frozen=True):
    """A call for the first `limit` queues, at most, of a type in some partitions by an order; its work is bounded."""

    queue_type: str
    partitions: list[int]
    by: TopOrder
    limit: int


class GetCounts(Call[Counts], frozen=True):
    """A call for the summed counters of some partitions."""

    partitions: list[int]


class ListDead(Call[DeadPage], frozen=True):
    """A call for up to `limit` dead letters of one partition from `scan` on (empty: from the start), oldest first."""

    queue_type: str
    partition: int
    scan: str
    limit: int


class Redrive(Call[list[RedriveStatus | Failure]], frozen=True):
    """A call that queues dead letters again, attempts from 0. One answer each, in order."""

    jobs: list[DeadRef]


class DropDead(Call[int], frozen=True):
    """A call that drops up to `limit` of a partition's dead letters, oldest first; it returns their number.

    Attributes:
        before_us: keep those that died later, by the time of the partition's server; None keeps none.
    """

    queue_type: str
    partition: int
    limit: int
    before_us: int | None = None


class Cover(Call[None], frozen=True):
    """A call to serve these partitions too for a while, because their owner cannot be reached.

    It returns once they are read.
    """

    partitions: list[int]


class Yield(Call[None], frozen=True):
    """A notice that others serve these partitions.

    This shard has reported that it does not reach their store server. For a second the shard does not count itself as
    their owner. While their server is silent it refuses the calls that it has not sent. The notice goes only to a shard
    that has sent frames.Away, and is repeated while that holds.
    """

    partitions: list[int]


class DescribeStore(Call[StoreState], frozen=True):
    """A call for the node's state of its store."""


class CheckStore(Call[None], frozen=True):
    """A call that returns once every store node answers, and raises Unavailable if one does not."""


class Member(msgspec.Struct, frozen=True, array_like=True):
    """One shard node.

    Attributes:
        incarnation: random and new for each process, so that a restart is told from a pause.
        address: host:port of its link; empty for a node inside a router's process.
        is_draining: it stops soon; it owns nothing any more and still answers.
        formats: the newest record format that it can read.
    """

    node_id: str
    incarnation: str
    address: str
    is_draining: bool = False
    formats: int = 1


class View(msgspec.Struct, frozen=True, array_like=True):
    """The members by the store's membership; the ring is built from it (sharq_core/partitions.py).

    Attributes:
        version: grows with every change of the members; the higher view is the newer.
        partitions: P.
        members: sorted by node_id.
    """

    version: int
    partitions: int
    members: tuple[Member, ...]

    def serving(self) -> frozenset[str]:
        """Return the nodes that own partitions: those that do not drain, or all if every one does."""
        return frozenset(member.node_id for member in self.members if not member.is_draining) or frozenset(
            member.node_id for member in self.members
        )


OnDue: TypeAlias = Callable[[int | None], None]
"""A listener for the time in µs until the shard's next job of the type is due (negative: since); None for nothing
queued.
"""


class ShardPort(Protocol):
    """The interface through which a router reaches one shard."""

    def call(self, call: Call[ReplyT]) -> Awaitable[ReplyT]:
        """Send one call, to be awaited at once.

        Raises:
            Overloaded, Unavailable, StoreFull: nothing was done.
            OutcomeUnknown: it may have been done.
        """
        ...

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        """Call on_due with the current next-due time soon, and again whenever an earlier one becomes known."""
        ...

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        """Stop calling on_due; an unknown watch is ignored."""
        ...
