"""What a router says to a shard and what it hears back: one frozen Struct a call, each naming its reply's type.

In one process a call is a method call (`ShardPort`); over the link it will be a frame. A call about one queue goes to
the owner of the queue's partition; bulk calls are split by owner first.
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


class Failure(msgspec.Struct, frozen=True, array_like=True, tag="f"):
    """One job of a bulk call that could not be answered: the code and message of the error class.

    is_away: the shard does not reach the job's store server; another shard may.
    """

    code: str
    message: str
    is_away: bool = False


class Call(msgspec.Struct, Generic[ReplyT], frozen=True, array_like=True, tag=True):
    """A call whose reply is a ReplyT."""


class Enqueue(Call[list[Enqueued | Failure]], frozen=True):
    """One answer a job, in order."""

    jobs: list[NewJob]


class Dequeued(msgspec.Struct, frozen=True, array_like=True):
    """Leased jobs, none when nothing is ready, and the time until the shard's next job of the type is due.

    next_due_in_us: None when nothing is queued here; negative when more is ready, by how long it has been.
    """

    jobs: list[LeasedJob]
    next_due_in_us: int | None


class Dequeue(Call[Dequeued], frozen=True):
    """Lease up to `count` ready jobs of a type, from any queue of this shard; never waits for one."""

    queue_type: str
    count: int
    lease_us: int


class Peek(Call[int | None], frozen=True):
    """Time in µs until the shard's next job of the type is due (negative: since), or None.

    Reads no store while the node is sure of its index. After a change of the ring, and for partitions that it served
    for another node, it reads their agendas before it says that nothing is due.
    """

    queue_type: str


class Finish(Call[list[LeaseOutcome | Failure]], frozen=True):
    """One answer a job, in order."""

    jobs: list[FinishJob]


class Extend(Call[list[LeaseOutcome | Failure]], frozen=True):
    """One answer a job, in order."""

    jobs: list[ExtendJob]


class Release(Call[list[LeaseOutcome | Failure]], frozen=True):
    """One answer a job, in order."""

    jobs: list[ReleaseJob]


class SetRate(Call[bool], frozen=True):
    """Change a queue's rate; False when the queue does not exist (pin True creates it).

    burst None and pin None leave those as they are.
    """

    key: QueueKey
    interval_us: int
    burst: int | None = None
    pin: bool | None = None


class SetPaused(Call[bool], frozen=True):
    """Pause or resume a queue; False when it does not exist."""

    key: QueueKey
    is_paused: bool


class DeleteQueue(Call[DeletedQueue], frozen=True):
    """Drop what is queued and delayed; purge: forget the rate once its ready time has passed."""

    key: QueueKey
    purge: bool = False


class GetQueue(Call[QueueStats], frozen=True):
    """What is known of one queue."""

    key: QueueKey


class GetJob(Call[JobStatus | None], frozen=True):
    """What is known of one job; None for nothing."""

    key: QueueKey
    job_id: str


class ListQueues(Call[QueuePage], frozen=True):
    """About `limit` queues of one partition from `scan` on (0: from the start)."""

    queue_type: str
    partition: int
    scan: int
    limit: int


class GetTop(Call[TopQueues], frozen=True):
    """Up to `limit` queues of a type in some partitions that come first; bounded in what it looks at."""

    queue_type: str
    partitions: list[int]
    by: TopOrder
    limit: int


class GetCounts(Call[Counts], frozen=True):
    """The counters of some partitions together."""

    partitions: list[int]


class ListDead(Call[DeadPage], frozen=True):
    """Up to `limit` dead letters of one partition from `scan` on (empty: from the start), oldest first."""

    queue_type: str
    partition: int
    scan: str
    limit: int


class Redrive(Call[list[RedriveStatus | Failure]], frozen=True):
    """Queue these dead letters again, attempts from 0. One answer each, in order."""

    jobs: list[DeadRef]


class DropDead(Call[int], frozen=True):
    """Drop up to `limit` of a partition's dead letters, oldest first; returns how many were dropped.

    before_us: those that died later, by the time of the partition's server, are left; None leaves none.
    """

    queue_type: str
    partition: int
    limit: int
    before_us: int | None = None


class Cover(Call[None], frozen=True):
    """Answer for these partitions too for a while: their owner cannot be reached. Returns when they have been read."""

    partitions: list[int]


class Yield(Call[None], frozen=True):
    """Others answer for these partitions now, since this shard has said that it does not reach their store server.

    For a second it counts them as nobody's that it answers for, and while their server is silent it refuses what it has
    not sent. Said only to a shard that has said so (frames.Away), again and again while it holds.
    """

    partitions: list[int]


class DescribeStore(Call[StoreState], frozen=True):
    """What the node says of its store."""


class CheckStore(Call[None], frozen=True):
    """Returns when every store node answers; raises Unavailable when one does not."""


class Member(msgspec.Struct, frozen=True, array_like=True):
    """One shard node.

    Attributes:
        incarnation: random, made anew by each process, so that a restart is told from a pause.
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
    """Who is there, as the store's membership says. The ring is built from it (sharq_core/partitions.py).

    Attributes:
        version: grows with every change of the members; the higher view is the newer.
        partitions: P.
        members: sorted by node_id.
    """

    version: int
    partitions: int
    members: tuple[Member, ...]

    def serving(self) -> frozenset[str]:
        """The nodes that own partitions: those that do not drain, or all when every one does."""
        return frozenset(one.node_id for one in self.members if not one.is_draining) or frozenset(
            one.node_id for one in self.members
        )


OnDue: TypeAlias = Callable[[int | None], None]
"""Told the time in µs until the shard's next job of the type is due (negative: since), None for nothing queued."""


class ShardPort(Protocol):
    """How a router reaches one shard."""

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
        """Stop; unknown watches are ignored."""
        ...
