"""Bounds the processor time that may be wasted, such as on bodies that are refused."""

from __future__ import annotations

import time


class Allowance:
    """Processor time that may be wasted.

    Args:
        burst_s: the time that may be wasted at once, after a pause.
        share: the share of the passing time that may be wasted in the long run.
    """

    def __init__(self, burst_s: float, share: float) -> None:
        self._burst_s = burst_s
        self._share = share
        self._used_s = 0.0  # wasted time, less the share of the time that has passed
        self._counted_s = 0.0
        self._closed_until_s = 0.0

    @property
    def is_open(self) -> bool:
        """True if a body may be parsed that may turn out to be wasted."""
        return time.monotonic() >= self._closed_until_s

    def take(self, wasted_s: float) -> None:
        """Count wasted time. The allowance is closed from the moment that it is used up until it is refilled."""
        now_s = time.monotonic()
        refilled_s = (now_s - self._counted_s) * self._share
        self._used_s = max(self._used_s - refilled_s, 0.0) + wasted_s
        self._counted_s = now_s
        if self._used_s > self._burst_s:
            self._closed_until_s = now_s + (self._used_s - self._burst_s) / self._share

    def open_once(self) -> None:
        """Open the allowance for the next body, although it is used up."""
        self._closed_until_s = 0.0
