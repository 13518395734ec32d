"""Bounds the requests per second of a token at one router."""

from __future__ import annotations

from time import monotonic


class RequestRate:
    """A token bucket that holds the requests of one second.

    Args:
        rps: the requests per second.
    """

    def __init__(self, rps: int) -> None:
        self.rps = rps
        self._free = float(rps)
        self._filled_at_s = monotonic()

    def take(self) -> bool:
        """Count a request, and return True unless it exceeds the rate."""
        now_s = monotonic()
        self._free = min(self.rps, self._free + (now_s - self._filled_at_s) * self.rps)
        self._filled_at_s = now_s
        if self._free < 1:
            return False
        self._free -= 1
        return True

    def change(self, rps: int) -> None:
        """Change the rate, and keep what is used of it."""
        used = self.rps - self._free
        self.rps = rps
        self._free = rps - used
