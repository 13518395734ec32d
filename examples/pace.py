"""Measures how far arrivals are ahead of the rate that was promised."""

from __future__ import annotations

from collections.abc import Iterable

from examples.verdict import Verdict

LATE_S = 0.5
"""By how much an arrival may be late on a busy machine, so that the next ones seem to come too early."""


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


def check_rate(
    verdict: Verdict, customer: str, times_s: Iterable[float], rate: float, burst: float = 1.1
) -> None:
    """Print if what arrived for a customer kept its rate in jobs a second."""
    ahead_s = most_ahead_s([(time_s, 1) for time_s in sorted(times_s)], rate, burst)
    verdict.check(
        f"{customer} gets {rate} a second",
        is_kept=ahead_s <= LATE_S,
        seen=f"none came more than {ahead_s * 1000:.0f} ms too early",
    )
