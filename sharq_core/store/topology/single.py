"""Serves a store of one server, named by its URL.

If that server is a node of a Redis Cluster, the store is that Cluster.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from sharq_core.errors import SharqError, Unavailable
from sharq_core.store.node import StoreNode
from sharq_core.store.replication.successors import ANY_REPLICA
from sharq_core.store.topology.layout import Layout, NodeAt, UrlOf
from sharq_core.store.topology.redis_cluster import ClusterSlots

log = logging.getLogger(__name__)


class SingleServer:
    """The Topology of one server.

    Args:
        url_of: returns the URLs of the other nodes, if the server is one of a Cluster.
    """

    def __init__(self, url: str, url_of: UrlOf) -> None:
        self._url = url
        self._url_of = url_of
        self._cluster: ClusterSlots | None = None
        self.takes_joint_calls = False

    @property
    def mode(self) -> str:
        """The kind of the store: single, or cluster for a node of a Cluster."""
        return "single" if self._cluster is None else self._cluster.mode

    @property
    def is_fixed(self) -> bool:
        """The result of `read` never changes: the server is not a node of a Cluster."""
        return self._cluster is None

    @property
    def seeds(self) -> Sequence[str]:
        """The configured URL."""
        return (self._url,)

    async def read(self, node_at: NodeAt, /) -> Layout:
        """Return the layout of the one server, or of its Cluster; raise Unavailable while it is away."""
        if self._cluster is None:
            is_of_cluster = await _is_of_cluster(node_at(self._url))
            self.takes_joint_calls = is_of_cluster is False
            if is_of_cluster:
                log.warning("store_is_cluster: the server is a node of a Redis Cluster, whose nodes are used")
                self._cluster = ClusterSlots([self._url], self._url_of)
        if self._cluster is not None:
            return await self._cluster.read(node_at)
        return Layout.of_one(self._url, ANY_REPLICA)

    async def listen(self, changed: asyncio.Event) -> None:
        """Return at once: changes are not announced."""


async def _is_of_cluster(node: StoreNode) -> bool | None:
    """Return True if a server is a Cluster's node; None if its ACL hides that (it then counts as single)."""
    answer = (await node.execute([[b"INFO", b"cluster"]]))[0]
    if isinstance(answer, SharqError):
        if not node.is_reachable:
            raise Unavailable(answer.message)
        return None
    return b"cluster_enabled:1" in answer
