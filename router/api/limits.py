"""The fields of limits (rates, cost, holds, leases at once), and rates as people write them: 40/s, 90/min, 2000/h."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, UnsetType

from router.api.decoding import to_us
from router.api.fields import MAX_YEAR_MS, Expected
from sharq_core.errors import InvalidRequest
from sharq_core.limits import MAX_COST, MAX_HOLD_US, MAX_LEASED, MAX_WEIGHT
from sharq_core.models import MAX_INTERVAL_US
from sharq_core.rates import UNITS_US, interval_us_of

MAX_BURST = 1_000_000
MAX_TYPE_LIMITS = 3
"""Most limits of a gathered type."""

MAX_HOLD_MS = MAX_HOLD_US // 1000

_RATE_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})?/(s|min|h|day)$"
_read_rate = re.compile(rf"{_RATE_PATTERN}(?!\n)").match
_RATE_TEXT = (
    "a rate over 0 as number/unit with the unit s, min, h or day, such as 40/s, 0.5/s, 90/min, 2000/h or 10000/day, "
    "from once in 365 days to 1000000/s"
)
HOLD_UNTIL_TEXT = "a time in milliseconds since the epoch, later than now and at most 24 hours from now"
_BURST_TEXT = f"a number from 1 to {MAX_BURST} with at most two decimals"

_burst = Meta(ge=1, le=MAX_BURST)
_interval = Meta(gt=0, le=MAX_YEAR_MS)
_hold = Meta(ge=0, le=MAX_HOLD_MS)
_hold_for = Meta(ge=1, le=MAX_HOLD_MS)
_hold_expected = Expected(f"a number of milliseconds from 0 to {MAX_HOLD_MS} (24 hours)")

Rate: TypeAlias = Annotated[
    str,
    Meta(
        pattern=_RATE_PATTERN,
        description="The rate of the queue as number/unit, instead of `interval`: `40/s`, `0.5/s`, `90/min`, `2000/h`, "
        "`10000/day`. The interval is rounded up to whole microseconds.",
    ),
    Expected(_RATE_TEXT),
]
Burst: TypeAlias = Annotated[
    Annotated[int, _burst] | Annotated[float, _burst],
    Meta(
        description=f"Number of leases, from 1 to {MAX_BURST}, that may follow each other at once when the queue is "
        "behind its rate; at most two decimals. 1 keeps strict spacing. A fraction such as 1.1 makes up for lateness "
        "of up to a tenth of the interval, and two leases are never closer than 0.9 of it. If it is absent, the burst "
        "stays as it is (1 for a new queue).",
    ),
    Expected(_BURST_TEXT),
]
Cost: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_COST,
        description=f"Number of slots of the rate that the job takes, from 1 to {MAX_COST}: the segments of a message "
        "or the tokens of a request. The next job of the queue comes at least cost x interval later.",
    ),
    Expected(f"an integer from 1 to {MAX_COST}"),
]
ActualCost: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        le=MAX_COST,
        description=f"The cost that the job turned out to have, from 0 to {MAX_COST}. It replaces the cost of this "
        "delivery in the rate, once per lease. If it is absent, the cost of the job stands.",
    ),
    Expected(f"an integer from 0 to {MAX_COST}"),
]
MaxLeased: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_LEASED,
        description=f"Maximum number of jobs of the queue that are leased at a time, from 1 to {MAX_LEASED}. If it is "
        "absent, the maximum stays as it is (none for a new queue).",
    ),
    Expected(f"an integer from 1 to {MAX_LEASED}"),
]
Weight: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_WEIGHT,
        description=f"Number of jobs, from 1 to {MAX_WEIGHT}, that the queue gives in its turn while queues of its "
        "type compete.",
    ),
    Expected(f"an integer from 1 to {MAX_WEIGHT}"),
]
Hold: TypeAlias = Annotated[
    Annotated[int, _hold] | Annotated[float, _hold],
    Meta(
        description=f"Time from now for which the queue gives no job, in milliseconds from 0 to {MAX_HOLD_MS} (24 "
        "hours). A hold ends by itself and only grows.",
    ),
    _hold_expected,
]
HoldType: TypeAlias = Annotated[
    Annotated[int, _hold] | Annotated[float, _hold],
    Meta(
        description="Time from now for which no queue of the gathered type gives a job, in milliseconds from 0 to "
        f"{MAX_HOLD_MS} (24 hours). Only for types with a `~` in their name.",
    ),
    _hold_expected,
]
HoldFor: TypeAlias = Annotated[
    Annotated[int, _hold_for] | Annotated[float, _hold_for],
    Meta(
        description=f"Hold the queue for this time instead of pausing it, in milliseconds from 1 to {MAX_HOLD_MS} (24 "
        "hours). The hold ends by itself.",
    ),
    Expected(f"a number of milliseconds from 1 to {MAX_HOLD_MS} (24 hours)"),
]
HoldUntil: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        le=2**53 - 1,
        description="Hold the queue until this time instead of pausing it, in ms since the epoch: later than now, and "
        "at most 24 hours from now.",
    ),
    Expected(HOLD_UNTIL_TEXT),
]
CountsAttempt: TypeAlias = Annotated[
    bool,
    Meta(
        description="False if the delivery does not count as an attempt, such as one that a carrier throttled."
    ),
    Expected("true or false"),
]
LimitRate: TypeAlias = Annotated[
    str,
    Meta(
        pattern=_RATE_PATTERN,
        description="The rate that the queues share, as number/unit, instead of `interval`: `40/s`, "
        "`90000/min`. The interval is rounded up to whole microseconds.",
    ),
    Expected(_RATE_TEXT),
]
LimitInterval: TypeAlias = Annotated[
    Annotated[int, _interval] | Annotated[float, _interval],
    Meta(
        description="Minimum time between two leases of the queues, or for each unit of cost, in milliseconds over 0 "
        f"and up to {MAX_YEAR_MS}; fractions are allowed and rounded up to whole microseconds.",
    ),
    Expected(f"a number of milliseconds over 0 and up to {MAX_YEAR_MS}, fractions allowed"),
]
LimitBurst: TypeAlias = Annotated[
    Annotated[int, _burst] | Annotated[float, _burst],
    Meta(
        description=f"Number of leases, or units of cost, from 1 to {MAX_BURST}, that may follow each other at once "
        "when the queues together are behind the rate; at most two decimals. 1 keeps strict spacing.",
    ),
    Expected(_BURST_TEXT),
]
UnitOfLimit: TypeAlias = Annotated[
    Literal["job", "cost"],
    Meta(
        description="What the rate counts: `job` counts each lease as 1, `cost` counts the `cost` of its job."
    ),
    Expected("a word: job or cost"),
]
TypeMaxLeased: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_LEASED,
        description="Maximum number of jobs of all queues of the type together that are leased at a time, from 1 to "
        f"{MAX_LEASED}.",
    ),
    Expected(f"an integer from 1 to {MAX_LEASED}"),
]
MaxLeasedOfCap: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_LEASED,
        description="Maximum number of jobs of all queues with the cap together that are leased at a time, from 1 to "
        f"{MAX_LEASED}. If it is absent, there is no maximum.",
    ),
    Expected(f"an integer from 1 to {MAX_LEASED}"),
]
HoldOfCap: TypeAlias = Annotated[
    Annotated[int, _hold] | Annotated[float, _hold],
    Meta(
        description="Time from now for which no queue with the cap gives a job, in milliseconds from 0 to "
        f"{MAX_HOLD_MS} (24 hours). A hold ends by itself and only grows. null ends it, and if it is absent, it stays "
        "as it is."
    ),
    _hold_expected,
]
few_limits_of_cap = Meta(
    max_length=MAX_TYPE_LIMITS,
    description=f"Up to {MAX_TYPE_LIMITS} limits, each of which every lease with the cap must keep. If they are "
    "absent, there is none.",
)
few_limits = Meta(
    max_length=MAX_TYPE_LIMITS,
    description=f"Up to {MAX_TYPE_LIMITS} limits, each of which every lease of the type must keep. They replace all "
    "present ones. A limit that is new begins one interval after the type's last lease.",
)
few_limits_expected = Expected(f"a list of up to {MAX_TYPE_LIMITS} limits, each with a rate or an interval")
ListBy: TypeAlias = Annotated[
    Literal["age", "depth", "dead"],
    Meta(
        description="The order: `age` puts the queues first that have been ready longest, `depth` those that hold the "
        "most jobs, and `dead` those with the most dead letters, also if they have nothing else. The list has no "
        "further pages then, and at most 100 queues. If it is absent, the queues come in no order, page by page."
    ),
    Expected("a word: age, depth or dead"),
]


def read_rate(rate: str, field: str) -> int:
    """Return the interval of a rate in µs, rounded up, so that the rate is not exceeded.

    Args:
        field: the field to name if the rate is wrong.

    Raises:
        InvalidRequest: it is not a rate, or its interval is not between 1 µs and 365 days.
    """
    match = _read_rate(rate)
    number, _, unit = rate.partition("/")
    scale = Decimal(number) if match else Decimal(0)
    if not scale:
        raise InvalidRequest(f"{field}: expected {_RATE_TEXT}")
    interval_us = interval_us_of(scale, UNITS_US[unit])
    if scale > UNITS_US[unit] or interval_us > MAX_INTERVAL_US:
        raise InvalidRequest(f"{field}: expected {_RATE_TEXT}")
    return interval_us


def rate_interval_us(interval: float | UnsetType, rate: str | UnsetType, place: str = "") -> int | None:
    """Return the interval in µs that `interval` or `rate` sets; None if both are absent.

    Args:
        place: the path of the two fields in the body, as `jobs[3].`; empty for the body itself.

    Raises:
        InvalidRequest: both are present, or the rate is wrong.
    """
    if isinstance(rate, UnsetType):
        return None if isinstance(interval, UnsetType) else to_us(interval)
    if not isinstance(interval, UnsetType):
        raise InvalidRequest(f"{place}rate: expected rate or interval, got both rate and interval")
    return read_rate(rate, f"{place}rate")


def read_burst(burst: float | UnsetType, place: str = "") -> float | None:
    """Return a burst, an int if it is whole; None if it is absent.

    Raises:
        InvalidRequest: it has more than two decimals.
    """
    if isinstance(burst, UnsetType):
        return None
    if isinstance(burst, int):
        return burst
    rounded = round(burst, 2)
    if rounded != burst:
        raise InvalidRequest(f"{place}burst: expected {_BURST_TEXT}")
    return int(rounded) if rounded.is_integer() else rounded
