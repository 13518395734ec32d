"""Where a queue lives: queue → partition by CRC-32, partition → shard node by a consistent-hash ring.

Not here: partition → store node, which is the hash tag in the keys (scheduler/keys.py), and who is a member
(shard/membership.py).
"""

from __future__ import annotations

import math
from zlib import crc32

import msgspec
from uhashring import HashRing

DEFAULT_PARTITIONS = 64
LOAD_BOUND = 1.15
"""No node owns more than ceil(LOAD_BOUND * P / N) partitions."""


def partition_of(queue_type: str, queue_id: str, partitions: int) -> int:
    """The partition (0 .. partitions-1) of a queue, the same for the life of the data."""
    return crc32(f"{queue_type}:{queue_id}".encode()) % partitions


class Ring(msgspec.Struct, frozen=True):
    """Which node owns which partition, as one immutable value.

    Attributes:
        version: grows with every change of the membership.
        members: node ids, sorted.
        owners: the node of each partition, P long; empty when there is no member.
    """

    version: int
    members: tuple[str, ...]
    owners: tuple[str, ...]

    @classmethod
    def build(cls, version: int, members: frozenset[str], partitions: int) -> Ring:
        """Hash the members on a ring and give each partition to the first node after its point that has room.

        Room is ceil(1.15 * P / N) partitions (consistent hashing with bounded loads, Mirrokni, Thorup and
        Zadimoghaddam, 2016). Cost: O(P * N), some ms at 64 nodes; done once a membership change.
        """
        if not members:
            return cls(version, (), ())
        room = math.ceil(LOAD_BOUND * partitions / len(members))
        ring = HashRing(nodes=sorted(members))
        load = dict.fromkeys(members, 0)
        owners = []
        for partition in range(partitions):
            walk = ring.range(str(partition), size=len(members), unique=True)
            owner = next(node for node in (step["nodename"] for step in walk) if load[node] < room)
            load[owner] += 1
            owners.append(owner)
        return cls(version, tuple(sorted(members)), tuple(owners))

    def owned_by(self, node: str) -> list[int]:
        """The partitions of a node, ascending."""
        return [partition for partition, owner in enumerate(self.owners) if owner == node]
