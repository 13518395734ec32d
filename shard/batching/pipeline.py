"""Function calls that come together go to the store as one pipeline for each of its servers.

What one event-loop tick brings is sent at its end, or as soon as it is worth a pipeline. While as many pipelines as
allowed are in flight to a server, what comes in for it gathers for the next one: under load batches grow by themselves,
and an idle node adds no delay. Batches of jobs (shard/batching/batches.py) are packed at the last moment for that. A
server that is slow or away holds up no other's calls.
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
"""Pipelines in flight to one server: one that the store works on, one on its way."""

FULL = 16
"""Calls that are worth a pipeline of their own: the server works on them while this process reads on. Were all that a
tick brings sent together, process and server would take turns under load, each waiting for the other."""

CALLS_AT_ONCE = 32
"""Calls of one pipeline: so long, some ms, the server does nothing else."""

JOBS_WHILE_AWAITED = 32
"""Jobs of one pipeline (one call may carry more) while workers wait for some: what becomes due meanwhile is behind
those in flight, about 2 ms, and not behind a thousand that somebody finishes.
"""

BYTES_AT_ONCE = 4 << 20
"""Payload bytes of one pipeline (one call may carry more): what a server takes in well under the timeout."""

_Place: TypeAlias = tuple[StoreNode | None, bool, bool]
"""Of a lane: the server, whether its calls wait for replicas, whether they are urgent."""

WordOf: TypeAlias = Callable[[FunctionCall[Any]], "FunctionCall[None] | None"]

HasRoom: TypeAlias = Callable[[int], bool]
"""Whether a partition's server may be sent something now that changes jobs."""


class Pending(msgspec.Struct, frozen=True):
    """A call that waits to be sent.

    Attributes:
        since: the loop's time at which its oldest work came in, in seconds.
        jobs: how many it is about.
        size: payload bytes, about.
        follows: it has more jobs for the queues of the call before it.
        on_news: told a reply, and when (time.monotonic) the call was sent, before anybody who waits goes on.
        on_reply: told the reply or error, and that time (or when it was refused unsent), when the next pipeline is on
            its way.
    """

    call: FunctionCall[Any]
    since: float
    jobs: int
    size: int
    follows: bool
    on_news: Callable[[Reply[Any], float], None] | None
    on_reply: Callable[[Reply[Any] | SharqError, float], None]


class Pipeline:
    """Sends calls, its own and those that its sources have at the time of sending.

    Args:
        observe_s: told how long each pipeline took, in seconds.
        is_awaited: whether workers wait for jobs now.
        word_of: of a call that changes a type in a partition of another node, the one by which that node hears of it;
            None for any other call. Both go in one pipeline.

    Attributes:
        waiting_bytes: payload bytes of calls that are packed and wait for a pipeline.
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
        """Ask `take(has_room)` for calls that change jobs whenever pipelines are packed; it says by `wake` that it has
        some.
        """
        self._sources.append(take)

    def wake(self, partition: int) -> None:
        """There is one call more to send for a partition: at the next `push`, at the end of this tick, or when a
        pipeline comes back.
        """
        if self._has_room(partition):
            self._fresh += 1
            self._schedule()

    def push(self, *, is_urgent: bool = False) -> None:
        """Send what waits, if it is worth a pipeline or urgent. Not between the jobs of one bulk call: they stay
        together, and so in order (I3).
        """
        if is_urgent or self._fresh >= FULL:
            self._flush()

    async def run(self, call: FunctionCall[T]) -> tuple[Reply[T], float]:
        """Run one call; returns its reply and when (time.monotonic) it was sent, or raises its error."""
        return await self.send(call)

    def send(
        self,
        call: FunctionCall[T],
        on_news: Callable[[Reply[T], float], None] | None = None,
        *,
        is_urgent: bool = False,
    ) -> asyncio.Future[tuple[Reply[T], float]]:
        """Run one call; the future has what `run` returns or raises.

        Args:
            on_news: told the same as soon as the reply is there, before whoever waits for any reply of its pipeline.
            is_urgent: its rate runs out while it waits: it must not be behind a thousand jobs of a bulk call.
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
        """Refuse what is for a server until `take_up`: what waits, what comes, and what is in flight and need not wait.

        An enqueue in flight goes on waiting: until its time is up it may still be done, and only then may it be made
        again elsewhere without a job that was finished meanwhile coming back. Other calls do no harm when they are done
        late.
        """
        self._given_up[node] = refusal
        for (server, _, _), lane in self._lanes.items():
            if server is node:
                lane.give_up(refusal)
        self._schedule()

    def take_up(self, node: StoreNode) -> None:
        """Send to a server again that was given up."""
        self._given_up.pop(node, None)
        for (server, _, _), lane in self._lanes.items():
            if server is node:
                lane.refusal = None

    async def drained(self) -> None:
        """Wait until nothing waits or is in flight."""
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
        """For what its sources have: nothing of them may wait here, where nobody counts it (I11)."""
        lane = self._lane(partition, self._executor.promises)
        return lane.has_room and not lane.is_cut

    def _lane(self, partition: int, is_promised: bool, is_urgent: bool = False) -> _Lane:
        """The lane of the server that holds a partition now; calls that wait for replicas have one of their own, so
        that nothing else is behind them, and so have urgent ones.
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
        """Send what there is room for. A pipeline that is refused at once is back meanwhile: what it made room for goes
        with the next tick.
        """
        if self._is_flushing:
            self._schedule()
            return
        self._is_scheduled, self._fresh, self._is_flushing = False, 0, True
        try:
            for take in self._sources:
                for one in take(self._has_room):
                    self._lane(one.call.partition, self._executor.promises).waiting.append(one)
            for lane in self._lanes.values():
                lane.send()
            self.waiting_bytes = sum(lane.waiting_bytes for lane in self._lanes.values())
        finally:
            self._is_flushing = False


class _Lane:
    """What waits for one server and what is on its way there.

    Args:
        on_room: told when a pipeline has come back.
        observe_s: told how long each took.
        is_awaited: whether workers wait for jobs now.

    Attributes:
        is_cut: what waits is the rest of what was too much for one pipeline.
        refusal: what every call comes to, while the server is given up.
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
        """Another pipeline may be sent now. One that goes on with a cut bulk call waits until all are back, so that the
        jobs of one queue never overtake each other on two connections (I3).
        """
        if self.refusal is not None:
            return True
        return len(self.in_flight) < (1 if self.waiting and self.waiting[0].follows else IN_FLIGHT)

    @property
    def is_busy(self) -> bool:
        """Something waits or is in flight."""
        return bool(self.waiting or self.in_flight)

    def send(self) -> None:
        """Send what waits, as far as there is room."""
        if self.refusal is not None:
            self._refuse_waiting(self.refusal)
        while self.waiting and self.has_room:
            now = self._loop.time()
            pending, self.waiting = self.waiting, []
            fresh = self._cut(self._drop_late(pending, now))
            if fresh:
                flight = _Flight(fresh + self._words(fresh, now))
                task = tasks.begin(self._run(flight, now))
                self.in_flight[task] = flight
                task.add_done_callback(self._on_done)

    def give_up(self, refusal: StoreAway) -> None:
        """Refuse what waits and comes from now on, and answer what is in flight, but for enqueues."""
        self.refusal = refusal
        self._refuse_waiting(refusal)
        for flight in self.in_flight.values():
            flight.give_up(refusal)

    def _refuse_waiting(self, refusal: StoreAway) -> None:
        refused, self.waiting = self.waiting, []
        self.is_cut, self.waiting_bytes = False, 0
        for one in refused:
            one.on_reply(refusal, monotonic())

    def _words(self, pending: list[Pending], now: float) -> list[Pending]:
        """What is to be said to the owners of the calls' partitions, each once."""
        words = {
            (word.partition, word.arguments[1]): word
            for one in pending
            if (word := self._word_of(one.call)) is not None
        }
        return [Pending(word, now, 0, 0, False, None, _log_failure) for word in words.values()]

    def _cut(self, pending: list[Pending]) -> list[Pending]:
        """The first calls, as many as one pipeline may carry; the rest goes on waiting."""
        jobs, size = 0, 0
        most_jobs = JOBS_WHILE_AWAITED if self._is_awaited() else math.inf
        for index, one in enumerate(pending):
            jobs, size = jobs + one.jobs, size + one.size
            if index == CALLS_AT_ONCE or (index and (jobs > most_jobs or size > BYTES_AT_ONCE)):
                self.waiting, self.is_cut = pending[index:], True
                self.waiting_bytes = sum(late.size for late in self.waiting)
                return pending[:index]
        self.is_cut, self.waiting_bytes = False, 0
        return pending

    def _drop_late(self, pending: list[Pending], now: float) -> list[Pending]:
        """What waited longer than a call may take is refused unsent, so nobody waits twice the timeout."""
        oldest = now - self._executor.timeout_s
        late = [one for one in pending if one.since <= oldest]
        for one in late:
            one.on_reply(Unavailable("the store did not come free in time"), monotonic())
        return [one for one in pending if one.since > oldest] if late else pending

    async def _run(self, flight: _Flight, now: float) -> None:
        """One pipeline. The next is on its way before anybody goes on who waited for this one, so that the server has
        work meanwhile.
        """
        pending = flight.pending
        left_s = min(one.since for one in pending) + self._executor.timeout_s - now
        sent_at = monotonic()
        replies: Sequence[Reply[Any] | SharqError]
        try:
            replies = await self._executor.run([one.call for one in pending], left_s)
            _tell_news(pending, replies, sent_at)
        except Exception as error:
            log.exception("pipeline_failed")
            words = f"an error in this process: {type(error).__name__}; the call may have been done"
            replies = [OutcomeUnknown(words)] * len(pending)
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
    """The calls of one pipeline on its way."""

    def __init__(self, pending: list[Pending]) -> None:
        self.pending = pending
        self._answered: set[int] = set()

    def give_up(self, refusal: StoreAway) -> None:
        """Answer now what may be done late without harm: all but enqueues."""
        for index, one in enumerate(self.pending):
            if index not in self._answered and one.call.function is not library.ENQUEUE:
                self._answered.add(index)
                words = f"{refusal.message}, and the call may have been done"
                one.on_reply(refusal if one.call.function.is_read else StoreSilent(words), monotonic())

    def land(self, replies: Sequence[Reply[Any] | SharqError], sent_at: float) -> None:
        """Answer what was not answered yet."""
        answered = self._answered
        for index, (one, reply) in enumerate(zip(self.pending, replies, strict=True)):
            if not answered or index not in answered:
                one.on_reply(reply, sent_at)


def _log_failure(reply: Reply[Any] | SharqError, _: float) -> None:
    if isinstance(reply, SharqError):
        log.debug("word_not_left error=%r", reply.message)


def _tell_news(pending: list[Pending], replies: Sequence[Reply[Any] | SharqError], sent_at: float) -> None:
    """What was done is news even where its answer is an error, because no replica has it."""
    for one, reply in zip(pending, replies, strict=True):
        news = reply.reply if isinstance(reply, NotKept) else reply
        if one.on_news is not None and not isinstance(news, SharqError):
            one.on_news(news, sent_at)
