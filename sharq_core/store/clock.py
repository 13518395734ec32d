"""The store's clock as this process can know it: learned from answers, never read from this machine."""

from __future__ import annotations

import asyncio

_WINDOW_S = 10.0


class StoreClock:
    """Estimates the store's time of now.

    An answer says the store's time at some moment before it arrived, so each is a lower bound of the offset between
    that clock and the event loop's; the largest of the last 10 to 20 seconds is kept. The estimate is never ahead of
    the store's clock, unless that has stepped back.
    """

    def __init__(self) -> None:
        self._current: float | None = None
        self._previous: float | None = None
        self._turns_at = 0.0

    def learn(self, store_us: int, received_at: float) -> None:
        """Take note of an answer: the store's time in µs, and the loop's time at which it arrived, in seconds."""
        offset = store_us - received_at * 1e6
        if received_at >= self._turns_at:
            self._previous, self._current = self._current, offset
            self._turns_at = received_at + _WINDOW_S
        elif self._current is None or offset > self._current:
            self._current = offset

    def now_us(self) -> int | None:
        """The store's time in µs, or None before its first answer."""
        known = [offset for offset in (self._current, self._previous) if offset is not None]
        if not known:
            return None
        return int(max(known) + asyncio.get_running_loop().time() * 1e6)
