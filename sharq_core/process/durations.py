"""Counts durations by bucket in plain numbers.

Durations are counted for each request and each job. A histogram of prometheus_client takes a lock and two microseconds
for each observation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily


class Durations:
    """A histogram of durations.

    Args:
        bounds_s: the greatest duration of each bucket in seconds, ascending; a last bucket holds the longer ones.
    """

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def observe(self, duration_s: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds_s, duration_s)] += 1
        self._sum_s += duration_s

    def export(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Add the counts so far to a metric, under these label values."""
        bounds = [*map(str, map(float, self._bounds_s)), "+Inf"]
        family.add_metric(labels, list(zip(bounds, accumulate(self._counts), strict=True)), self._sum_s)
