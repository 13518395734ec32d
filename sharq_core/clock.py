"""Another machine's clock as this process can know it: learned from answers, never read from this machine."""

from __future__ import annotations

import math
from time import monotonic

_WINDOW_S = 10.0

_STEP_US = 500_000
"""A smaller step is not told: it may be the drift of a long silence."""

_HOLD_S = 2.0
"""For so long after a step ahead calls are timed as if it had not happened."""


class RemoteClock:
    """Estimates the time of now by the clock of a store's server, or of a shard.

    An answer says that clock's time at some moment before it arrived, so each is a lower bound of the offset between
    it and this machine's monotonic one; the largest of the last 10 to 20 seconds is kept. The estimate is never ahead
    of that clock, unless it has stepped back unseen.
    """

    def __init__(self) -> None:
        self._best: float | None = None
        self._recent = -math.inf
        self._turns_at = 0.0
        self._most = math.inf
        self._ahead_us = 0.0
        self._held_until = 0.0

    def learn(self, remote_us: int, asked_at: float | None = None) -> bool:
        """Take note of an answer that arrived now.

        Args:
            remote_us: the time in it, in µs.
            asked_at: when it was asked for (time.monotonic), an upper bound of the offset: an estimate above it is of
                a clock that has stepped back since, and is dropped.

        Returns:
            True when the clock has stepped, either way: no delay explains this answer after the one before.
        """
        received_at = monotonic()
        offset = remote_us - received_at * 1e6
        most = math.inf if asked_at is None else remote_us - asked_at * 1e6
        before = self._best
        has_stepped_back = before is not None and before > most
        is_step_ahead = offset > self._most + _STEP_US
        if is_step_ahead:
            self._ahead_us, self._held_until = most - self._most, received_at + _HOLD_S
        self._most = most
        if received_at >= self._turns_at and not has_stepped_back:
            self._best = max(self._recent, offset)
            self._recent = offset
            self._turns_at = received_at + _WINDOW_S
        elif self._best is None or offset > self._best or has_stepped_back:
            self._best = self._recent = offset
        elif offset > self._recent:
            self._recent = offset
        return is_step_ahead or (before is not None and before > most + _STEP_US)

    def now_us(self) -> int | None:
        """The time there in µs, or None before its first answer."""
        return None if self._best is None else int(self._best + monotonic() * 1e6)

    def steady_us(self) -> int | None:
        """The same, but for two seconds after a step ahead as if there had been none: until what goes by that clock has
        been mended.
        """
        now_us = self.now_us()
        if now_us is None or monotonic() >= self._held_until:
            return now_us
        return now_us - int(self._ahead_us)
