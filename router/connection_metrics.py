"""What the HTTP server says of its connections to Prometheus.

Not here: the metrics themselves (sharq_core/process/port_metrics.py), and what requests come to (router/metrics.py).
"""

from __future__ import annotations

from router.connections import Connections
from sharq_core.process.port_metrics import PortMetrics


class ConnectionMetrics(PortMetrics):
    """The connections of one HTTP server."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections, "sharq_router")
