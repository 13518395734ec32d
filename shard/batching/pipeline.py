"""Sends function calls that arrive together to the store as one pipeline per server.

The calls of one event-loop tick are sent at its end, or as soon as they fill a pipeline. While a server has as many
pipelines in flight as allowed, its calls gather for the next one: batches grow under load, and an idle node adds no
delay. For the same reason batches of jobs (shard/batching/batches.py) are packed at the last moment. A slow or
unreachable server does not delay the calls of the others.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

from sharq_core.errors import OutcomeUnknown, SharqError, StoreAway, StoreSilent, Unavailable
from sharq_core.process import tasks
from sharq_core.scheduler import library
from sharq_core.scheduler.executor import Executor, value_of
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.replies import Reply
from sharq_core.store.node import StoreNode
from sharq_core.store.replication.durability import NotKept

log = logging.getLogger(__name__)

T = TypeVar("T")

IN_FLIGHT = 2
"""Pipelines in flight to one server: the store works on one while the other is on its way."""

FULL = 16
"""Calls that fill a pipeline: the server works on them while this process reads more requests. If all calls of a tick
were sent together, process and server would take turns under load, each waiting for the other.
"""

CALLS_AT_ONCE = 32
"""Most calls of one pipeline. The server does nothing else while it runs them, for some milliseconds."""

JOBS_WHILE_AWAITED = 32
"""Most jobs of one pipeline while workers are waiting (one call may carry more). A newly due job then queues behind
about 2 ms of work instead of a 1,000-job bulk finish.
"""

BYTES_AT_ONCE = 4 << 20
"""Most payload bytes of one pipeline (one call may carry more). A server accepts them well within the timeout."""

_Place: TypeAlias = tuple[StoreNode | None, bool, bool]
"""The key of a lane: the server, whether its calls wait for replicas, whether they are urgent."""

WordOf: TypeAlias = Callable[[FunctionCall[Any]], "FunctionCall[None] | None"]

HasRoom: TypeAlias = Callable[[int], bool]
"""Returns True if calls that change jobs may be sent to a partition's server now."""


class Pending(msgspec.Struct, frozen=True):
    """A call that waits to be sent.

    Attributes:
        since: the loop's time, in seconds, at which its oldest work arrived.
        jobs: the number of its jobs.
        size: its payload bytes, approximately.
        follows: True if it has more jobs for the queues of the call before it.
        on_news: called with a reply and the time (time.monotonic) at which the call was sent, before any caller
            resumes.
        on_reply: called with the reply or error and that time (or the time at which it was refused unsent), once the
            next pipeline is on its way.
    """

    call: FunctionCall[Any]
    since: float
    jobs: int
    size: int
    follows: bool
    on_news: Callable[[Reply[Any], float], None] | None
    on_reply: Callable[[Reply[Any] | SharqError, float], None]


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
        word_of: WordOf = lambda call: None,
    ) -> None:
        self._executor = executor
        self._observe_s = observe_s
        self._is_awaited = is_awaited
        self._word_of = word_of
        self._loop = asyncio.get_running_loop()
        self._sources: list[Callable[[HasRoom], list[Pending]]] = []
        self._lanes: dict[_Place, _Lane] = {}
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

        lane = self._lane(call.partition, self._executor.has_promised(call), is_urgent)
        lane.waiting.append(Pending(call, self._loop.time(), 1, 0, False, on_news, deliver))
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
        lane = self._lane(partition, self._executor.promises)
        return lane.has_room and not lane.is_cut

    def _lane(self, partition: int, is_promised: bool, is_urgent: bool = False) -> _Lane:
        """Return the lane of the server that holds a partition now.

        Calls that wait for replicas have a lane of their own, so that no other calls queue behind them. Urgent calls
        have one too.
        """
        place = self._executor.node_of(partition), is_promised, is_urgent
        lane = self._lanes.get(place)
        if lane is None:
            self._lanes = {other: lane for other, lane in self._lanes.items() if lane.is_busy}
            lane = self._lanes[place] = _Lane(
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
                    self._lane(pending.call.partition, self._executor.promises).waiting.append(pending)
            for lane in self._lanes.values():
                lane.send()
            self.waiting_bytes = sum(lane.waiting_bytes for lane in self._lanes.values())
        finally:
            self._is_flushing = False


class _Lane:
    """The waiting calls and the pipelines in flight of one server.

    Args:
        on_room: called when a pipeline has returned.
        observe_s: called with the duration of each pipeline, in seconds.
        is_awaited: returns True if workers wait for jobs now.
        word_of: returns the call that notifies the owner of a call's partition; None for none.

    Attributes:
        is_cut: True if the waiting calls are the remainder of those that did not fit one pipeline.
        refusal: the error of every call while the server is given up; else None.
    """

    def __init__(
        self,
        executor: Executor,
        on_room: Callable[[], None],
        observe_s: Callable[[float], None],
        is_awaited: Callable[[], bool],
        word_of: WordOf,
    ) -> None:
        self.waiting: list[Pending] = []
        self.waiting_bytes = 0
        self.is_cut = False
        self.refusal: StoreAway | None = None
        self.in_flight: dict[asyncio.Task[None], _Flight] = {}
        self._executor = executor
        self._on_room = on_room
        self._observe_s = observe_s
        self._is_awaited = is_awaited
        self._word_of = word_of
        self._loop = asyncio.get_running_loop()

    @property
    def has_room(self) -> bool:
        """Return True if another pipeline may be sent now.

        A pipeline that continues a cut bulk call waits until all others have returned, so that the jobs of one queue
        never overtake each other on two connections (I3).
        """
        if self.refusal is not None:
            return True
        return len(self.in_flight) < (1 if self.waiting and self.waiting[0].follows else IN_FLIGHT)

    @property
    def is_busy(self) -> bool:
        """Return True if a call waits or is in flight."""
        return bool(self.waiting or self.in_flight)

    def send(self) -> None:
        """Send the waiting calls, as far as there is room."""
        if self.refusal is not None:
            self._refuse_waiting(self.refusal)
        while self.waiting and self.has_room:
            now = self._loop.time()
            pending, self.waiting = self.waiting, []
            fresh = self._cut(self._drop_late(pending, now))
            if fresh:
                flight = _Flight(fresh + self._notes(fresh, now))
                task = tasks.begin(self._run(flight, now))
                self.in_flight[task] = flight
                task.add_done_callback(self._on_done)

    def give_up(self, refusal: StoreAway) -> None:
        """Refuse the calls that wait or arrive from now on, and answer those in flight except enqueues."""
        self.refusal = refusal
        self._refuse_waiting(refusal)
        for flight in self.in_flight.values():
            flight.give_up(refusal)

    def _refuse_waiting(self, refusal: StoreAway) -> None:
        refused, self.waiting = self.waiting, []
        self.is_cut, self.waiting_bytes = False, 0
        for pending in refused:
            pending.on_reply(refusal, monotonic())

    def _notes(self, calls: list[Pending], now: float) -> list[Pending]:
        """Return the calls that notify the owners of the partitions, one per partition and type."""
        notes = {
            (note.partition, note.arguments[1]): note
            for call in calls
            if (note := self._word_of(call.call)) is not None
        }
        return [Pending(note, now, 0, 0, False, None, _log_failure) for note in notes.values()]

    def _cut(self, pending: list[Pending]) -> list[Pending]:
        """Return the first calls, as many as fit one pipeline; the remaining ones keep waiting."""
        jobs, size = 0, 0
        max_jobs = JOBS_WHILE_AWAITED if self._is_awaited() else math.inf
        for index, call in enumerate(pending):
            jobs, size = jobs + call.jobs, size + call.size
            # The first call always goes, however large: it would never fit otherwise.
            if index == CALLS_AT_ONCE or (index and (jobs > max_jobs or size > BYTES_AT_ONCE)):
                self.waiting, self.is_cut = pending[index:], True
                self.waiting_bytes = sum(waiting.size for waiting in self.waiting)
                return pending[:index]
        self.is_cut, self.waiting_bytes = False, 0
        return pending

    def _drop_late(self, pending: list[Pending], now: float) -> list[Pending]:
        """Refuse the calls that have waited for the whole timeout, unsent, so that no caller waits twice as long."""
        oldest = now - self._executor.timeout_s
        expired = [call for call in pending if call.since <= oldest]
        for call in expired:
            call.on_reply(Unavailable("the store was busy for too long; nothing was done"), monotonic())
        return [call for call in pending if call.since > oldest] if expired else pending

    async def _run(self, flight: _Flight, now: float) -> None:
        """Run one pipeline.

        The next one is sent before the callers of this one resume, so that the server has work in the meantime.
        """
        pending = flight.pending
        remaining_s = min(call.since for call in pending) + self._executor.timeout_s - now
        sent_at = monotonic()
        replies: Sequence[Reply[Any] | SharqError]
        try:
            replies = await self._executor.run([call.call for call in pending], remaining_s)
            _tell_news(pending, replies, sent_at)
        except Exception as error:
            log.exception("pipeline_failed")
            message = f"an error in this process: {type(error).__name__}; the call may have been done"
            replies = [OutcomeUnknown(message)] * len(pending)
        self._make_room(cast("asyncio.Task[None]", asyncio.current_task()))
        self._observe_s(monotonic() - sent_at)
        flight.land(replies, sent_at)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("answers_failed", exc_info=error)
        if task in self.in_flight:
            self._make_room(task)

    def _make_room(self, task: asyncio.Task[None]) -> None:
        self.in_flight.pop(task, None)
        self._on_room()


class _Flight:
    """The calls of one pipeline in flight."""

    def __init__(self, pending: list[Pending]) -> None:
        self.pending = pending
        self._answered: set[int] = set()

    def give_up(self, refusal: StoreAway) -> None:
        """Answer now the calls that do no harm if they are done late: all except enqueues."""
        for index, call in enumerate(self.pending):
            if index not in self._answered and call.call.function is not library.ENQUEUE:
                self._answered.add(index)
                message = f"{refusal.message}, and the call may have been done"
                call.on_reply(refusal if call.call.function.is_read else StoreSilent(message), monotonic())

    def land(self, replies: Sequence[Reply[Any] | SharqError], sent_at: float) -> None:
        """Answer the calls that are not answered yet."""
        answered = self._answered
        for index, (call, reply) in enumerate(zip(self.pending, replies, strict=True)):
            if not answered or index not in answered:
                call.on_reply(reply, sent_at)


def _log_failure(reply: Reply[Any] | SharqError, _: float) -> None:
    if isinstance(reply, SharqError):
        log.debug("word_not_left error=%r", reply.message)


def _tell_news(pending: list[Pending], replies: Sequence[Reply[Any] | SharqError], sent_at: float) -> None:
    """Call `on_news` for every call that was done, even if its answer is an error because no replica has it."""
    for call, reply in zip(pending, replies, strict=True):
        news = reply.reply if isinstance(reply, NotKept) else reply
        if call.on_news is not None and not isinstance(news, SharqError):
            call.on_news(news, sent_at)
