"""Tells processor time that is wasted on a body from time that its jobs account for.

Good jobs take time, too, but they are what the server is there for. A body that is refused, or that is made to cost,
takes the same time and brings nothing.
"""

from __future__ import annotations

from sharq_core.errors import SharqError

ENTRY_S = 30e-6
"""The processor time that a good entry of a body accounts for. A short job takes half of it."""


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
