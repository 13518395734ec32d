"""Handles each call of a router: calls about jobs in batches, calls about a queue or partition as one function call.

Those need no code here: the call names its function (shard/batching/scheduler_calls.py). The calls that need more have
a handler each. shard/dequeuer.py does the dequeues; sharq_core/link/messages.py defines the calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import compress
from typing import Any, Never, TypeVar, cast

import msgspec

from shard.batching.batches import CapLeases, JobVerb
from shard.batching.pipeline import Pipeline
from shard.batching.scheduler_calls import SchedulerCalls
from shard.batching.store_calls import StoreCalls
from shard.cluster.stand_in import StandIn
from shard.data_identity.guard import DataGuard
from shard.dequeuer import Dequeuer
from shard.index.counts import count_types
from shard.index.explanations import Explanations
from shard.index.hints import NodeHints
from shard.index.job_ends import JobEnds
from shard.index.ready_index import ReadyIndex
from shard.index.top_queues import top_queues
from shard.index.type_list import list_types
from shard.metrics.node import NodeMetrics
from shard.reaper import Reaper
from sharq_core.campaigns.batches import BatchStep
from sharq_core.errors import InvalidRequest, Unavailable
from sharq_core.job_life import DeadPage
from sharq_core.limits import Explanation, PauseStatus, TypeSummary
from sharq_core.link import control_calls, job_calls, messages
from sharq_core.link.campaigns import batch_calls
from sharq_core.link.catalogue import CALLS
from sharq_core.link.messages import JobsCall, PartitionCall, QueueCall
from sharq_core.link.store_state import StoreState
from sharq_core.models import Counts, DeletedQueue, QueueStats
from sharq_core.process.notices import Notices
from sharq_core.scheduler.executor import value_of
from sharq_core.store.store import Store
from sharq_core.top_queues import TopQueues
from sharq_core.type_parts import merge_explanations

ReplyT = TypeVar("ReplyT")


class CallHandlers:
    """The handlers of one node's calls.

    Args:
        hints: gets the hint of each reply that may have changed something.
        stand_in: reads what the index may not know of a type, and takes over or leaves partitions.
        reaper: None if this node runs none.
        metrics: counts the outcomes of calls about jobs.
        job_ends: tells the watchers of jobs that calls perhaps ended.
        caps: follows the leases of queues with caps.
        notices: the problems of the node itself.
        further: the handlers of further types of calls.

    Attributes:
        by_type: the handler of each type of call; it raises as ShardPort.call does.
    """

    def __init__(
        self,
        store: Store,
        calls: StoreCalls,
        scheduler_calls: SchedulerCalls,
        pipeline: Pipeline,
        dequeuer: Dequeuer,
        index: ReadyIndex,
        hints: NodeHints,
        stand_in: StandIn,
        reaper: Reaper | None,
        metrics: NodeMetrics,
        guard: DataGuard,
        explanations: Explanations,
        job_ends: JobEnds,
        caps: CapLeases,
        notices: Notices,
        further: Mapping[type, Callable[[Any], Awaitable[Any]]],
    ) -> None:
        self._job_ends = job_ends
        self._caps = caps
        self._notices = notices
        self._explanations = explanations
        self._type_calls = calls.types
        self._store = store
        self._functions = calls.functions
        self._scheduler_calls = scheduler_calls
        self._surveys = calls.surveys
        self._pipeline = pipeline
        self._dequeuer = dequeuer
        self._index = index
        self._hints = hints
        self._stand_in = stand_in
        self._reaper = reaper
        self._metrics = metrics
        self._guard = guard
        self.by_type = {**self._by_type(), **further}

    def _by_type(self) -> dict[type, Callable[[Any], Awaitable[Any]]]:
        """Return the handler of each type of call that is handled here."""
        return {
            **{
                call_type: self._run
                for call_type in CALLS
                if issubclass(call_type, QueueCall | PartitionCall)
            },
            **{
                call_type: self._make_verb(call_type).submit
                for call_type in CALLS
                if issubclass(call_type, JobsCall)
            },
            messages.Dequeue: self._dequeue,
            messages.Peek: self._peek,
            messages.SetPaused: self._set_paused,
            messages.DeleteQueue: self._delete_queue,
            messages.GetQueue: self._get_queue,
            batch_calls.CancelBatch: self._cancel_batch,
            control_calls.PauseAll: self._pause_all,
            control_calls.Explain: self._explain,
            control_calls.ExplainTypes: self._explain_types,
            control_calls.PeekTypes: self._peek_types,
            control_calls.ListTypes: self._list_types,
            messages.GetTop: self._get_top,
            messages.GetCounts: self._get_counts,
            job_calls.ListDead: self._list_dead,
            messages.CheckStore: self._check_store,
            messages.DescribeStore: self._describe_store,
            messages.Cover: self._cover,
            messages.Yield: self._yield,
        }

    def _make_verb(self, call_type: type[JobsCall[Any]]) -> JobVerb[Any, Any]:
        """Return the waiting jobs of one type of call; the calls of a pipeline are in the order of CALLS."""
        counter = self._metrics.counters.get(call_type.function)
        order = CALLS.index(call_type)
        return JobVerb(
            call_type,
            order,
            self._pipeline,
            self._scheduler_calls,
            self._hints,
            counter,
            self._job_ends,
            self._metrics,
            self._metrics,
            self._caps,
        )

    async def _run(self, call: QueueCall[ReplyT] | PartitionCall[ReplyT]) -> ReplyT:
        """Run the function that a call names, and return its value; a change may make a queue due."""
        function_call = self._scheduler_calls.of(call)
        reply, _ = await self._pipeline.submit(function_call, None if call.is_read else self._hints)
        return value_of(reply)

    async def _dequeue(self, call: messages.Dequeue) -> messages.Dequeued:
        jobs = await self._dequeuer.dequeue(call.queue_type, call.count, call.lease_us)
        if not jobs and await self._is_news(call.queue_type):
            jobs = await self._dequeuer.dequeue(call.queue_type, call.count, call.lease_us)
        if jobs and self._explanations.by_type:
            self._explanations.drop(call.queue_type)
        return messages.Dequeued(jobs, self._index.due_in_us(call.queue_type))

    async def _peek(self, call: messages.Peek) -> int | None:
        due_in_us = self._index.due_in_us(call.queue_type)
        if (due_in_us is None or due_in_us > 0) and await self._is_news(call.queue_type):
            due_in_us = self._index.due_in_us(call.queue_type)
        return self._with_caps(call.queue_type, due_in_us)

    async def _peek_types(self, call: control_calls.PeekTypes) -> list[int | None]:
        due_in_us = [self._index.due_in_us(queue_type) for queue_type in call.queue_types]
        doubtful = [at for at, due in enumerate(due_in_us) if due is None or due > 0]
        have_changed = await asyncio.gather(*(self._is_news(call.queue_types[at]) for at in doubtful))
        for at in compress(doubtful, have_changed):
            due_in_us[at] = self._index.due_in_us(call.queue_types[at])
        for at in doubtful:
            due_in_us[at] = self._with_caps(call.queue_types[at], due_in_us[at])
        return due_in_us

    def _with_caps(self, queue_type: str, due_in_us: int | None) -> int | None:
        """Return the time until the next job of a type is due, 0 if slots of caps may be due now.

        Only a dequeue reserves such slots, because it uses them at once.
        """
        is_early = due_in_us is None or due_in_us > 0
        return 0 if is_early and self._dequeuer.may_lease_capped(queue_type) else due_in_us

    async def _is_news(self, queue_type: str) -> bool:
        """Search for jobs of a type without a known ready one; return False if the index was complete.

        Due timers of the type run first: an ended lease may make a job ready.
        """
        if self._reaper is not None:
            self._reaper.hurry(queue_type)
        return await self._stand_in.make_sure(queue_type)

    async def _set_paused(self, call: messages.SetPaused) -> bool:
        return await self._run(cast("QueueCall[PauseStatus]", call)) is PauseStatus.DONE

    async def _delete_queue(self, call: messages.DeleteQueue) -> DeletedQueue:
        return DeletedQueue(await self._run(cast("QueueCall[int]", call)))

    async def _get_queue(self, call: messages.GetQueue) -> QueueStats:
        stats = await self._run(call)
        return msgspec.structs.replace(stats, burst=int(stats.burst))

    async def _cancel_batch(self, call: batch_calls.CancelBatch) -> BatchStep:
        step = await self._run(call)
        self._metrics.batches.cancelled += step.cancelled
        return step

    async def _pause_all(self, call: control_calls.PauseAll) -> None:
        await self._run(call)
        self._explanations.drop_all()
        if not call.is_paused:
            self._stand_in.look_soon()

    async def _explain(self, call: control_calls.Explain) -> Explanation:
        return await self._explanations.explain(call.queue_type)

    async def _explain_types(self, call: control_calls.ExplainTypes) -> Explanation:
        return merge_explanations(await self._explanations.explain_all(call.queue_types))

    async def _list_types(self, call: control_calls.ListTypes) -> list[TypeSummary]:
        return await list_types(self._pipeline, self._type_calls, call)

    async def _get_top(self, call: messages.GetTop) -> TopQueues:
        return await top_queues(self._pipeline, self._functions, call)

    async def _get_counts(self, call: messages.GetCounts) -> Counts:
        return await count_types(self._pipeline, self._surveys, call.partitions)

    async def _list_dead(self, call: job_calls.ListDead) -> DeadPage:
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
            self._stand_in.count_away,
            self._guard.whole_reason,
            self._store.reason,
            self._notices.all(),
        )

    async def _cover(self, call: messages.Cover) -> None:
        await self._stand_in.cover(call.partitions)

    async def _yield(self, call: messages.Yield) -> None:
        await self._stand_in.leave(call.partitions)


async def refuse(refusal: Unavailable) -> Never:
    """Answer a call with an error."""
    raise refusal
