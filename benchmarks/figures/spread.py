"""Represents a measured number by the results of several runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """Median, least and greatest of some runs, in the unit of their caller; runs: how many, 1 or more."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values), len(values))


def median(values: Iterable[float]) -> float:
    """Return the median of at least one value."""
    return statistics.median(values)


def medians(samples: Sequence[msgspec.Struct]) -> tuple[float, ...]:
    """Return the median of each field over at least one sample, in the order of the fields; all are numbers."""
    return tuple(
        median(getattr(sample, field) for sample in samples) for field in samples[0].__struct_fields__
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the least value that at least `percent` (over 0, to 100) of the values do not exceed.

    Args:
        values: at least one, in any order.

    Cost: O(n log n).
    """
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]
