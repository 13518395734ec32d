"""What a router of a cluster says of its shards to Prometheus: its links and its view, read at each scrape.

Labelled by the shard's address: members are few, and a link that is dropped takes its series with it. Not here: what
requests come to (router/http/metrics.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.shards.directory import ShardDirectory

_SHARD = ["shard"]


class LinkMetrics(Collector):
    """The links of one router."""

    def __init__(self, directory: ShardDirectory) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        yield from self._view()
        yield from self._links()

    def _view(self) -> Iterator[Metric]:
        directory = self._directory
        members = len(directory.view.members) if directory.view else 0
        gauges = (
            ("ring_version", "Version of the ring in force; 0 before the first", directory.ring_version),
            ("members", "Shard nodes, draining ones included, as this router knows them", members),
            ("reachable_shards", "Shards that it can ask now", len(directory.shards())),
            (
                "stood_in_partitions",
                "Partitions whose shard does not reach its store, so that another one is asked",
                directory.stood_in,
            ),
        )
        yield CounterMetricFamily(
            "sharq_router_second_tries",
            "Calls made again at another shard, because the first one was gone or does not reach its store",
            value=directory.second_tries,
        )
        for name, words, value in gauges:
            yield GaugeMetricFamily(f"sharq_router_{name}", words, value=value)

    def _links(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "sharq_router_link_up", "1: the link stands, and the shard is not silent", labels=_SHARD
        )
        in_flight = GaugeMetricFamily(
            "sharq_router_link_calls_in_flight", "Calls that wait for their answer", labels=_SHARD
        )
        connects = CounterMetricFamily(
            "sharq_router_link_connects", "Times that the link came up", labels=_SHARD
        )
        errors = CounterMetricFamily(
            "sharq_router_link_errors", "Calls that failed as a whole", labels=["shard", "code"]
        )
        for link in self._directory.links():
            up.add_metric([link.address], not link.is_suspect)
            in_flight.add_metric([link.address], link.in_flight)
            connects.add_metric([link.address], link.connects)
            for code, count in link.errors.items():
                errors.add_metric([link.address, code], count)
        yield from (up, in_flight, connects, errors)
