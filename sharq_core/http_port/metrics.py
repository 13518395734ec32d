"""What a port says of its connections to Prometheus, read at each scrape.

What is refused there never becomes a request, so no other metric shows it. Not here: the bounds (port.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sharq_core.http_port.port import Port


class PortMetrics(Collector):
    """The connections of one port.

    Args:
        prefix: of the metrics' names: `sharq_router` or `sharq_shard`.
    """

    def __init__(self, port: Port, prefix: str) -> None:
        self._port = port
        self._prefix = prefix

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        port = self._port
        gauges: tuple[tuple[str, str, float], ...] = (
            ("connections", "Open connections.", port.open),
            ("connections_limit", "Connections that may be open.", port.bounds.max_connections),
            ("handshakes", "TLS handshakes under way.", port.handshakes),
            ("held_bytes", "Bytes of unfinished request heads and of pipelined requests.", port.held_bytes),
        )
        for name, words, value in gauges:
            yield GaugeMetricFamily(f"{self._prefix}_{name}", words, value=value)
        counters: tuple[tuple[str, str, float], ...] = (
            ("refused_connections", "Connections that were one too many.", port.refused),
            ("malformed_requests", "What came and is not HTTP.", port.malformed),
            (
                "failed_accepts",
                "Times that no connection could be accepted, for want of files above all.",
                port.failed_accepts,
            ),
            ("failed_handshakes", "TLS handshakes that came to nothing.", port.failed_handshakes),
        )
        for name, words, value in counters:
            yield CounterMetricFamily(f"{self._prefix}_{name}", words, value=value)
        ended = CounterMetricFamily(
            f"{self._prefix}_ended_connections", "Connections that were kept without use.", labels=["reason"]
        )
        for reason, count in port.ended.items():
            ended.add_metric([reason], count)
        yield ended
