"""Calculates with rates and durations, as the server does: whole microseconds, rounded so that no rate is exceeded."""

from __future__ import annotations

import math
import struct
from decimal import Decimal

from sharq_client.requests import RetryPolicy
from sharq_client.testing.engine.records import LATEST_US

UNITS_US = {"s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "day": 86_400_000_000}
"""Unit of a rate → its length in µs, the shortest first."""

_GOLDEN = 0.6180339887498949


def to_us(duration_ms: float) -> int:
    """Return a duration in whole µs, rounded up. Only the first 15 digits of a fraction count."""
    return math.ceil(Decimal(f"{duration_ms:.15g}") * 1000)


def to_ms(duration_us: int) -> int | float:
    """Return a duration in ms, an int if it is whole."""
    whole_ms, rest_us = divmod(duration_us, 1000)
    return duration_us / 1000 if rest_us else whole_ms


def interval_us_of(number: Decimal, unit_us: int) -> int:
    """Return the interval in µs of a number of leases in a unit of time, rounded up."""
    numerator, denominator = number.as_integer_ratio()
    return -(-unit_us * denominator // numerator)


def rate_text(interval_us: int) -> str | None:
    """Return the rate of an interval in at most six digits, such as "40/s"; None for interval 0, unlimited.

    The unit is the first in which the rate is a whole number that means this interval, or else the first in which it
    is at least 1.
    """
    if not interval_us:
        return None
    for unit, unit_us in UNITS_US.items():
        number = round(unit_us / interval_us)
        # Several whole numbers of a unit may mean one interval; then only an exact one was meant.
        is_meant = interval_us * interval_us >= unit_us or number * interval_us == unit_us
        is_number = 0 < number <= 10**6 and is_meant
        if is_number and interval_us_of(Decimal(number), unit_us) == interval_us:
            return f"{number}/{unit}"
    units = [item for item in UNITS_US.items() if item[1] >= interval_us]
    unit, unit_us = units[0] if units else ("day", UNITS_US["day"])
    digits = Decimal(f"{Decimal(unit_us) / interval_us:.6g}").normalize()
    return f"{digits:f}/{unit}"


def slack_us(interval_us: int, burst: float) -> int:
    """Return the lateness that a burst makes up for: burst - 1 intervals, in whole µs."""
    return min((round(burst * 100) - 100) * interval_us // 100, LATEST_US)


def retry_wait_us(policy: RetryPolicy, attempt: int, token: str | None) -> int:
    """Return how long a job waits after a failed attempt. The chance of the jitter comes from the lease token."""
    factor, jitter = round(policy.factor * 100) / 100, round(policy.jitter * 100) / 100
    wait_ms = policy.max + 0.0
    try:
        wait_ms = min(policy.delay * factor ** max(attempt - 1, 0), wait_ms)
    except OverflowError:
        wait_ms = wait_ms if policy.delay else 0.0
    if jitter and token:
        number, random = struct.unpack_from(">QI", bytes.fromhex(token))
        # The fractional parts of the multiples of the golden ratio spread evenly.
        wait_ms *= 1 - jitter * ((number * _GOLDEN + random / 2**32) % 1)
    return math.floor(wait_ms * 1000)
