"""Measures how far arrivals are ahead of the rate that was promised."""

from __future__ import annotations

from collections.abc import Iterable


def most_ahead_s(arrivals: Iterable[tuple[float, float]], units_per_s: float, burst: float = 1) -> float:
    """Return by how many seconds the arrival that was most ahead of its rate came too early; 0 if none did.

    Args:
        arrivals: the time in seconds, and the units (cost) of each, in the order of the times.

    Source: the generic cell rate algorithm (ITU-T I.371), with the cost of each cell.
    """
    most_s, ready_s = 0.0, float("-inf")
    for at_s, units in arrivals:
        most_s = max(most_s, ready_s - (burst - 1) / units_per_s - at_s)
        ready_s = max(ready_s, at_s) + units / units_per_s
    return most_s
