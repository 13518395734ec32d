"""The store's clock as this process can know it: learned from answers, never read from this machine."""

from __future__ import annotations

import asyncio
import math

_WINDOW_S = 10.0


class StoreClock:
    """Estimates the store's time of now.

    An answer says the store's time at some moment before it arrived, so each is a lower bound of the offset between
    that clock and the event loop's; the largest of the last 10 to 20 seconds is kept. The estimate is never ahead of
    the store's clock, unless that has stepped back.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._best: float | None = None
        self._recent = -math.inf
        self._turns_at = 0.0

    def learn(self, store_us: int) -> None:
        """Take note of an answer that arrived now: the store's time in it, in µs."""
        received_at = self._loop.time()
        offset = store_us - received_at * 1e6
        if received_at >= self._turns_at:
            self._best = max(self._recent, offset)
            self._recent = offset
            self._turns_at = received_at + _WINDOW_S
        elif self._best is None or offset > self._best:
            self._best = self._recent = offset
        elif offset > self._recent:
            self._recent = offset

    def now_us(self) -> int | None:
        """The store's time in µs, or None before its first answer."""
        return None if self._best is None else int(self._best + self._loop.time() * 1e6)
