"""Sends function calls that arrive together to the store as one pipeline per server.

The calls of one event-loop tick are sent at its end, or as soon as they fill a pipeline. While a server has as many
pipelines in flight as allowed, its calls gather for the next one: batches grow under load, and an idle node adds no
delay. For the same reason batches of jobs (shard/batching/batches.py) are packed at the last moment. A slow or
unreachable server does not delay the calls of the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from shard.batching.lane import (
    BYTES_AT_ONCE,
    CALLS_AT_ONCE,
    IN_FLIGHT,
    JOBS_WHILE_AWAITED,
    Gathering,
    NotesAfter,
    Pending,
    ServerLane,
)
from sharq_core.errors import SharqError, StoreAway
from sharq_core.process.counters import Durations
from sharq_core.scheduler.executor import Executor, value_of
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.replies import Reply
from sharq_core.store.node import StoreNode
from sharq_core.telemetry import call_traces
from sharq_core.telemetry.call_traces import CallTrace

__all__ = [
    "BYTES_AT_ONCE",
    "CALLS_AT_ONCE",
    "FULL",
    "IN_FLIGHT",
    "JOBS_WHILE_AWAITED",
    "Gathering",
    "Pending",
    "Pipeline",
]

T = TypeVar("T")

FULL = CALLS_AT_ONCE
"""Calls that fill a pipeline: the server works on them while this process reads more requests. If all calls of a tick
were sent together, process and server would take turns under load, each waiting for the other. With half as many, a
single enqueue takes more CPU time, because a pipeline has a price of its own (docs/benchmarks.md).
"""

_Place: TypeAlias = tuple[StoreNode | None, bool, bool]
"""The key of a lane: the server, whether its calls wait for replicas, whether they are urgent."""


class Observer(Protocol):
    """A part of the node that uses a reply before the caller of the same pipeline resumes."""

    def observe(self, submitted: SingleCall[Any], reply: Reply[Any], sent_at: float, /) -> None:
        """Use a reply; `sent_at` is the time (time.monotonic) at which the call was sent."""
        ...


class SingleCall(msgspec.Struct, Generic[T], frozen=True):
    """A call that was submitted by itself (lane.Pending).

    Attributes:
        future: resolves to the reply and the time (time.monotonic) at which the call was sent, or to the error.
        observer: sees the reply first; None for nobody.
        trace: the span of the work that it belongs to; None if that is not traced.
    """

    call: FunctionCall[T]
    since: float
    future: asyncio.Future[tuple[Reply[T], float]]
    observer: Observer | None
    trace: CallTrace | None = None
    job_count: int = 1
    size: int = 0
    follows: bool = False

    def observe(self, reply: Reply[T], sent_at: float) -> None:
        """Show the reply to the observer."""
        if self.observer is not None:
            self.observer.observe(self, reply, sent_at)

    def deliver(self, reply: Reply[T] | SharqError, sent_at: float) -> None:
        """Resolve the future, unless the caller has left."""
        if self.trace is not None:
            error = reply if isinstance(reply, SharqError) else None
            self.trace.add_store_call(self.call.function.name, self.call.jobs, sent_at, error)
        if self.future.done():
            return
        if isinstance(reply, SharqError):
            self.future.set_exception(reply)
        else:
            self.future.set_result((reply, sent_at))


class Pipeline:
    """The sender of all calls, by the lanes of the servers.

    Args:
        durations: counts the duration of each pipeline.
        awaited_types: the queue types for which workers wait now.
        owner_notes: each pipeline carries the notes that its calls need.

    Attributes:
        waiting_bytes: the payload bytes of packed calls that wait for a pipeline.
        bulk_in_flight: the most pipelines in flight to one server for calls that are neither urgent nor wait for
            replicas.
    """

    def __init__(
        self,
        executor: Executor,
        durations: Durations,
        awaited_types: Collection[str],
        owner_notes: NotesAfter,
    ) -> None:
        self._executor = executor
        self._durations = durations
        self._awaited_types = awaited_types
        self._owner_notes = owner_notes
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[_Place, ServerLane] = {}
        self._given_up: dict[StoreNode, StoreAway] = {}
        self._is_scheduled = False
        self._is_flushing = False
        self._has_pushed = False
        self._fresh = 0
        self.waiting_bytes = 0
        self.bulk_in_flight = IN_FLIGHT

    def share_store(self, *, is_shared: bool) -> None:
        """Let bulk work have one pipeline in flight if other nodes send theirs to the same servers and keep them busy.

        Calls gather meanwhile, and larger pipelines cost less: there are a tenth fewer for single calls of 2 routers
        and 3 shards.
        """
        self.bulk_in_flight = 1 if is_shared else IN_FLIGHT

    def gather(self, jobs: Gathering, partition: int) -> None:
        """Let jobs of a partition wait in the lane of its server until the lane has room for them.

        They are sent at the next `push`, at the end of this tick, or when a pipeline returns.
        """
        lane = self._lane(partition, is_promised=self._executor.promises)
        lane.gathering.append(jobs)
        if lane.has_room:
            self._fresh += 1
            if not self._is_scheduled:
                self._schedule()

    def push(self, *, is_urgent: bool = False) -> None:
        """Send the waiting calls if they fill a pipeline or are urgent.

        Of the urgent calls of one tick only the first leaves at once. The others leave together at the end of the tick,
        because each pipeline has a price. Do not call this between the jobs of one bulk call: they must stay together
        to stay in order (I3).
        """
        if self._fresh >= FULL or (is_urgent and not self._has_pushed):
            self.flush()
            self._has_pushed = is_urgent

    def submit(
        self, call: FunctionCall[T], observer: Observer | None = None, *, is_urgent: bool = False
    ) -> asyncio.Future[tuple[Reply[T], float]]:
        """Run one call; the future resolves to the result or error of `run`.

        Args:
            observer: sees the reply when it arrives, before any caller of the same pipeline resumes.
            is_urgent: the call goes ahead of bulk work. A dequeue is urgent: a queue's slot is wasted while it waits.
        """
        future: asyncio.Future[tuple[Reply[T], float]] = self._loop.create_future()
        is_promised = self._executor.promises and self._executor.has_promised(call)
        lane = self._lane(call.partition, is_promised=is_promised, is_urgent=is_urgent)
        lane.waiting.append(SingleCall(call, self._loop.time(), future, observer, call_traces.current.get()))
        if not self._is_scheduled and lane.has_room:
            self._schedule()
        return future

    def resubmit(self, pending: Pending, partition: int) -> None:
        """Send a call again whose first form was refused; it still has its first deadline."""
        self._lane(partition, is_promised=self._executor.promises).waiting.append(pending)
        self._schedule()

    async def run(self, call: FunctionCall[T]) -> tuple[Reply[T], float]:
        """Run one call and return its reply and the time (time.monotonic) at which it was sent, or raise its error."""
        return await self.submit(call)

    async def value(self, call: FunctionCall[T]) -> T:
        """Run one call and return its value, or raise its error."""
        reply, _ = await self.submit(call)
        return value_of(reply)

    def give_up(self, node: StoreNode, refusal: StoreAway) -> None:
        """Refuse calls for a server until `take_up`: those that wait or arrive, and those in flight except enqueues.

        An enqueue in flight keeps waiting. It may still be done until its time is up. If it were repeated elsewhere
        before that, a job that was finished in the meantime could come back. Other calls do no harm if they are done
        late.
        """
        self._given_up[node] = refusal
        for (server, _, _), lane in self._lanes.items():
            if server is node:
                lane.give_up(refusal)
        self._schedule()

    def take_up(self, node: StoreNode) -> None:
        """Send calls again to a server that was given up."""
        self._given_up.pop(node, None)
        for (server, _, _), lane in self._lanes.items():
            if server is node:
                lane.refusal = None

    async def idle(self, partitions: Iterable[int], most_s: float) -> None:
        """Wait until no call to the servers of some partitions waits or is in flight, or until most_s is over."""
        nodes = {self._executor.node_of(partition) for partition in partitions}
        until = self._loop.time() + most_s
        while most_s > 0:
            lanes = [lane for (node, _, _), lane in self._lanes.items() if node in nodes and lane.is_busy]
            in_flight = [task for lane in lanes for task in lane.in_flight]
            if not lanes:
                return
            if in_flight:
                await asyncio.wait(in_flight, timeout=most_s)
            else:
                await asyncio.sleep(0)
            most_s = until - self._loop.time()

    async def drained(self) -> None:
        """Wait until no call waits or is in flight."""
        while self._is_scheduled or any(lane.in_flight for lane in self._lanes.values()):
            in_flight = [task for lane in self._lanes.values() for task in lane.in_flight]
            if in_flight:
                await asyncio.wait(in_flight)
            await asyncio.sleep(0)

    def flush(self) -> None:
        """Send the calls that there is room for.

        A pipeline that is refused at once returns during this call; the room that it frees is used in the next tick.
        """
        if self._is_flushing:
            self._schedule()
            return
        self._is_scheduled, self._has_pushed, self._fresh, self._is_flushing = False, False, 0, True
        try:
            waiting_bytes = 0
            for lane in self._lanes.values():
                if lane.gathering or lane.next or lane.waiting:
                    lane.send()
                    waiting_bytes += lane.waiting_bytes
            self.waiting_bytes = waiting_bytes
        finally:
            self._is_flushing = False

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self.flush)

    def _lane(self, partition: int, *, is_promised: bool, is_urgent: bool = False) -> ServerLane:
        """Return the lane of the server that holds a partition now.

        Calls that wait for replicas have a lane of their own, so that no other calls queue behind them. Urgent calls
        have one too.
        """
        place = self._executor.node_of(partition), is_promised, is_urgent
        lane = self._lanes.get(place)
        if lane is None:
            # Lanes of servers that are gone would pile up otherwise; an idle lane is made again when it is needed.
            self._lanes = {other: lane for other, lane in self._lanes.items() if lane.is_busy}
            lane = self._lanes[place] = ServerLane(
                self,
                self._executor,
                self._durations,
                self._awaited_types,
                self._owner_notes,
                is_bulk=not is_promised and not is_urgent,
            )
            if self._given_up and place[0] is not None:
                lane.refusal = self._given_up.get(place[0])
        return lane
