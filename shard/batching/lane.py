"""The lane of one store server: cuts waiting calls into pipelines, sends them, and answers the callers.

shard/batching/pipeline.py chooses the lane of a call.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, TypeAlias, cast

import msgspec

from sharq_core.errors import OutcomeUnknown, SharqError, StoreAway, StoreSilent, Unavailable
from sharq_core.process import tasks
from sharq_core.scheduler import library
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.replies import Reply
from sharq_core.store.replication.durability import NotKept

log = logging.getLogger(__name__)

IN_FLIGHT = 2
"""Pipelines in flight to one server: the store works on one while the other is on its way."""

CALLS_AT_ONCE = 32
"""Most calls of one pipeline. The server does nothing else while it runs them, for some milliseconds."""

JOBS_WHILE_AWAITED = 32
"""Most jobs of one pipeline while workers are waiting (one call may carry more). A newly due job then queues behind
about 2 ms of work instead of a 1,000-job bulk finish.
"""

BYTES_AT_ONCE = 4 << 20
"""Most payload bytes of one pipeline (one call may carry more). A server accepts them well within the timeout."""

WordOf: TypeAlias = Callable[[FunctionCall[Any]], "FunctionCall[None] | None"]
"""Returns the call that notifies the owner if a call changes another node's partition; else None."""


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


class Lane:
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
        return [
            Pending(note, now, jobs=0, size=0, follows=False, on_news=None, on_reply=_log_failure)
            for note in notes.values()
        ]

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
