"""Handles each call of a router: the job verbs in batches, every other call as one function call.

shard/dequeuer.py does the dequeues; sharq_core/link/messages.py defines the calls.
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
from sharq_core.errors import InvalidRequest
from sharq_core.limits import PauseStatus
from sharq_core.link import messages
from sharq_core.link.messages import Addressed, Call, Failure
from sharq_core.models import (
    Counts,
    DeadPage,
    DeadRef,
    DeletedQueue,
    Enqueued,
    ExtendJob,
    FinishJob,
    JobStatus,
    LeaseOutcome,
    NewJob,
    QueueKey,
    QueuePage,
    QueueStats,
    RedriveStatus,
    ReleaseJob,
    StoreState,
    TopQueues,
)
from sharq_core.partitions import partition_of
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.function_call import FunctionCall
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


class NotAfter(Protocol):
    """The signature of PartitionClocks.not_after_us."""

    def __call__(self, partition: int, since: float | None = None) -> int | None: ...


class CallHandlers:
    """The handlers of one node's calls.

    Args:
        not_after_us: returns the time of a partition's server, in µs, after which a call must not run whose work
            arrived at a time of the loop (None: now); None while that time is unknown.
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
        self._not_after_us = not_after_us
        self._functions = functions
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
            **self._batched(),
            messages.Dequeue: self._dequeue,
            messages.Peek: self._peek,
            messages.SetRate: self._set_rate,
            messages.SetPaused: self._set_paused,
            messages.DeleteQueue: self._delete_queue,
            messages.GetQueue: self._get_queue,
            messages.GetJob: self._get_job,
            messages.ListQueues: self._list_queues,
            messages.GetTop: self._get_top,
            messages.GetCounts: self._get_counts,
            messages.ListDead: self._list_dead,
            messages.DropDead: self._drop_dead,
            messages.CheckStore: self._check_store,
            messages.DescribeStore: self._describe_store,
            messages.Cover: lambda call: self._cover(call.partitions),
            messages.Yield: lambda call: leave(call.partitions),
        }

    def answer(self, call: Call[ReplyT]) -> Awaitable[ReplyT]:
        """Handle a call; raises as ShardPort.call does."""
        return cast("Awaitable[ReplyT]", self._handlers[type(call)](call))

    def _batched(self) -> dict[type, Callable[[Any], Awaitable[object]]]:
        functions, deadline = self._functions, self._not_after_us

        def enqueue(
            p: int, queue_type: str, jobs: list[NewJob], since: float
        ) -> FunctionCall[list[Enqueued]]:
            return functions.enqueue(p, queue_type, jobs, not_after_us=deadline(p, since))

        def finish(
            p: int, queue_type: str, jobs: list[FinishJob], since: float
        ) -> FunctionCall[list[LeaseOutcome]]:
            return functions.finish(p, queue_type, jobs, not_after_us=deadline(p, since))

        def extend(
            p: int, queue_type: str, jobs: list[ExtendJob], since: float
        ) -> FunctionCall[list[LeaseOutcome]]:
            return functions.extend(p, queue_type, jobs, not_after_us=deadline(p, since))

        def release(
            p: int, queue_type: str, jobs: list[ReleaseJob], since: float
        ) -> FunctionCall[list[LeaseOutcome]]:
            return functions.release(p, queue_type, jobs, not_after_us=deadline(p, since))

        def redrive(
            p: int, queue_type: str, jobs: list[DeadRef], _: float
        ) -> FunctionCall[list[RedriveStatus]]:
            return functions.redrive(p, queue_type, jobs)

        pipeline, on_hint, metrics = self._pipeline, self._on_hint, self._metrics
        enqueues = Batches(
            pipeline, self._partitions, enqueue, on_hint, lambda job: len(job.payload), metrics.enqueues.count
        )
        finishes = Batches(pipeline, self._partitions, finish, on_hint, on_outcomes=metrics.finishes.count)
        extends = Batches(pipeline, self._partitions, extend, on_hint, on_outcomes=metrics.extends.count)
        releases = Batches(pipeline, self._partitions, release, on_hint, on_outcomes=metrics.released)
        redrives = Batches(pipeline, self._partitions, redrive, on_hint)
        return {
            messages.Enqueue: partial(self._batch, enqueues),
            messages.Finish: partial(self._batch, finishes),
            messages.Extend: partial(self._batch, extends),
            messages.Release: partial(self._batch, releases),
            messages.Redrive: partial(self._batch, redrives),
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

    async def _set_rate(self, call: messages.SetRate) -> bool:
        place = self._place(call.key)
        return await self._change(
            call.key,
            self._functions.interval(
                *place,
                call.interval_us,
                burst=call.burst,
                pin=call.pin,
                not_after_us=self._not_after_us(place[0]),
            ),
        )

    async def _set_paused(self, call: messages.SetPaused) -> bool:
        place = self._place(call.key)
        not_after_us = self._not_after_us(place[0])
        status = await self._change(
            call.key, self._functions.pause(*place, call.is_paused, not_after_us=not_after_us)
        )
        return status is PauseStatus.DONE

    async def _delete_queue(self, call: messages.DeleteQueue) -> DeletedQueue:
        place = self._place(call.key)
        not_after_us = self._not_after_us(place[0])
        return DeletedQueue(
            await self._change(
                call.key, self._functions.delete_queue(*place, purge=call.purge, not_after_us=not_after_us)
            )
        )

    async def _change(self, key: QueueKey, call: FunctionCall[OutcomeT]) -> OutcomeT:
        """Run a call that may change the queue's due time, and return its value."""

        def note(reply: Reply[OutcomeT], _: float) -> None:
            self._on_hint(call.partition, key.queue_type, reply.hint)

        reply, _ = await self._pipeline.send(call, note)
        return value_of(reply)

    async def _get_queue(self, call: messages.GetQueue) -> QueueStats:
        return await self._pipeline.value(self._functions.get_queue(*self._place(call.key)))

    async def _get_job(self, call: messages.GetJob) -> JobStatus | None:
        return await self._pipeline.value(self._functions.get_job(*self._place(call.key), call.job_id))

    async def _list_queues(self, call: messages.ListQueues) -> QueuePage:
        return await self._pipeline.value(
            self._functions.list_queues(call.partition, call.queue_type, call.scan, call.limit)
        )

    async def _get_top(self, call: messages.GetTop) -> TopQueues:
        return await top_queues(self._pipeline, self._functions, call)

    async def _get_counts(self, call: messages.GetCounts) -> Counts:
        return await count_types(self._pipeline, self._surveys, call.partitions)

    async def _list_dead(self, call: messages.ListDead) -> DeadPage:
        if call.scan and not call.scan.partition(":")[0].isdecimal():
            raise InvalidRequest("cursor: not a cursor that this server gave out")
        return await self._pipeline.value(
            self._functions.list_dead(call.partition, call.queue_type, call.scan, call.limit)
        )

    async def _drop_dead(self, call: messages.DropDead) -> int:
        return await self._pipeline.value(
            self._functions.drop_dead(call.partition, call.queue_type, call.limit, call.before_us)
        )

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

    def _place(self, key: QueueKey) -> tuple[int, str, str]:
        """Return the queue's partition, type and id."""
        return partition_of(key.queue_type, key.queue_id, self._partitions), key.queue_type, key.queue_id
