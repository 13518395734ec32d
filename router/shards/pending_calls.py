"""Tracks the calls in flight on one connection to a shard: their numbers, deadlines and answers or errors."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import msgspec

from sharq_core.clock import RemoteClock
from sharq_core.errors import OutcomeUnknown, Overloaded, SharqError, TooLarge, Unavailable, from_code
from sharq_core.link.frames import MAX_ENTRY_BYTES, READS, CallFrame, ErrorFrame, decode_reply, encode
from sharq_core.link.messages import Call, Dequeue, Dequeued
from sharq_core.link.socket import Outbox
from sharq_core.logs import request_ids
from sharq_core.logs.plurals import counted
from sharq_core.models import LeasedJob
from sharq_core.telemetry import call_traces

ReplyT = TypeVar("ReplyT")

MAX_CALLS = 10_000
MAX_CALL_BYTES = 64 << 20
"""Limits of the calls in flight on one link, and of their bytes. More calls are refused at once (I11)."""

SILENCE_S = 0.5
"""Seconds of silence, with calls waiting, after which a shard is passed over."""

ASK_AFTER_S = 0.2
"""Seconds of silence, with calls waiting, after which a shard is asked for a sign of life: its store may be slow."""

_TICK_S = 0.05
_READ_S = 0.01
"""Seconds in which the event loop reads the data that waits in the socket."""


class _Waiting(msgspec.Struct, eq=False):
    """A call that waits for its answer. deadline_at is by the event loop, in seconds."""

    call_type: type[Call[Any]]
    future: asyncio.Future[Any]
    size: int
    deadline_at: float


class PendingCalls:
    """The calls on one connection.

    Args:
        outbox: takes requests, each with its number as the owner.
        clock_us: the shard's clock now.
        errors: counts, by code, the calls that fail as a whole.
        timeout_s: the timeout of each call, in seconds.
        void_leases: voids leases whose answer came too late for its call.

    Attributes:
        is_silent: True if nothing came from the shard for 500 ms with calls waiting, and nothing since.
    """

    def __init__(
        self,
        outbox: Outbox[int],
        clock_us: int,
        timeout_s: float,
        void_leases: Callable[[list[LeasedJob]], None],
        errors: Counter[str],
    ) -> None:
        self.is_silent = False
        self._loop = asyncio.get_running_loop()
        self._outbox = outbox
        self._timeout_s = timeout_s
        self._void_leases = void_leases
        self._errors = errors
        self._clock = RemoteClock()
        self._clock.learn(clock_us)
        self._numbers = 0
        self._waiting: dict[int, _Waiting] = {}
        self._late_dequeues: set[int] = set()
        self._size_bytes = 0
        self._silent_since = self._loop.time()
        self._timer: asyncio.Handle | None = None
        self._tick_at = 0.0

    def __len__(self) -> int:
        """Return the number of calls that wait for an answer."""
        return len(self._waiting)

    def send(self, call: Call[ReplyT]) -> asyncio.Future[ReplyT]:
        """Send a call with the next frame; return a future of its reply or its error.

        Raises:
            Overloaded: too many calls or bytes are in flight. Nothing was done.
            TooLarge: the call does not fit into a frame. Nothing was done.
        """
        now = self._loop.time()
        now_us = self._clock.now_us()
        assert now_us is not None
        self._numbers += 1
        number = self._numbers
        deadline_us = now_us + int(self._timeout_s * 1e6)
        trace = call_traces.current.get()
        context = b"" if trace is None else trace.context
        entry = encode(CallFrame(number, deadline_us, call, request_ids.current.get(), context))
        self._check_room(len(entry))
        future: asyncio.Future[ReplyT] = self._loop.create_future()
        if not self._waiting and not self.is_silent:
            self._silent_since = now
        self._waiting[number] = _Waiting(type(call), future, len(entry), now + self._timeout_s)
        self._size_bytes += len(entry)
        self._outbox.add(entry, number)
        if self._timer is None:
            self._arm(now)
        return future

    def hear(self, clock_us: int) -> None:
        """Record the arrival of a frame, and the shard's clock in it."""
        self._silent_since = self._loop.time()
        self.is_silent = False
        self._clock.learn(clock_us)

    def answer(self, number: int, result: msgspec.Raw) -> None:
        """Complete a call with its answer; raise FrameError if the answer is not of the call's type."""
        if number in self._late_dequeues:
            self._void_leases(decode_reply(Dequeue, result).jobs)
            self._late_dequeues.discard(number)
        waiting = self._waiting.get(number)
        if waiting is None:
            return
        reply = decode_reply(waiting.call_type, result)
        self._take(number)
        if not waiting.future.done():
            waiting.future.set_result(reply)
        elif waiting.call_type is Dequeue:
            self._void_leases(cast(Dequeued, reply).jobs)

    def fail(self, entry: ErrorFrame) -> None:
        """Complete a call with its error."""
        self._late_dequeues.discard(entry.number)
        if entry.number in self._waiting:
            waiting = self._take(entry.number)
            self._set_error(
                waiting, from_code(entry.code, entry.message, entry.queue_length, is_away=entry.is_away)
            )

    def end(self, reason: str) -> None:
        """Fail all calls because the connection has ended: unsent calls were not done, the others perhaps were."""
        unsent = frozenset(self._outbox.unsent())
        for number, waiting in self._waiting.items():
            if number in unsent:
                self._set_error(waiting, Unavailable(f"the shard was not asked: {reason}"))
            else:
                self._set_error(waiting, _no_answer(waiting, reason))
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _check_room(self, size: int) -> None:
        if size > MAX_ENTRY_BYTES:
            raise TooLarge(f"a call of {size} bytes is too large for a link")
        calls = max(len(self._waiting) + len(self._late_dequeues), len(self._outbox))
        size_bytes = max(self._size_bytes, self._outbox.size_bytes)
        if calls >= MAX_CALLS or size_bytes + size > MAX_CALL_BYTES:
            raise Overloaded(
                f"{counted(calls, 'call')} of {counted(size_bytes, 'byte')} wait for this shard already; "
                "try again in a moment"
            )

    def _take(self, number: int) -> _Waiting:
        waiting = self._waiting.pop(number)
        self._size_bytes -= waiting.size
        return waiting

    def _arm(self, now: float) -> None:
        """Set the timer, one for all calls: they have the same timeout, so the oldest expires first."""
        first = next(iter(self._waiting.values()), None)
        tick_at = now + _TICK_S
        self._set_timer(min(tick_at, first.deadline_at) if first else tick_at)

    def _set_timer(self, tick_at: float, *, has_read: bool = False) -> None:
        """Set the timer, and keep its time: a handle of uvloop that is due at once does not know its own."""
        self._tick_at = tick_at
        self._timer = self._loop.call_at(tick_at, partial(self._tick, has_read=has_read))

    def _tick(self, *, has_read: bool) -> None:
        now = self._loop.time()
        late_s = now - self._tick_at
        if late_s > _TICK_S and not has_read:
            # This process was stopped. That does not count as silence of the shard, and frames that arrived meanwhile
            # are read first.
            self._silent_since = min(self._silent_since + late_s, now)
            self._set_timer(now + _READ_S, has_read=True)
            return
        self._timer = None
        self._expire(now)
        self._listen(now - self._silent_since)
        if self._waiting or self.is_silent:
            self._arm(now)

    def _listen(self, silence_s: float) -> None:
        """Ask a silent shard for a sign of life, and pass it over until one comes."""
        if silence_s > ASK_AFTER_S and (self._waiting or self.is_silent):
            self._outbox.nudge()
        if silence_s > SILENCE_S and self._waiting and not self.is_silent:
            self.is_silent = True
            self._give_up_reads()

    def _expire(self, now: float) -> None:
        expired = []
        for number, waiting in self._waiting.items():
            if waiting.deadline_at > now:
                break
            expired.append(number)
        for number in expired:
            waiting = self._take(number)
            if waiting.call_type is Dequeue:
                self._late_dequeues.add(number)
            self._set_error(waiting, _no_answer(waiting, f"no answer within {self._timeout_s:.3g} s"))

    def _set_error(self, waiting: _Waiting, error: SharqError) -> None:
        self._errors[error.code] += 1
        if not waiting.future.done():
            waiting.future.set_exception(error)

    def _give_up_reads(self) -> None:
        """Fail the reads: they can be repeated at another shard and need not wait for a silent one."""
        for number in [number for number, waiting in self._waiting.items() if waiting.call_type in READS]:
            waiting = self._take(number)
            self._set_error(waiting, _no_answer(waiting, f"no sign of life within {SILENCE_S} s"))


def _no_answer(waiting: _Waiting, reason: str) -> SharqError:
    if waiting.call_type in READS:
        return Unavailable(f"the shard did not answer: {reason}")
    return OutcomeUnknown(f"the shard did not answer ({reason}): the call may have been done")
