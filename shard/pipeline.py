"""Function calls of one event-loop tick go to the store as one pipeline.

While as many pipelines as allowed are in flight, what comes in gathers for the next one: under load batches grow by
themselves, and an idle node adds no delay. Batches of jobs (shard/batches.py) are packed at the last moment for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from sharq_core.errors import SharqError, Unavailable
from sharq_core.scheduler.executor import Executor, value_of
from sharq_core.scheduler.functions import FunctionCall, Reply

log = logging.getLogger(__name__)

T = TypeVar("T")

IN_FLIGHT = 2
"""Pipelines in flight: one that the store works on, one on its way."""

BYTES_AT_ONCE = 4 << 20
"""Payload bytes of one pipeline (one call may carry more): what a server takes in well under the timeout."""


class Pending(msgspec.Struct, frozen=True):
    """A call that waits to be sent.

    Attributes:
        since: the loop's time at which its oldest work came in, in seconds.
        size: payload bytes, about.
        on_reply: told the reply or error, and the loop's time at which the call was sent.
    """

    call: FunctionCall[Any]
    since: float
    size: int
    on_reply: Callable[[Reply[Any] | SharqError, float], None]


class Pipeline:
    """Sends calls, its own and those that its sources have at the time of sending."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Pending] = []
        self._sources: list[Callable[[float], list[Pending]]] = []
        self._waiting_bytes = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._is_scheduled = False

    def add_source(self, take: Callable[[float], list[Pending]]) -> None:
        """Ask `take(now)` for calls whenever a pipeline is packed; it says by `wake` that it has some."""
        self._sources.append(take)

    def wake(self) -> None:
        """There is something to send: at the end of this tick, or when a pipeline comes back."""
        room = 1 if self._waiting_bytes else IN_FLIGHT
        if not self._is_scheduled and len(self._in_flight) < room:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    async def run(self, call: FunctionCall[T]) -> tuple[Reply[T], float]:
        """Run one call; returns its reply and the loop's time at which it was sent, or raises its error."""
        future: asyncio.Future[tuple[Reply[T], float]] = self._loop.create_future()

        def deliver(reply: Reply[T] | SharqError, sent_at: float) -> None:
            if future.done():
                return
            if isinstance(reply, SharqError):
                future.set_exception(reply)
            else:
                future.set_result((reply, sent_at))

        self._waiting.append(Pending(call, self._loop.time(), 0, deliver))
        self.wake()
        return await future

    async def value(self, call: FunctionCall[T]) -> T:
        """Run one call and return its value, or raise its error."""
        reply, _ = await self.run(call)
        return value_of(reply)

    @property
    def waiting_bytes(self) -> int:
        """Payload bytes of calls that are packed and wait for a pipeline."""
        return self._waiting_bytes

    async def drained(self) -> None:
        """Wait until nothing waits or is in flight."""
        while self._in_flight or self._is_scheduled:
            if self._in_flight:
                await asyncio.wait(self._in_flight)
            await asyncio.sleep(0)

    def _flush(self) -> None:
        self._is_scheduled = False
        now = self._loop.time()
        pending, self._waiting = self._waiting, []
        for take in self._sources:
            pending += take(now)
        fresh = self._cut(self._drop_late(pending, now))
        if fresh:
            task = self._loop.create_task(self._send(fresh, now))
            self._in_flight.add(task)
            task.add_done_callback(self._on_sent)

    def _cut(self, pending: list[Pending]) -> list[Pending]:
        """The first calls, as many as one pipeline may carry. The rest waits until that one is back, so that the calls
        of one queue never overtake each other on two connections (I3).
        """
        total = 0
        for index, one in enumerate(pending):
            total += one.size
            if index and total > BYTES_AT_ONCE:
                self._waiting = pending[index:]
                self._waiting_bytes = sum(late.size for late in self._waiting)
                return pending[:index]
        self._waiting_bytes = 0
        return pending

    def _drop_late(self, pending: list[Pending], now: float) -> list[Pending]:
        """What waited longer than a call may take is refused unsent, so nobody waits twice the timeout."""
        oldest = now - self._executor.node.timeout_s
        late = [one for one in pending if one.since <= oldest]
        for one in late:
            one.on_reply(Unavailable("the store did not come free in time"), now)
        return [one for one in pending if one.since > oldest] if late else pending

    async def _send(self, pending: list[Pending], now: float) -> None:
        left = min(one.since for one in pending) + self._executor.node.timeout_s - now
        replies = await self._executor.run([one.call for one in pending], left)
        for one, reply in zip(pending, replies, strict=True):
            one.on_reply(reply, now)

    def _on_sent(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("pipeline_failed", exc_info=error)
        self.wake()
