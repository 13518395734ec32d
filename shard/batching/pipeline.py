"""Sends function calls that arrive together to the store as one pipeline per server.

The calls of one event-loop tick are sent at its end, or as soon as they fill a pipeline. While a server has as many
pipelines in flight as allowed, its calls gather for the next one: batches grow under load, and an idle node adds no
delay. For the same reason batches of jobs (shard/batching/batches.py) are packed at the last moment. A slow or
unreachable server does not delay the calls of the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from shard.batching.lane import (
    BYTES_AT_ONCE,
    CALLS_AT_ONCE,
    IN_FLIGHT,
    JOBS_WHILE_AWAITED,
    Lane,
    Pending,
    WordOf,
)
from sharq_core.errors import SharqError, StoreAway
from sharq_core.scheduler.executor import Executor, value_of
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.replies import Reply
from sharq_core.store.node import StoreNode

__all__ = [
    "BYTES_AT_ONCE",
    "CALLS_AT_ONCE",
    "FULL",
    "IN_FLIGHT",
    "JOBS_WHILE_AWAITED",
    "HasRoom",
    "Pending",
    "Pipeline",
]

T = TypeVar("T")

FULL = 16
"""Calls that fill a pipeline: the server works on them while this process reads more requests. If all calls of a tick
were sent together, process and server would take turns under load, each waiting for the other.
"""

_Place: TypeAlias = tuple[StoreNode | None, bool, bool]
"""The key of a lane: the server, whether its calls wait for replicas, whether they are urgent."""

HasRoom: TypeAlias = Callable[[int], bool]
"""Returns True if calls that change jobs may be sent to a partition's server now."""


class Pipeline:
    """The sender of all calls: its own, and those that its sources have at the time of sending.

    Args:
        observe_s: called with the duration of each pipeline, in seconds.
        is_awaited: returns True if workers wait for jobs now.
        word_of: for a call that changes a type in another node's partition, returns the call that notifies that node;
            None for any other call. Both go in one pipeline.

    Attributes:
        waiting_bytes: the payload bytes of packed calls that wait for a pipeline.
    """

    def __init__(
        self,
        executor: Executor,
        observe_s: Callable[[float], None],
        is_awaited: Callable[[], bool],
        word_of: WordOf = lambda _: None,
    ) -> None:
        self._executor = executor
        self._observe_s = observe_s
        self._is_awaited = is_awaited
        self._word_of = word_of
        self._loop = asyncio.get_running_loop()
        self._sources: list[Callable[[HasRoom], list[Pending]]] = []
        self._lanes: dict[_Place, Lane] = {}
        self._given_up: dict[StoreNode, StoreAway] = {}
        self._is_scheduled = False
        self._is_flushing = False
        self._fresh = 0
        self.waiting_bytes = 0

    def add_source(self, take: Callable[[HasRoom], list[Pending]]) -> None:
        """Call `take(has_room)` for calls that change jobs whenever pipelines are packed.

        The source calls `wake` when it has some.
        """
        self._sources.append(take)

    def wake(self, partition: int) -> None:
        """Note that a source has one more call for a partition.

        It is sent at the next `push`, at the end of this tick, or when a pipeline returns.
        """
        if self._has_room(partition):
            self._fresh += 1
            self._schedule()

    def push(self, *, is_urgent: bool = False) -> None:
        """Send the waiting calls if they fill a pipeline or are urgent.

        Do not call this between the jobs of one bulk call: they must stay together to stay in order (I3).
        """
        if is_urgent or self._fresh >= FULL:
            self._flush()

    async def run(self, call: FunctionCall[T]) -> tuple[Reply[T], float]:
        """Run one call and return its reply and the time (time.monotonic) at which it was sent, or raise its error."""
        return await self.send(call)

    def send(
        self,
        call: FunctionCall[T],
        on_news: Callable[[Reply[T], float], None] | None = None,
        *,
        is_urgent: bool = False,
    ) -> asyncio.Future[tuple[Reply[T], float]]:
        """Run one call; the future resolves to the result or error of `run`.

        Args:
            on_news: called with the result when the reply arrives, before any caller of the same pipeline resumes.
            is_urgent: the call goes ahead of bulk work. A dequeue is urgent: a queue's slot is wasted while it waits.
        """
        future: asyncio.Future[tuple[Reply[T], float]] = self._loop.create_future()

        def deliver(reply: Reply[T] | SharqError, sent_at: float) -> None:
            if future.done():
                return
            if isinstance(reply, SharqError):
                future.set_exception(reply)
            else:
                future.set_result((reply, sent_at))

        lane = self._lane(call.partition, is_promised=self._executor.has_promised(call), is_urgent=is_urgent)
        lane.waiting.append(
            Pending(call, self._loop.time(), jobs=1, size=0, follows=False, on_news=on_news, on_reply=deliver)
        )
        if lane.has_room:
            self._schedule()
        return future

    async def value(self, call: FunctionCall[T]) -> T:
        """Run one call and return its value, or raise its error."""
        reply, _ = await self.run(call)
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

    async def drained(self) -> None:
        """Wait until no call waits or is in flight."""
        while self._is_scheduled or any(lane.in_flight for lane in self._lanes.values()):
            in_flight = [task for lane in self._lanes.values() for task in lane.in_flight]
            if in_flight:
                await asyncio.wait(in_flight)
            await asyncio.sleep(0)

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    def _has_room(self, partition: int) -> bool:
        """Return True if a source may hand over calls: they are not counted here, so they must not wait here (I11)."""
        lane = self._lane(partition, is_promised=self._executor.promises)
        return lane.has_room and not lane.is_cut

    def _lane(self, partition: int, *, is_promised: bool, is_urgent: bool = False) -> Lane:
        """Return the lane of the server that holds a partition now.

        Calls that wait for replicas have a lane of their own, so that no other calls queue behind them. Urgent calls
        have one too.
        """
        place = self._executor.node_of(partition), is_promised, is_urgent
        lane = self._lanes.get(place)
        if lane is None:
            self._lanes = {other: lane for other, lane in self._lanes.items() if lane.is_busy}
            lane = self._lanes[place] = Lane(
                self._executor, self._flush, self._observe_s, self._is_awaited, self._word_of
            )
            if self._given_up and place[0] is not None:
                lane.refusal = self._given_up.get(place[0])
        return lane

    def _flush(self) -> None:
        """Send the calls that there is room for.

        A pipeline that is refused at once returns during this call; the room that it frees is used in the next tick.
        """
        if self._is_flushing:
            self._schedule()
            return
        self._is_scheduled, self._fresh, self._is_flushing = False, 0, True
        try:
            for take in self._sources:
                for pending in take(self._has_room):
                    self._lane(pending.call.partition, is_promised=self._executor.promises).waiting.append(
                        pending
                    )
            for lane in self._lanes.values():
                lane.send()
            self.waiting_bytes = sum(lane.waiting_bytes for lane in self._lanes.values())
        finally:
            self._is_flushing = False
