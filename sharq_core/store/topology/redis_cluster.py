"""Reads the layout of a Redis Cluster with CLUSTER SLOTS over plain connections.

The driver's own cluster client is not used: it costs ten times as much per call, and repeats commands when slots move.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from sharq_core.errors import SharqError, Unavailable
from sharq_core.store.node import StoreNode
from sharq_core.store.replication.successors import Names, Successors
from sharq_core.store.topology.layout import ASK_TIMEOUT_S, Layout, NodeAt, UrlOf

_QUESTION = ([b"CLUSTER", b"INFO"], [b"CLUSTER", b"SLOTS"])


class ClusterSlots:
    """The Topology of a Redis Cluster.

    Args:
        seeds: URLs of some nodes; one that answers is enough.
        url_of: returns the URL of a node that they name.
    """

    mode = "cluster"
    is_fixed = False
    takes_joint_calls = False

    def __init__(self, seeds: Sequence[str], url_of: UrlOf) -> None:
        self.seeds = tuple(seeds)
        self._url_of = url_of
        self._known: tuple[str, ...] = ()
        self._names: Names = frozenset()

    async def read(self, node_at: NodeAt, /) -> Layout:
        """Ask one node after the other until one reports a healthy cluster; else return the first node's layout.

        Raises:
            Unavailable: no node could tell.
        """
        urls = dict.fromkeys([*random.sample(self._known, len(self._known)), *self.seeds])
        # A node cut off from the others knows an old layout, so its answer is only the second choice.
        doubtful: Layout | None = None
        failure = "no node of the Redis Cluster is known"
        for url in urls:
            node = node_at(url)
            info, slots = await node.execute(_QUESTION, ASK_TIMEOUT_S)
            if isinstance(info, SharqError) or isinstance(slots, SharqError):
                failure = (info if isinstance(info, SharqError) else slots).message
                continue
            layout = self._parse(slots, node)
            if b"cluster_state:ok" in info and layout.ranges:
                return self._learned(layout)
            doubtful = doubtful or layout
        if doubtful is None:
            raise Unavailable(failure)
        return self._learned(doubtful)

    async def listen(self, changed: asyncio.Event) -> None:
        """Return at once: redirections and failures announce changes."""

    def _learned(self, layout: Layout) -> Layout:
        self._known = layout.urls() or self._known
        return layout

    def _parse(self, rows: list[Any], asked: StoreNode) -> Layout:
        """Parse the rows of CLUSTER SLOTS: first slot, last slot, the primary (host, port, ...), its working replicas.

        A node that knows no name for a host, often its own, gives nothing or `?`: it means the host that was asked.
        """
        ranges = []
        replicas: dict[str, set[str]] = {}
        for first, last, (host, port, *_), *others in rows:
            url = self._url_of(_host(host, asked), port)
            ranges.append((first, last, url))
            replicas.setdefault(url, set()).update(f"{_host(name, asked)}:{at}" for name, at, *_ in others)
        self._names |= frozenset().union(*replicas.values())
        return Layout(tuple(ranges), {url: self._successors(names) for url, names in replicas.items()})

    def _successors(self, names: set[str]) -> Successors:
        """Return the replicas that have not failed, because a failed one is not promoted.

        The primary may call its replicas by other names than the nodes do (cluster-announce-ip).
        """
        return Successors(needed=tuple(frozenset({name}) for name in sorted(names)), known=self._names)


def _host(name: bytes | None, asked: StoreNode) -> str:
    return name.decode() if name and name != b"?" else asked.host
