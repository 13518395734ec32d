"""What the HTTP server says of its connections to Prometheus, read at each scrape.

What is refused here never becomes a request, so no other metric of the router shows it. Not here: the bounds
(router/connections.py), and what requests come to (router/metrics.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.connections import Connections


class ConnectionMetrics(Collector):
    """The connections of one HTTP server."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        connections = self._connections
        yield GaugeMetricFamily("sharq_router_connections", "Open connections.", value=connections.open)
        yield GaugeMetricFamily(
            "sharq_router_connections_limit",
            "Connections that may be open.",
            value=connections.bounds.max_connections,
        )
        yield CounterMetricFamily(
            "sharq_router_refused_connections",
            "Connections that were one too many.",
            value=connections.refused,
        )
        yield CounterMetricFamily(
            "sharq_router_malformed_requests", "What came and is not HTTP.", value=connections.malformed
        )
        ended = CounterMetricFamily(
            "sharq_router_ended_connections", "Connections that were kept without use.", labels=["reason"]
        )
        for reason, count in connections.ended.items():
            ended.add_metric([reason], count)
        yield ended
        yield GaugeMetricFamily(
            "sharq_router_unread_answer_bytes",
            "Bytes of answers longer than 256 KiB that their clients have not read yet.",
            value=connections.unread.unread_bytes,
        )
