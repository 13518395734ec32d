"""Counts and exports the firings of schedules. No label names a schedule, because there may be thousands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sharq_core.models import EnqueueStatus


class FiringCounts(Collector):
    """The numbers of firings since the start of this process.

    Attributes:
        failed: the number of firings that failed as calls; each is tried again.
        known: returns the number of schedules of this node's partitions.
        lag_s: returns the time in seconds by which the earliest slot is overdue.
    """

    def __init__(self) -> None:
        self.failed = 0
        self.known: Callable[[], int] = lambda: 0
        self.lag_s: Callable[[], float] = lambda: 0.0
        self._by_status = dict.fromkeys(EnqueueStatus, 0)

    def count(self, status: EnqueueStatus) -> None:
        """Count a firing by the outcome of its enqueue."""
        self._by_status[status] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        firings = CounterMetricFamily(
            "sharq_schedule_firings",
            "Firings of schedules, by the outcome of the enqueue; failed ones are tried again",
            labels=["outcome"],
        )
        for status, count in self._by_status.items():
            firings.add_metric([status.name.lower()], count)
        firings.add_metric(["failed"], self.failed)
        yield firings
        yield GaugeMetricFamily(
            "sharq_schedules", "Schedules of this node's partitions, paused ones included", value=self.known()
        )
        yield GaugeMetricFamily(
            "sharq_schedule_lag_seconds",
            "Time by which the earliest slot of a schedule is overdue",
            value=self.lag_s(),
        )
