"""Judges the rate of one queue by its lease times: delivered share, violations and delays.

Pure reckoning. Lease times come from the server in whole milliseconds, cut: a true time is up to 1 ms later.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

RESOLUTION_US = 1_000
"""By how much the distance of two cut times may be below the true one."""


def earliest_times(
    leases_us: Sequence[int], interval_us: int, burst: float, costs: Sequence[int] | None = None
) -> list[int | None]:
    """Return when the rate allowed each lease; None for the first one, which nothing held back.

    Args:
        leases_us: times of the leases, ascending.
        interval_us: over 0.
        burst: leases that may go back to back when late, 1 or more.
        costs: the units of each lease; None if each is one.

    Source: the generic cell rate algorithm (ITU-T I.371), as a queue record keeps it.
    """
    earliest: list[int | None] = []
    tat_us: int | None = None
    slack_us = int((burst - 1) * interval_us)
    for leased_us, cost in zip(leases_us, costs or repeat(1), strict=False):
        earliest.append(tat_us)
        floor_us = leased_us - slack_us
        tat_us = (floor_us if tat_us is None else max(tat_us, floor_us)) + cost * interval_us
    return earliest


def count_violations(
    leases_us: Sequence[int],
    interval_us: int,
    burst: float,
    costs: Sequence[int] | None = None,
    grace_us: int = 0,
) -> int:
    """Leases that came before the rate let them, certainly: by RESOLUTION_US or more.

    Args:
        grace_us: the promise is burst + (t + grace) / interval in any time t, as that of a named cap.
    """
    earliest = earliest_times(leases_us, interval_us, burst + grace_us / interval_us, costs)
    return sum(
        due_us is not None and leased_us <= due_us - RESOLUTION_US
        for leased_us, due_us in zip(leases_us, earliest, strict=True)
    )


def delivered_share(leases_us: Sequence[int], interval_us: int, from_us: int, until_us: int) -> float | None:
    """Leases over what was promised, in the longest time after from_us that is whole intervals and ends by until_us.

    A rate that is kept gives exactly 1, whatever the time at which the queue began: any stretch of k intervals holds
    k leases. None if not even one interval fits.
    """
    promised = (until_us - from_us) // interval_us
    if promised < 1:
        return None
    end_us = from_us + promised * interval_us
    return sum(from_us < leased_us <= end_us for leased_us in leases_us) / promised
