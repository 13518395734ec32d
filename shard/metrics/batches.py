"""Counts and exports the ends of batches. No label names a batch, because there may be thousands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class BatchMetrics(Collector):
    """The numbers of batches since the start of this process.

    Attributes:
        cancelled: the number of waiting jobs that were cancelled with their batches.
        forgotten: the number of batches that this node has forgotten, in all partitions.
        waiting: returns the number of batches that a partition says have ended, before the others were asked.
    """

    def __init__(self) -> None:
        self.cancelled = 0
        self.forgotten = 0
        self.waiting: Callable[[], int] = lambda: 0

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield CounterMetricFamily(
            "sharq_batch_jobs_cancelled",
            "Waiting jobs that were cancelled with their batch",
            value=self.cancelled,
        )
        yield CounterMetricFamily(
            "sharq_batches_forgotten", "Batches that were forgotten after their end", value=self.forgotten
        )
        yield GaugeMetricFamily(
            "sharq_batches_ending",
            "Batches that have ended in one partition while the other partitions have not been asked yet",
            value=self.waiting(),
        )
