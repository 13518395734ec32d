"""Who is asked about each partition: its owner, or another where the owner says that it does not reach the store.

In an outage of the store all shards say so: then nobody stands in for anybody. Not here: who is a member, and which
links stand (router/shards/directory.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from router.shards.link import ShardLink
from sharq_core.partitions import Ring

EXCUSE_S = 3.0
"""After an outage of all shards each is asked again as soon as the first says that it is well: the others notice the
store's return some moments later, and one shard alone could not serve everything meanwhile.
"""


class Owners:
    """The links of some reachable shards, by partition.

    Args:
        version, partitions: of the view in force.
        links: by node id.

    Attributes:
        away: by node id, the partitions that a shard cannot serve now; nothing while no shard can.
        links: by partition, who is asked.
        stood_in: partitions about which another than their owner is asked.
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
        self._said = away
        self._version = version
        self._partitions = partitions
        self._links = links
        self._rings: dict[frozenset[str], Ring] = {}
        self.stood_in = 0
        self.links = self._share_out()

    def stand_in(self, partition: int, failed: object) -> ShardLink | None:
        """Who to ask when this one did not reach the store; None when nobody else does, as far as is known."""
        able = frozenset(
            node
            for node, link in self._links.items()
            if link is not failed and partition not in self._said.get(node, ())
        )
        return self._links[self._ring(able).owners[partition]] if able else None

    def covers(self, intended: Ring) -> dict[ShardLink, list[int]]:
        """By the link that is asked, the partitions that are another's on the ring of all members."""
        covers: dict[ShardLink, list[int]] = {}
        for partition, (node, asked) in enumerate(zip(intended.owners, self.links, strict=False)):
            if self._links.get(node) is not asked:
                covers.setdefault(asked, []).append(partition)
        return covers

    def yielded(self) -> dict[ShardLink, list[int]]:
        """By the link of a shard that has said that it is away, the partitions about which another is asked that has
        read the store since.
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
        """By partition, its owner on the ring of all these shards; where that one is away, its owner on the ring of
        those that are not.
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
    """Which shards are asked although they said that they are away, because all of them were at once."""

    def __init__(self) -> None:
        self._nodes: frozenset[str] = frozenset()
        self._until = 0.0

    def update(self, nodes: frozenset[str], away: frozenset[str], now: float) -> frozenset[str]:
        """The excused of these nodes, given those that are away for all partitions; times by the loop, in seconds."""
        if nodes and away >= nodes:
            self._nodes, self._until = nodes, now + EXCUSE_S
        elif now >= self._until:
            self._nodes = frozenset()
        self._nodes &= away
        return self._nodes

    def revoke(self, node: str) -> None:
        """This one was asked, and it was not the store that was away."""
        self._nodes -= {node}
