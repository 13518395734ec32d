"""Tells processor time that is wasted on a body from time that its jobs account for, and bounds the waste.

Good jobs take time, too, but they are what the server is there for. A body that is refused, or that is made to cost,
takes the same time and brings nothing.
"""

from __future__ import annotations

import time

from sharq_core.errors import SharqError

ENTRY_S = 30e-6
"""The processor time that a good entry of a body accounts for. A short job takes half of it."""


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


def wasted_s(taken_s: float, result: object, size_bytes: int, byte_s: float) -> float:
    """Return the part of the processor time of a body that its good entries do not account for.

    Args:
        taken_s: the processor time that was taken.
        result: the result of the parsing function; None if there is none, since it raised an error.
        size_bytes: the bytes that the good entries account for, if all entries are good.
        byte_s: the processor time that each of these bytes accounts for.
    """
    if result is None:
        return taken_s
    entries = result if isinstance(result, list) else (result,)
    good = sum(not isinstance(entry, SharqError) for entry in entries)
    return max(taken_s - ENTRY_S * good - byte_s * size_bytes * good / max(len(entries), 1), 0.0)
