"""Exports the connection metrics of the HTTP server to Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from router.http.server import ApiPort
from sharq_core.http_port.metrics import PortMetrics


class ConnectionMetrics(PortMetrics):
    """The connection metrics of one HTTP server."""

    def __init__(self, connections: ApiPort) -> None:
        super().__init__(connections, "sharq_router")
        self._unread = connections.unread

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the port and the size of its unread responses."""
        yield from super().collect()
        yield GaugeMetricFamily(
            "sharq_router_unread_answer_bytes",
            "Bytes of responses longer than 256 KiB that clients have not read yet",
            value=self._unread.unread_bytes,
        )
