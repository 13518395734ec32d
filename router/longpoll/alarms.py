"""Calls back at a time of time.monotonic, never early.

The callback is at most 0.1 ms late with a timer of the kernel, and at most 2 ms with a timer of the event loop, which
is a fifth of the interval of a queue at 100 leases a second.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from time import CLOCK_MONOTONIC, monotonic
from typing import Protocol

_TICK_S = 0.001
"""Resolution of the event loop's timers, which may fire up to 1 ms early."""

_STALE = 64
"""Obsolete times that may stay on the list, in addition to as many as there are current times."""


class Alarm:
    """An alarm that rings once for each time it is set to."""

    def __init__(self, clock: AlarmClock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self.ring = ring
        self.at: float | None = None

    def set(self, at: float) -> None:
        """Ring at a time of time.monotonic, in seconds, or soon if it has passed. This replaces an earlier time."""
        if at != self.at:
            self.at = at
            self._clock.add(at, self)

    def clear(self) -> None:
        """Do not ring."""
        self.at = None


class AlarmClock:
    """The alarms of one event loop, all on one timer."""

    def __init__(self) -> None:
        self._times: list[tuple[float, int, Alarm]] = []
        self._added = 0
        self._limit = _STALE
        self._timer = _best_timer(self._ring)

    def alarm(self, ring: Callable[[], None]) -> Alarm:
        """Return a new alarm, not set yet."""
        return Alarm(self, ring)

    def add(self, at: float, alarm: Alarm) -> None:
        """Check an alarm at a time of time.monotonic, in seconds."""
        if len(self._times) >= self._limit:
            self._drop_stale()
        self._added += 1
        heapq.heappush(self._times, (at, self._added, alarm))
        # The first entry may be an obsolete one of the same alarm, with other alarms between it and this one.
        if self._times[0][1] == self._added:
            self._timer.set(at)

    def _ring(self) -> None:
        try:
            while self._times and self._times[0][0] <= monotonic():
                at, _, alarm = heapq.heappop(self._times)
                if alarm.at == at:
                    alarm.at = None
                    alarm.ring()
        finally:
            if self._times:
                self._timer.set(self._times[0][0])

    def _drop_stale(self) -> None:
        self._times = [entry for entry in self._times if entry[2].at == entry[0]]
        heapq.heapify(self._times)
        self._limit = 2 * len(self._times) + _STALE


class _Timer(Protocol):
    """A timer that calls back at about the time it was last set to."""

    def set(self, at: float) -> None:
        """Call back at a time of time.monotonic(), or at once if it has passed; replace the former time."""
        ...


class LoopTimer:
    """A timer of the event loop."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at: float) -> None:
        """Set the time; the event loop rounds it up to its resolution."""
        if self._handle is not None:
            self._handle.cancel()
        remaining_s = at - monotonic()
        self._handle = self._loop.call_later(max(remaining_s, _TICK_S) if remaining_s > 0 else 0, self._ring)


if sys.platform == "linux" and sys.version_info >= (3, 13):

    class FineTimer:
        """A timer of the kernel, with a resolution of 1 ns. Source: timerfd_create(2)."""

        def __init__(self, ring: Callable[[], None]) -> None:
            self._file = os.timerfd_create(CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
            weakref.finalize(self, os.close, self._file)
            self._ring = ring
            asyncio.get_running_loop().add_reader(self._file, self._on_due)

        def set(self, at: float) -> None:
            """Set the time; the kernel keeps it to the nanosecond."""
            os.timerfd_settime_ns(self._file, flags=os.TFD_TIMER_ABSTIME, initial=max(int(at * 1e9), 1))

        def _on_due(self) -> None:
            with suppress(BlockingIOError):
                os.read(self._file, 8)
            self._ring()


def _best_timer(ring: Callable[[], None]) -> _Timer:
    if sys.platform == "linux" and sys.version_info >= (3, 13):
        return FineTimer(ring)
    return LoopTimer(ring)
