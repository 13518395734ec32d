"""Runs real `sharq-shard` processes."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from tests.support.ports import free_port
from tests.support.processes.servers import SharqProcess


class SharqShard(SharqProcess):
    """One `sharq-shard` with quick heartbeats.

    Args:
        directory: its working directory.
        store_url: of the store that the nodes share.
        prefix: of its keys.
        port: None for a free one.
        settings: more of its variables.

    Attributes:
        address: host:port of its link, health and metrics.
    """

    def __init__(
        self,
        directory: Path,
        store_url: str,
        prefix: str,
        node_id: str,
        port: int | None = None,
        **settings: str,
    ) -> None:
        port = port or free_port()
        self.address = f"127.0.0.1:{port}"
        environ = {
            "SHARQ_REDIS_URL": store_url,
            "SHARQ_REDIS_KEY_PREFIX": prefix,
            "SHARQ_CLUSTER_HEARTBEAT_INTERVAL": "200",
            "SHARQ_CLUSTER_HEARTBEAT_TTL": "1500",
            **settings,
        }
        words = ["--node-id", node_id, "--listen", self.address]
        super().__init__("shard.main", directory, f"{node_id}-{port}", port, words, environ)

    def gauge(self, name: str) -> int:
        """Return one of its metrics without labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        (value,) = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
        return int(float(value))
