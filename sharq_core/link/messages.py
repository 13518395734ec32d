"""Defines the calls of a router to a shard, one frozen Struct each, and the types of their replies.

In one process a call is a method call (`ShardPort`); over the link it is a frame. A call about one queue (`QueueCall`)
or one partition (`PartitionCall`) goes to the owner of the partition. A call about jobs (`JobsCall`) is split by owner
first. Each of these names the function of the scheduler that carries it out, so that router and shard need no code of
its own for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from sharq_core.limits import Burst
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.store_state import StoreState
from sharq_core.models import (
    Counts,
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
    ReleaseJob,
)
from sharq_core.partitions import partition_of
from sharq_core.top_queues import TopOrder, TopQueues

ReplyT = TypeVar("ReplyT")

FORMATS = 8
"""The newest record format, and the newest calls and fields of calls, that this version can handle.

2: limits (cost, holds, fractional bursts, leases at once, gathered types). 3: the life of a job (priority, expiry,
retries, errors, cancellation, changes, lists of jobs). 4: campaigns (windows, quotas, results, progress, batches,
schedules). 5: ids of queues, jobs and batches with `:` and `/`. 6: reports of load, searches of queues. 7: named caps,
questions about several types. 8: named dead letters are dropped. A router sends nothing newer than what every member
can handle.
"""


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
    """A call whose reply is a ReplyT.

    Attributes:
        function: the method of the scheduler's Functions that makes the call to the store; empty if the shard does more
            than run one function.
        is_read: the call has no lasting effect: if no answer comes, nothing was done.
        formats: the value of Member.formats from which on a shard knows the call.
    """

    function: ClassVar[str] = ""
    is_read: ClassVar[bool] = False
    formats: ClassVar[int] = 1


class JobsCall(Call[ReplyT], Generic[ReplyT], frozen=True):
    """A call about jobs, given as `jobs`; the reply has one answer for each, in order.

    The function takes the jobs of one partition and type.

    Attributes:
        text_field: the field of the jobs that holds JSON text, whose bytes are bounded; empty for none.
        ends_jobs: a job may be over after the call, so its watchers are notified (JobEnds).
    """

    text_field: ClassVar[str] = ""
    ends_jobs: ClassVar[bool] = False


class QueueCall(Call[ReplyT], Generic[ReplyT], frozen=True):
    """A call about one queue. The function takes the partition, the type, the id and, by name, the other fields."""

    key: QueueKey

    def partition_in(self, partitions: int) -> int:
        """Return the partition of the queue, one of `partitions`."""
        return partition_of(self.key.queue_type, self.key.queue_id, partitions)


class PartitionCall(Call[ReplyT], Generic[ReplyT], frozen=True):
    """A call about a type in one partition. The function takes both and, by name, the other fields."""

    queue_type: str
    partition: int

    def partition_in(self, partitions: int) -> int:  # noqa: ARG002 - the other calls need the number
        """Return the partition that the call names."""
        return self.partition


class Enqueue(JobsCall[list[Enqueued | Failure]], frozen=True):
    """A call that enqueues jobs. One answer per job, in order."""

    function: ClassVar[str] = "enqueue"
    text_field: ClassVar[str] = "payload"

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

    is_read: ClassVar[bool] = True

    queue_type: str


class Finish(JobsCall[list[LeaseOutcome | Failure]], frozen=True):
    """A call that finishes jobs. One answer per job, in order."""

    function: ClassVar[str] = "finish"
    text_field: ClassVar[str] = "result"
    ends_jobs: ClassVar[bool] = True

    jobs: list[FinishJob]


class Extend(JobsCall[list[LeaseOutcome | Failure]], frozen=True):
    """A call that extends leases. One answer per job, in order."""

    function: ClassVar[str] = "extend"
    text_field: ClassVar[str] = "progress"

    jobs: list[ExtendJob]


class Release(JobsCall[list[LeaseOutcome | Failure]], frozen=True):
    """A call that releases jobs. One answer per job, in order."""

    function: ClassVar[str] = "release"
    ends_jobs: ClassVar[bool] = True

    jobs: list[ReleaseJob]


class SetRate(QueueCall[bool], frozen=True):
    """A call that changes a queue's rate; False if the queue does not exist (pin True creates it).

    burst None and pin None leave those as they are.
    """

    function: ClassVar[str] = "interval"

    interval_us: int
    burst: Burst | None = None
    pin: bool | None = None


class SetPaused(QueueCall[bool], frozen=True):
    """A call that pauses or resumes a queue; False if it does not exist."""

    function: ClassVar[str] = "pause"

    is_paused: bool


class DeleteQueue(QueueCall[DeletedQueue], frozen=True):
    """A call that drops the queued and delayed jobs of a queue.

    Attributes:
        purge: also forget the rate once its ready time has passed.
    """

    function: ClassVar[str] = "delete_queue"

    purge: bool = False


class GetQueue(QueueCall[QueueStats], frozen=True):
    """A call for the statistics of one queue, its burst rounded down: a router of format 1 reads whole bursts only."""

    function: ClassVar[str] = "get_queue"
    is_read: ClassVar[bool] = True


class GetJob(QueueCall[JobStatus | None], frozen=True):
    """A call for the state of one job; None if it is unknown.

    Attributes:
        knows_life: the caller can decode the states and fields of format 3.
    """

    function: ClassVar[str] = "get_job"
    is_read: ClassVar[bool] = True
    job_id: str
    knows_life: bool = False


class ListQueues(PartitionCall[QueuePage], frozen=True):
    """A call for about `limit` queues of one partition from `scan` on (0: from the start)."""

    function: ClassVar[str] = "list_queues"
    is_read: ClassVar[bool] = True

    scan: int
    limit: int


class GetTop(Call[TopQueues], frozen=True):
    """A call for the first `limit` queues, at most, of a type in some partitions by an order; its work is bounded."""

    is_read: ClassVar[bool] = True

    queue_type: str
    partitions: list[int]
    by: TopOrder
    limit: int


class GetCounts(Call[Counts], frozen=True):
    """A call for the summed counters of some partitions."""

    is_read: ClassVar[bool] = True

    partitions: list[int]


class Cover(Call[None], frozen=True):
    """A call to serve these partitions too for a while, because their owner cannot be reached.

    It returns once they are read.
    """

    is_read: ClassVar[bool] = True

    partitions: list[int]


class Yield(Call[None], frozen=True):
    """A notice that others serve these partitions.

    This shard has reported that it does not reach their store server. For a second the shard does not count itself as
    their owner. While their server is silent it refuses the calls that it has not sent. The notice goes only to a shard
    that has sent frames.Away, and is repeated while that holds.
    """

    is_read: ClassVar[bool] = True

    partitions: list[int]


class DescribeStore(Call[StoreState], frozen=True):
    """A call for the node's state of its store."""

    is_read: ClassVar[bool] = True


class CheckStore(Call[None], frozen=True):
    """A call that returns once every store node answers, and raises Unavailable if one does not."""

    is_read: ClassVar[bool] = True


class Member(msgspec.Struct, frozen=True, array_like=True):
    """One shard node.

    Attributes:
        incarnation: random and new for each process, so that a restart differs from a pause.
        address: host:port of its link; empty for a node inside a router's process.
        is_draining: it stops soon; it owns nothing any more and still answers.
        formats: the newest format (FORMATS) that it can handle.
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

    def news(self, earlier: View | None) -> str:
        """Return the members for the log, and who joined and left since the earlier view, if there are members in it.

        A process that is started again joins. Example: `members=a,b (draining),d joined=d left=c`.
        """
        parts = ["members=" + ",".join(m.node_id + " (draining)" * m.is_draining for m in self.members)]
        if earlier is not None and earlier.members:
            before, here = ({m.node_id: m.incarnation for m in view.members} for view in (earlier, self))
            joined = [node_id for node_id in here if before.get(node_id) != here[node_id]]
            left = [node_id for node_id in before if node_id not in here]
            parts += [f"{word}={','.join(ids)}" for word, ids in (("joined", joined), ("left", left)) if ids]
        return " ".join(parts)


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

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Call on_end whenever a call through this shard has perhaps ended the job.

        A lease that ends by time, and a call through another shard, cause no notice, so the watcher reads the job's
        state from time to time.
        """
        ...

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Stop calling on_end; an unknown watch is ignored."""
        ...
