"""Exports a router's links and its view of the cluster to Prometheus, read at each scrape.

The label is the shard's address: members are few, and the series of a link end with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.shards.directory import ShardDirectory

_SHARD = ["shard"]


class LinkMetrics(Collector):
    """The collector of the links and the view of one router."""

    def __init__(self, directory: ShardDirectory) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the membership and of each link."""
        yield from self._view()
        yield from self._links()

    def _view(self) -> Iterator[Metric]:
        directory = self._directory
        members = len(directory.view.members) if directory.view else 0
        gauges = (
            ("ring_version", "Version of the ring in force; 0 before the first view", directory.ring_version),
            ("members", "Shard nodes that this router knows, draining ones included", members),
            ("reachable_shards", "Shards that this router can reach now", len(directory.shards())),
            (
                "stood_in_partitions",
                "Partitions served by a stand-in because their owner does not reach its store",
                directory.stood_in,
            ),
        )
        yield CounterMetricFamily(
            "sharq_router_second_tries",
            "Calls retried at another shard because the first was gone or did not reach its store",
            value=directory.second_tries,
        )
        for name, help_text, value in gauges:
            yield GaugeMetricFamily(f"sharq_router_{name}", help_text, value=value)

    def _links(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "sharq_router_link_up", "1 if the link is up and the shard responds, else 0", labels=_SHARD
        )
        in_flight = GaugeMetricFamily(
            "sharq_router_link_calls_in_flight", "Calls waiting for their answer", labels=_SHARD
        )
        connects = CounterMetricFamily(
            "sharq_router_link_connects", "Times the link was established", labels=_SHARD
        )
        sent = CounterMetricFamily(
            "sharq_router_link_frames", "Frames sent to the shard, each with one call or more", labels=_SHARD
        )
        errors = CounterMetricFamily(
            "sharq_router_link_errors",
            "Calls that failed as a whole, by error code",
            labels=["shard", "code"],
        )
        for link in self._directory.links():
            up.add_metric([link.address], not link.is_suspect)
            in_flight.add_metric([link.address], link.in_flight)
            connects.add_metric([link.address], link.connects)
            sent.add_metric([link.address], link.frames_sent)
            for code, count in link.errors.items():
                errors.add_metric([link.address, code], count)
        yield from (up, in_flight, connects, sent, errors)
