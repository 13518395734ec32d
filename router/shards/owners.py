"""Decides which shard is asked about each partition: its owner, or a stand-in if the owner does not reach the store.

In an outage of the store all shards report that they do not reach it; then there are no stand-ins.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from router.shards.link import ShardLink
from sharq_core.partitions import Ring

TOGETHER_S = 1.0
"""If the store itself is out, all shards lose it within this time. A shard that lost it earlier is cut off from it."""

EXCUSE_S = 3.0
"""Seconds after an outage of the store in which all shards are asked again as soon as the first has recovered. The
others notice the return of the store some moments later, and one shard alone could not serve all partitions meanwhile.
"""


class Owners:
    """The links of some reachable shards, by partition.

    Args:
        version: the version of the view in force.
        partitions: the number of partitions, P.
        links: the reachable links, by node id.
        away: by node id, the partitions that a shard reports as away.
        excused: the nodes that are asked although they report partitions as away.

    Attributes:
        away: by node id, the partitions that a shard cannot serve now; empty while no shard can serve any.
        links: by partition, the link that is asked.
        stood_in: the number of partitions about which a stand-in is asked.
    """

    def __init__(
        self,
        version: int,
        partitions: int,
        links: Mapping[str, ShardLink],
        away: Mapping[str, frozenset[int]],
        excused: frozenset[str] = frozenset(),
    ) -> None:
        self.away = {node: lost for node, lost in away.items() if node not in excused}
        self._away = away
        self._version = version
        self._partitions = partitions
        self._links = links
        self._rings: dict[frozenset[str], Ring] = {}
        self.stood_in = 0
        self.links = self._share_out()

    def stand_in(self, partition: int, failed: object) -> ShardLink | None:
        """Return the shard to ask after one did not reach the store; None if no other is known to reach it."""
        able = frozenset(
            node
            for node, link in self._links.items()
            if link is not failed and partition not in self._away.get(node, ())
        )
        return self._links[self._ring(able).owners[partition]] if able else None

    def covers(self, intended: Ring) -> dict[ShardLink, list[int]]:
        """Return, by the link that is asked, the partitions that it does not own on the ring of all members."""
        covers: dict[ShardLink, list[int]] = {}
        for partition, (node, asked) in enumerate(zip(intended.owners, self.links, strict=False)):
            if self._links.get(node) is not asked:
                covers.setdefault(asked, []).append(partition)
        return covers

    def yielded(self) -> dict[ShardLink, list[int]]:
        """Return, by the link of a shard that reports partitions as away, those that a stand-in serves.

        A stand-in serves a partition if it has read the store since.
        """
        yielded: dict[ShardLink, list[int]] = {}
        for link in self._links.values():
            others = [p for p in sorted(link.away) if self._is_served_by_another(p, link)]
            if others:
                yielded[link] = others
        return yielded

    def _is_served_by_another(self, partition: int, link: ShardLink) -> bool:
        asked = self.links[partition] if partition < len(self.links) else link
        return asked is not link and partition not in asked.away and asked.covered_at >= link.away_since

    def _share_out(self) -> tuple[ShardLink, ...]:
        """Return, by partition, its owner on the ring of all these shards.

        If that shard is away from the partition, it is the owner on the ring of the shards that are not.
        """
        if not self._links:
            return ()
        owners = list(self._ring(frozenset(self._links)).owners)
        for node, lost in self.away.items():
            for partition in lost:
                if owners[partition] == node and (able := self._able(partition)):
                    owners[partition] = self._ring(able).owners[partition]
                    self.stood_in += 1
        return tuple(self._links[node] for node in owners)

    def _able(self, partition: int) -> frozenset[str]:
        return frozenset(node for node in self._links if partition not in self.away.get(node, ()))

    def _ring(self, nodes: frozenset[str]) -> Ring:
        ring = self._rings.get(nodes)
        if ring is None:
            ring = self._rings[nodes] = Ring.build(self._version, nodes, self._partitions)
        return ring


class Excuses:
    """The shards that are asked although they report that they are away, because all of them were at once.

    One that has been away for longer is not asked: it would fail each call after the store's return, while the others
    wait for stable contact and could serve.
    """

    def __init__(self) -> None:
        self._nodes: frozenset[str] = frozenset()
        self._until = 0.0

    def update(self, nodes: frozenset[str], away: Mapping[str, float], now: float) -> frozenset[str]:
        """Return the excused nodes.

        Args:
            nodes: the reachable nodes.
            away: those that are away from all partitions, and since when, by the event loop, in seconds.
            now: by the event loop, in seconds.
        """
        if nodes and away.keys() >= nodes:
            began_at = max(away[node] for node in nodes) - TOGETHER_S
            self._nodes = frozenset(node for node in nodes if away[node] >= began_at)
            self._until = now + EXCUSE_S
        elif now >= self._until:
            self._nodes = frozenset()
        self._nodes &= away.keys()
        return self._nodes

    def revoke(self, node: str) -> None:
        """End the excuse of a node: it was asked and still does not reach the store, although another does."""
        self._nodes -= {node}


@lru_cache(maxsize=4)
def all_partitions(partitions: int) -> frozenset[int]:
    """Return the numbers of all partitions; the router asks for them again and again."""
    return frozenset(range(partitions))
