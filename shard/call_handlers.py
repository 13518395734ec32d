"""Handles each call of a router: calls about jobs in batches, calls about a queue or partition as one function call.

Those need no code here: the call names its function (shard/scheduler_calls.py). The calls that need more have a handler
each. shard/dequeuer.py does the dequeues; sharq_core/link/messages.py defines the calls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from shard.batching.batches import Batches, OnHint
from shard.batching.pipeline import Pipeline
from shard.data_identity.guard import DataGuard
from shard.dequeuer import Dequeuer
from shard.index.counts import count_types
from shard.index.due_subscribers import DueSubscribers
from shard.index.top_queues import top_queues
from shard.metrics.node import NodeMetrics
from shard.scheduler_calls import NotAfter, SchedulerCalls
from sharq_core.errors import InvalidRequest
from sharq_core.link import messages
from sharq_core.link.messages import Addressed, Call, Failure, JobsCall, PartitionCall, QueueCall
from sharq_core.models import Counts, DeadPage, DeletedQueue, NewJob, StoreState, TopQueues
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.functions import Functions
from sharq_core.scheduler.replies import Reply
from sharq_core.scheduler.surveys import SurveyCalls
from sharq_core.store.store import Store

JobT = TypeVar("JobT", bound=Addressed)
OutcomeT = TypeVar("OutcomeT")
ReplyT = TypeVar("ReplyT")


class _OfJobs(Protocol[JobT]):
    """A call about jobs."""

    @property
    def jobs(self) -> list[JobT]: ...


class CallHandlers:
    """The handlers of one node's calls.

    Args:
        not_after_us: see NotAfter.
        on_hint: called with the hint of each reply that may have changed something.
        cover: makes this node serve partitions of other nodes too; it does so once the call returns.
        leave: lets other nodes serve partitions whose server this node does not reach.
        count_away: returns the number of this node's partitions whose server it does not reach.
        make_sure: reads what the index may not know of a type; returns False if it was complete, so that asking again
            is pointless.
        hurry: called with a type that a router asks for and that has nothing ready.
    """

    def __init__(
        self,
        store: Store,
        not_after_us: NotAfter,
        functions: Functions,
        surveys: SurveyCalls,
        pipeline: Pipeline,
        dequeuer: Dequeuer,
        watchers: DueSubscribers,
        partitions: int,
        on_hint: OnHint,
        make_sure: Callable[[str], Awaitable[bool]],
        hurry: Callable[[str], None],
        cover: Callable[[list[int]], Coroutine[Any, Any, None]],
        leave: Callable[[list[int]], Coroutine[Any, Any, None]],
        count_away: Callable[[], int],
        metrics: NodeMetrics,
        guard: DataGuard,
    ) -> None:
        self._guard = guard
        self._store = store
        self._functions = functions
        self._scheduler_calls = SchedulerCalls(functions, not_after_us, partitions)
        self._surveys = surveys
        self._pipeline = pipeline
        self._dequeuer = dequeuer
        self._watchers = watchers
        self._partitions = partitions
        self._on_hint = on_hint
        self._make_sure = make_sure
        self._hurry = hurry
        self._cover = cover
        self._count_away = count_away
        self._metrics = metrics
        self._handlers: dict[type, Callable[[Any], Awaitable[object]]] = {
            **{call: self._run for call in messages.CALLS if issubclass(call, QueueCall | PartitionCall)},
            **{call: partial(self._batch, batches) for call, batches in self._make_batches().items()},
            messages.Dequeue: self._dequeue,
            messages.Peek: self._peek,
            messages.DeleteQueue: self._delete_queue,
            messages.GetTop: self._get_top,
            messages.GetCounts: self._get_counts,
            messages.ListDead: self._list_dead,
            messages.CheckStore: self._check_store,
            messages.DescribeStore: self._describe_store,
            messages.Cover: lambda call: self._cover(call.partitions),
            messages.Yield: lambda call: leave(call.partitions),
        }

    def answer(self, call: Call[ReplyT]) -> Awaitable[ReplyT]:
        """Handle a call; raises as ShardPort.call does."""
        return cast("Awaitable[ReplyT]", self._handlers[type(call)](call))

    def _make_batches(self) -> dict[type[JobsCall[Any]], Batches[Any, Any]]:
        metrics = self._metrics
        count = {
            messages.Enqueue: metrics.enqueues.count,
            messages.Finish: metrics.finishes.count,
            messages.Extend: metrics.extends.count,
            messages.Release: metrics.released,
        }
        return {
            call: Batches(
                self._pipeline,
                self._partitions,
                partial(self._scheduler_calls.of_jobs, call),
                self._on_hint,
                _payload_bytes if call is messages.Enqueue else _no_bytes,
                count.get(call, _count_nothing),
            )
            for call in messages.CALLS
            if issubclass(call, JobsCall)
        }

    def _batch(
        self, batches: Batches[JobT, OutcomeT], call: _OfJobs[JobT]
    ) -> Awaitable[list[OutcomeT | Failure]]:
        """Add the jobs of a call to a batch; the future has one answer per job, in order."""
        answers = batches.add(call.jobs)
        if len(call.jobs) == 1:
            self._pipeline.push()
        return answers

    async def _dequeue(self, call: messages.Dequeue) -> messages.Dequeued:
        jobs = await self._dequeuer.dequeue(call.queue_type, call.count, call.lease_us)
        if not jobs and await self._is_news(call.queue_type):
            jobs = await self._dequeuer.dequeue(call.queue_type, call.count, call.lease_us)
        return messages.Dequeued(jobs, self._watchers.due_in_us(call.queue_type))

    async def _peek(self, call: messages.Peek) -> int | None:
        due_in_us = self._watchers.due_in_us(call.queue_type)
        if (due_in_us is None or due_in_us > 0) and await self._is_news(call.queue_type):
            due_in_us = self._watchers.due_in_us(call.queue_type)
        return due_in_us

    def _is_news(self, queue_type: str) -> Awaitable[bool]:
        """Search for jobs of a type without a known ready one; the result is False if the index was complete."""
        self._hurry(queue_type)
        return self._make_sure(queue_type)

    async def _run(self, call: QueueCall[ReplyT] | PartitionCall[ReplyT]) -> ReplyT:
        """Run the function that a call names, and return its value."""
        function_call = self._scheduler_calls.of(call)
        if not isinstance(call, QueueCall) or call.is_read:
            return await self._pipeline.value(function_call)

        def note(reply: Reply[ReplyT], _: float) -> None:
            self._on_hint(function_call.partition, call.key.queue_type, reply.hint)

        reply, _ = await self._pipeline.send(function_call, note)
        return value_of(reply)

    async def _delete_queue(self, call: messages.DeleteQueue) -> DeletedQueue:
        return DeletedQueue(await self._run(cast("QueueCall[int]", call)))

    async def _get_top(self, call: messages.GetTop) -> TopQueues:
        return await top_queues(self._pipeline, self._functions, call)

    async def _get_counts(self, call: messages.GetCounts) -> Counts:
        return await count_types(self._pipeline, self._surveys, call.partitions)

    async def _list_dead(self, call: messages.ListDead) -> DeadPage:
        if call.scan and not call.scan.partition(":")[0].isdecimal():
            raise InvalidRequest("cursor: not a cursor that this server gave out")
        return await self._run(call)

    async def _check_store(self, _: messages.CheckStore) -> None:
        await self._store.check()

    async def _describe_store(self, _: messages.DescribeStore) -> StoreState:
        return StoreState(
            self._store.mode,
            self._store.is_reachable,
            self._store.inspector.notices,
            self._count_away(),
            self._guard.whole_reason,
            self._store.reason,
        )


def _payload_bytes(job: NewJob) -> int:
    return len(job.payload)


def _no_bytes(_: object) -> int:
    return 0


def _count_nothing(_: str, __: object) -> None:
    """Count no outcome: this kind of call has no metric."""
