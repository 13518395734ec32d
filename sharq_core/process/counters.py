"""Counts requests, outcomes and durations in plain numbers.

Every request and every job is counted. A counter of prometheus_client takes a lock and half a microsecond for each
observation, and a histogram two microseconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import accumulate
from typing import Any, Protocol

from prometheus_client.core import HistogramMetricFamily

OTHER_TYPES = "_other"
"""The label value that the types beyond the bound share."""


class Durations:
    """A histogram of durations.

    Args:
        bounds_s: the greatest duration of each bucket in seconds, ascending; a last bucket holds the longer ones.
    """

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    @property
    def counts(self) -> Sequence[int]:
        """The number of durations in each bucket."""
        return self._counts

    def observe(self, duration_s: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds_s, duration_s)] += 1
        self._sum_s += duration_s

    def export(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Add the counts so far to a metric, under these label values."""
        bounds = [*map(str, map(float, self._bounds_s)), "+Inf"]
        family.add_metric(labels, list(zip(bounds, accumulate(self._counts), strict=True)), self._sum_s)


class OperationMeter:
    """The counts and durations of the responses of one operation.

    Args:
        bounds_s: the greatest duration of each bucket, as for Durations.

    Attributes:
        results: result (ok, empty, duplicate, gone or an error code) → the number of responses.
        durations: the times from request to response.
    """

    def __init__(self, operation: str, bounds_s: Sequence[float]) -> None:
        self.operation = operation
        self.results: dict[str, int] = {}
        self.durations = Durations(bounds_s)

    def count(self, result: str) -> None:
        """Count one response."""
        self.results[result] = self.results.get(result, 0) + 1


class CallOutcome(Protocol):
    """The answer for one job."""

    @property
    def status(self) -> IntEnum:
        """The outcome."""
        ...


class OutcomeCounts:
    """The outcomes of one verb.

    Args:
        statuses: the possible statuses, numbered from 0 without a gap.
        max_types: the number of types that are counted apart; all others are counted together.
    """

    def __init__(self, statuses: type[IntEnum], max_types: int) -> None:
        self._words = [status.name.lower() for status in statuses]
        self._max_types = max_types
        self._by_type: dict[str, list[int]] = {}

    def count(self, queue_type: str, _: Sequence[Any], outcomes: Sequence[CallOutcome]) -> None:
        """Count the outcomes of some jobs of one type; the jobs themselves are not looked at."""
        counts = self._by_type.get(queue_type) or self._new(queue_type)
        for outcome in outcomes:
            counts[outcome.status] += 1

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """Yield (queue type, outcome, count) for every type so far."""
        for queue_type, counts in self._by_type.items():
            for word, count in zip(self._words, counts, strict=True):
                yield queue_type, word, count

    def _new(self, queue_type: str) -> list[int]:
        name = queue_type if len(self._by_type) < self._max_types else OTHER_TYPES
        return self._by_type.setdefault(name, [0] * len(self._words))
