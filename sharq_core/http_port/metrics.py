"""Exports the counts of a port's connections to Prometheus, read at each scrape.

A refused connection never becomes a request, so no other metric shows it.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sharq_core.http_port.port import Port


class PortMetrics(Collector):
    """The metrics of one port's connections.

    Args:
        prefix: the start of the metrics' names: `sharq_router` or `sharq_shard`.
    """

    def __init__(self, port: Port, prefix: str) -> None:
        self._port = port
        self._prefix = prefix

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        port = self._port
        gauges: tuple[tuple[str, str, float], ...] = (
            ("connections", "Open connections", port.open),
            ("connections_limit", "The limit on open connections", port.bounds.max_connections),
            ("handshakes", "TLS handshakes in progress", port.handshakes),
            ("held_bytes", "Bytes of unfinished request heads and of pipelined requests", port.held_bytes),
        )
        for name, description, value in gauges:
            yield GaugeMetricFamily(f"{self._prefix}_{name}", description, value=value)
        counters: tuple[tuple[str, str, float], ...] = (
            ("refused_connections", "Connections refused at the limit", port.refused),
            ("malformed_requests", "Malformed HTTP requests", port.malformed),
            (
                "failed_accepts",
                "Failed accepts, mostly for lack of file descriptors",
                port.failed_accepts,
            ),
            ("failed_handshakes", "Failed TLS handshakes", port.failed_handshakes),
        )
        for name, description, value in counters:
            yield CounterMetricFamily(f"{self._prefix}_{name}", description, value=value)
        ended = CounterMetricFamily(
            f"{self._prefix}_ended_connections",
            "Connections ended by the server, by reason",
            labels=["reason"],
        )
        for reason, count in port.ended.items():
            ended.add_metric([reason], count)
        yield ended
