"""Leases ready jobs for the requests of this node, fairly over the queues of all its partitions.

Requests of one type that arrive together form one demand. The demand is spread over the due partitions, the
earliest deadline first, in rounds: no queue gives its next job while another due queue of the type has given fewer. No
two partitions are ever asked for the same demand.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Container, Coroutine
from time import monotonic
from typing import Any

from shard.batching.lease_source import Answer
from shard.batching.pipeline import Pipeline, SingleCall
from shard.caps.dequeues import CappedDequeue
from shard.caps.node_caps import NodeCaps
from shard.cluster.partition_clocks import PartitionClocks
from shard.dequeue_run import DequeueRequest, Run, take_alike
from shard.index.ready_index import ReadyIndex
from shard.index.set_aside import ASIDE_S, SetAside
from shard.metrics.outcome_counters import LeaseCounter
from shard.reaper import Reaper
from sharq_core.errors import Overloaded
from sharq_core.link.messages import ShardPort
from sharq_core.link.void_leases import void_leases
from sharq_core.models import LeasedJob
from sharq_core.process import tasks
from sharq_core.scheduler.functions import Functions
from sharq_core.scheduler.replies import DequeueReply, Reply
from sharq_core.store.failures import CallFailed
from sharq_core.telemetry import call_traces

CALL_US = 1_500
"""CPU time of the store for the choice of the jobs of one call, in µs; it writes them in as much again. A hundred jobs
take less, unless the machine is slow or the jobs are expensive, as those with windows are.
"""

MAX_REQUESTS = 10_000
"""Most requests of one type that may wait for their run."""


class Dequeuer:
    """The dequeues of one node.

    Args:
        clocks: the latest time at which a call about a partition may run.
        reaper: learns of the timers of the leases; None if this node runs none.
        metrics: counts the time for which leased jobs were ready, and the ended leases and expired jobs that a dequeue
            found.
        port: this node, which voids leases whose requests are gone.
        set_aside: records partitions that fail while their server works; they are not asked for a second.
        caps: the queues with caps, and the slots for them.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        functions: Functions,
        index: ReadyIndex,
        clocks: PartitionClocks,
        reaper: Reaper | None,
        metrics: LeaseCounter,
        port: ShardPort,
        set_aside: SetAside,
        caps: NodeCaps,
    ) -> None:
        self._pipeline = pipeline
        self._functions = functions
        self._index = index
        self.metrics = metrics
        self._clocks = clocks
        self._reaper = reaper
        self._port = port
        self._set_aside = set_aside
        self._caps = caps
        caps.serve(self, CALL_US)
        self.capped_types: Container[str] = caps.funded
        self._loop = asyncio.get_running_loop()
        self._requests: dict[str, deque[DequeueRequest]] = {}
        self._planned_at: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def dequeue(self, queue_type: str, count: int, lease_us: int) -> list[LeasedJob]:
        """Lease up to `count` ready jobs; return an empty list if the index and the caps know of none due.

        Raises:
            Overloaded: too many requests wait. Nothing was leased.
            Unavailable: the store cannot be reached. Nothing was leased.
            OutcomeUnknown: jobs may have been leased; they come back when their leases end.
        """
        while queue_type in self.capped_types and (early_s := self._caps.early_s(queue_type)) > 0:  # noqa: ASYNC110 - timers may be early
            await asyncio.sleep(early_s)
        has_caps = self._caps.knows(queue_type)
        if has_caps:
            await self._caps.prepare(queue_type, count)
        jobs = await self._dequeue(queue_type, count, lease_us)
        has_caps = has_caps or self._caps.knows(queue_type)
        if has_caps or not jobs:
            self._caps.note_lease(queue_type, lease_us)
        if has_caps:
            if not jobs and self._caps.may_lease(queue_type) and await self._caps.look(queue_type, count):
                jobs = await self._dequeue(queue_type, count, lease_us)
            if jobs:
                self._caps.note_demand(queue_type)
        return jobs

    async def _dequeue(self, queue_type: str, count: int, lease_us: int) -> list[LeasedJob]:
        due = self._index.next_due(queue_type)
        if due is None or due > monotonic():
            return []
        request = DequeueRequest(count, lease_us, self._loop.create_future(), call_traces.current.get())
        requests = self._requests.get(queue_type)
        if requests is None:
            requests = self._requests[queue_type] = deque([request])
            self._start(self._serve(queue_type, requests))
        elif len(requests) >= MAX_REQUESTS:
            raise Overloaded(f"{len(requests)} dequeues of this type are waiting; try again in a moment")
        else:
            requests.append(request)
        return await request.future

    async def drained(self) -> None:
        """Wait until no run is in progress."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = tasks.begin(self._loop, work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, queue_type: str, requests: deque[DequeueRequest]) -> None:
        """Run one run after the other while requests wait; requests that arrive during a run join the next one.

        A run's jobs are handed out after the next run was sent, so that the store works while they are answered.
        """
        finished: Run | None = None
        try:
            while requests or finished is not None:
                alike = take_alike(requests)
                run = Run(self, queue_type, alike) if alike else None
                if run is not None:
                    # The run's calls belong to all its requests; their spans have one parent, a traced request.
                    trace = None
                    for request in alike:
                        trace = trace or request.trace
                    call_traces.current.set(trace)
                    run.begin()
                if finished is not None:
                    finished.hand_out()
                if run is not None:
                    await run.collect()
                    requests.extendleft(reversed(run.put_back()))
                finished = run
        finally:
            del self._requests[queue_type]
            self._planned_at.pop(queue_type, None)

    def void_soon(self, jobs: list[LeasedJob]) -> None:
        """Void leases whose requests are gone, in the background."""
        self._start(void_leases(self._port, jobs))

    def void(self, reply: Reply[DequeueReply]) -> None:
        """Void the leases of a reply that is handed to no request."""
        if reply.value is not None and reply.value.jobs:
            self._start(void_leases(self._port, reply.value.jobs))

    def send(
        self, partition: int, queue_type: str, count: int, per_queue: int, max_bytes: int, lease_us: int
    ) -> Answer:
        """Lease from one partition; the future has the reply and the time (time.monotonic) at which it was sent."""
        call = self._functions.dequeue(
            partition,
            queue_type,
            count,
            lease_us,
            os.urandom(8),
            per_queue=per_queue,
            max_bytes=max_bytes,
            most_us=CALL_US,
            not_after_us=self._clocks.not_after_us(partition),
        )
        return self._pipeline.submit(call, self, is_urgent=True)

    def push(self) -> None:
        """Send the calls of this wave at once."""
        self._pipeline.push(is_urgent=True)

    def send_capped(
        self, queue_type: str, wanted: int, max_bytes: int, lease_us: int, begun_us: int
    ) -> list[CappedDequeue]:
        """Lease up to `wanted` jobs of queues with caps, with the slots that may be used since begun_us."""
        return self._caps.send(queue_type, wanted, max_bytes, lease_us, begun_us)

    def may_lease_capped(self, queue_type: str) -> bool:
        """Return True if a dequeue may get a job of a queue with caps that the index does not know to be due."""
        return self._caps.may_lease(queue_type)

    def is_capped_first(self, queue_type: str) -> bool:
        """Return True if a queue with caps has been due longest of a type."""
        return self._caps.is_first(queue_type)

    def observe(
        self, submitted: SingleCall[DequeueReply], reply: Reply[DequeueReply], sent_at: float
    ) -> None:
        """Update the index, the timers and the metrics from a reply."""
        partition, queue_type = submitted.call.partition, submitted.call.queue_type
        leased = reply.value
        planned_at = self._planned_at.get(queue_type)
        if planned_at is not None:
            self._index.learn(partition, reply.hint.now_us, planned_at)
        if leased is not None:
            # If some queues remain due, those that were served will be due again by the next call.
            queues = leased.due_before if leased.due_after else 1
            self.note_leases(partition, queue_type, reply, queues, sent_at)
            if leased.parked is not None:
                self._caps.hear(partition, queue_type, leased.parked.changed)
        if submitted.future.done():  # the server was given up, so no request waits for these leases
            self.void(reply)

    def note_leases(
        self, partition: int, queue_type: str, reply: Reply[DequeueReply], queues: int, sent_at: float
    ) -> None:
        """Update the index, the timers and the metrics from a reply, perhaps of a dequeue of queues with caps.

        Args:
            queues: the number of queues without caps that are due after the call.
        """
        if reply.value is None:
            return
        leased, hint = reply.value, reply.hint
        self._index.settle(partition, queue_type, hint.now_us, leased.head_us, queues, sent_at)
        if self._reaper is not None:
            self._reaper.note(partition, queue_type, hint)
        if leased.ended:
            self.metrics.reaped(queue_type, leased.ended, leased.died)
        if leased.expired:
            self.metrics.expired(queue_type, leased.expired, leased.dropped)

    def put_off(self, partition: int, queue_type: str, error: CallFailed) -> bool:
        """Skip a partition that failed by itself for a second; return True if its failure must be reported."""
        self._index.put_off(partition, queue_type, monotonic() + ASIDE_S)
        return self._set_aside.add(partition, queue_type, error.message)

    def due(self, queue_type: str) -> list[tuple[int, int]]:
        """Return (partition, approximate number of due queues) by their deadlines, for calls that leave at once."""
        now = self._planned_at[queue_type] = monotonic()
        return self._index.due(queue_type, now)
