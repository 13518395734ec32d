"""Counts and exports what a node does with the slots of caps. No label names a cap, because there may be thousands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class CapCounts(Collector):
    """The numbers since the start of this process.

    Attributes:
        asks, failures: calls that asked for slots, and those of them that failed.
        taken: slots that were reserved.
        used: slots that allowed a lease.
        returned: slots that were given back before they were due.
        lost: slots that were not used in their time.
        waiting: returns the number of sets of caps that queues of this node wait for.
    """

    def __init__(self) -> None:
        self.asks = 0
        self.failures = 0
        self.taken = 0
        self.used = 0
        self.returned = 0
        self.lost = 0
        self.waiting: Callable[[], int] = lambda: 0

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield CounterMetricFamily("sharq_cap_asks", "Calls that asked named caps for slots", value=self.asks)
        yield CounterMetricFamily(
            "sharq_cap_failures",
            "Calls that asked named caps for slots and failed; queues with these caps wait meanwhile",
            value=self.failures,
        )
        grants = CounterMetricFamily(
            "sharq_cap_grants",
            "Slots of named caps: taken by this node, and of those used, returned in time, or lost unused",
            labels=["outcome"],
        )
        for outcome in ("taken", "used", "returned", "lost"):
            grants.add_metric([outcome], getattr(self, outcome))
        yield grants
        yield GaugeMetricFamily(
            "sharq_cap_sets_waiting",
            "Sets of named caps that queues of this node's partitions wait for",
            value=self.waiting(),
        )
