"""Converts between intervals and rates as people write them (25 ms is 40/s), and compares a queue with its rate."""

from __future__ import annotations

from decimal import Decimal

from sharq_core.models import QueueStats

UNITS_US = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "day": 86_400_000_000}
"""Unit of a rate → its length in µs, the shortest first."""

_LAST_MINUTE = -2
"""The place of the last complete minute in a list of minutes, which ends with the current one."""


def write_rate(interval_us: int) -> str | None:
    """Return the rate of an interval in µs, in at most six digits; None for interval 0 (unlimited).

    The unit is the first of s, min, h and day in which the rate is a whole number that means this interval, or else the
    first in which it is at least 1.
    """
    if not interval_us:
        return None
    for unit, unit_us in UNITS_US.items():
        number = round(unit_us / interval_us)
        # If several whole numbers of the unit mean the same interval, only an exact one was meant.
        is_meant = interval_us * interval_us >= unit_us or number * interval_us == unit_us
        if (
            number
            and is_meant
            and number <= 10**6
            and interval_us_of(Decimal(number), unit_us) == interval_us
        ):
            return f"{number}/{unit}"
    unit, unit_us = next(
        (item for item in UNITS_US.items() if item[1] >= interval_us), ("day", UNITS_US["day"])
    )
    digits = Decimal(f"{Decimal(unit_us) / interval_us:.6g}").normalize()
    return f"{digits:f}/{unit}"


def interval_us_of(number: Decimal, unit_us: int) -> int:
    """Return the interval of `number` leases in a unit of time, rounded up, in µs."""
    numerator, denominator = number.as_integer_ratio()
    return -(-unit_us * denominator // numerator)


def delivered(stats: QueueStats) -> int:
    """Return the number of jobs leased in the last complete minute."""
    return stats.dequeue_counts[_LAST_MINUTE][1]


def promised(stats: QueueStats) -> int | None:
    """Return the number of jobs that the queue should have given in that minute; None at an unlimited rate.

    As many as the rate allows in a minute, but no more than it gave and has waiting now.
    """
    if not stats.interval_us:
        return None
    return min(UNITS_US["min"] // stats.interval_us, delivered(stats) + stats.queued)
