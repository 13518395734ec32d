"""Reads this machine's monotonic clock, and estimates another machine's clock from its answers.

This machine's wall clock is never used: it can be set.
"""

from __future__ import annotations

import math
import time
from time import monotonic

_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_WINDOW_S = 10.0

_STEP_US = 500_000
"""Smaller steps are not reported: they may be drift during a long silence."""

_DRIFT = 500e-6
"""The most by which the speeds of two clocks differ, as a fraction: what time services correct a clock by at most."""

_MAX_LEAD_US = 1_000
"""The most by which `arrival_us` is ahead of `now_us`: a slow call must not let the next ones leave far too early."""

_HOLD_S = 2.0
"""Time after a forward step during which calls are timed as if the step had not happened."""


def elapsed_us() -> int:
    """Return this machine's monotonic time in µs; it includes the time of a suspend if the system supports that."""
    return time.clock_gettime_ns(_ELAPSED) // 1000


class RemoteClock:
    """An estimate of the current time by the clock of a store's server or of a shard.

    Each answer carries that clock's time at some moment before it arrived, so it gives a lower bound of the offset
    between that clock and this machine's monotonic clock. The largest bound of the last 10 to 20 seconds is kept. The
    estimate is never ahead of the remote clock, unless that clock has stepped back unnoticed.
    """

    def __init__(self) -> None:
        self._best: float | None = None
        # The largest lower bound of the offset, each less the drift since its answer.
        self._careful = -math.inf
        self._careful_at = 0.0
        self._recent = -math.inf
        self._turns_at = 0.0
        self._offset_limit = math.inf
        # The least upper bounds of the offset, of the same windows as `_best` and `_recent`.
        self._least_limit = self._recent_limit = math.inf
        self._ahead_us = 0.0
        self._held_until = 0.0

    def learn(self, remote_us: int, asked_at: float | None = None) -> bool:
        """Update the estimate with an answer that arrived just now.

        Args:
            remote_us: the remote time in the answer, in µs.
            asked_at: the time of the question (time.monotonic). It gives an upper bound of the offset; an estimate
                above this bound dates from before the clock stepped back, and is dropped.

        Returns:
            True if the clock has stepped in either direction, that is, if no delay explains this answer after the
            previous one.
        """
        # The answer was written between asked_at and now, so the true offset lies between these two bounds.
        received_at = monotonic()
        offset = remote_us - received_at * 1e6
        offset_limit = math.inf if asked_at is None else remote_us - asked_at * 1e6
        before = self._best
        has_stepped_back = before is not None and before > offset_limit
        # A lower bound above the previous upper bound cannot be a delay: the clock has jumped forward.
        is_step_ahead = offset > self._offset_limit + _STEP_US
        if is_step_ahead:
            self._ahead_us, self._held_until = offset_limit - self._offset_limit, received_at + _HOLD_S
            self._least_limit = self._recent_limit = math.inf
        self._offset_limit = offset_limit
        self._least_limit = min(self._least_limit, offset_limit)
        careful = self._careful - _DRIFT * (received_at - self._careful_at) * 1e6
        if offset >= careful or has_stepped_back or self._careful > offset_limit:
            self._careful, self._careful_at = offset, received_at
        # Two windows overlap: `_recent` is the maximum of the current one, `_best` that of both. Old bounds expire
        # with their window, so the estimate follows a remote clock that runs slower than this one.
        if received_at >= self._turns_at and not has_stepped_back:
            self._best = max(self._recent, offset)
            self._recent = offset
            self._least_limit, self._recent_limit = min(self._recent_limit, offset_limit), math.inf
            self._turns_at = received_at + _WINDOW_S
        elif self._best is None or offset > self._best or has_stepped_back:
            self._best = self._recent = offset
        elif offset > self._recent:
            self._recent = offset
        self._recent_limit = min(self._recent_limit, offset_limit)
        return is_step_ahead or (before is not None and before > offset_limit + _STEP_US)

    def now_us(self) -> int | None:
        """Return the remote time in µs, or None before the first answer."""
        return None if self._best is None else int(self._best + monotonic() * 1e6)

    def arrival_us(self) -> int | None:
        """Return the remote time in µs at which a call that leaves now arrives at the earliest; None before the first.

        That is `now_us` plus the time of the fastest call of the last 10 to 20 seconds, at most 1 ms. A call that is
        timed by it is not late by its own way to the server.
        """
        if self._best is None:
            return None
        way_us = 0.0 if self._least_limit == math.inf else max(self._least_limit - self._best, 0.0)
        return int(self._best + min(way_us, _MAX_LEAD_US) + monotonic() * 1e6)

    def careful_us(self) -> int | None:
        """Return the remote time in µs, or slightly less, also if that clock has been slower since the best answer.

        None before the first answer.
        """
        if self._best is None:
            return None
        now = monotonic()
        return int(self._careful - _DRIFT * (now - self._careful_at) * 1e6 + now * 1e6)

    def steady_us(self) -> int | None:
        """Return the remote time in µs, ignoring a forward step for the first two seconds after it.

        Within these two seconds the times that depend on that clock are corrected. None before the first answer.
        """
        now_us = self.now_us()
        if now_us is None or monotonic() >= self._held_until:
            return now_us
        return now_us - int(self._ahead_us)
