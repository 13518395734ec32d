"""The names of the store's keys: every one holds its partition's hash tag, none is built from a queue's id.

Not here: what the keys hold (lua/README.md), and which partition a queue is in (sharq_core/partitions.py).
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import lru_cache

from sharq_core.store.commands import KeyList
from sharq_core.store.layout import SLOTS

MAX_KNOWN = 20_000
"""Lists of keys that are kept ready: 7 µs saved a call; 28 MB when full, then they are made anew."""

OF_TYPE = frozenset({"ready", "queued", "jobs", "timers", "queues", "dead", "deadjobs"})
"""Keys of one (partition, type); the others are one a partition."""


def slot_of(tag: str) -> int:
    """The slot (0-16383) of a hash tag: its CRC-16 modulo their number (Redis Cluster specification)."""
    return crc_hqx(tag.encode(), 0) % SLOTS


@lru_cache(maxsize=64)
def tags(prefix: str, partitions: int) -> tuple[str, ...]:
    """The hash tag of each partition, without its braces.

    `<prefix>:<p>.<n>` with the smallest n whose slot lies in the p-th of `partitions` equal parts of the slot space, so
    that partitions spread evenly over any number of primaries. Cost: about partitions² CRCs, 2 ms at 64.
    """
    return tuple(_tag(prefix, partition, partitions) for partition in range(partitions))


def _tag(prefix: str, partition: int, partitions: int) -> str:
    number = 0
    while slot_of(tag := f"{prefix}:{partition}.{number}") * partitions // SLOTS != partition:
        number += 1
    return tag


class Keys:
    """The keys of one deployment.

    Args:
        prefix: the deployment's prefix, without braces.
        partitions: P.
    """

    def __init__(self, prefix: str, partitions: int) -> None:
        self.prefix = prefix
        self.partitions = partitions
        self._tags = tags(prefix, partitions)
        self._known: dict[tuple[int, str, tuple[str, ...]], KeyList] = {}

    def of(self, partition: int, queue_type: str, names: tuple[str, ...]) -> KeyList:
        """The named keys of a partition, in the order of the names."""
        place = (partition, queue_type, names)
        found = self._known.get(place)
        if found is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            found = self._known[place] = self._make(*place)
        return found

    def _make(self, partition: int, queue_type: str, names: tuple[str, ...]) -> KeyList:
        tag = self._tags[partition]
        return KeyList.of(
            *(
                (f"{{{tag}}}:{name}:{queue_type}" if name in OF_TYPE else f"{{{tag}}}:{name}").encode()
                for name in names
            )
        )

    @property
    def slots(self) -> tuple[int, ...]:
        """The slot of each partition and, last, of the deployment's own keys: partition -1 is theirs."""
        return (*map(slot_of, self._tags), slot_of(f"{self.prefix}:members"))

    @property
    def partition_count(self) -> bytes:
        """Where P is written."""
        return f"{{{self.prefix}:members}}:partitions".encode()

    @property
    def members(self) -> bytes:
        """Where the shard nodes are written."""
        return f"{{{self.prefix}:members}}:members".encode()

    @property
    def identity(self) -> bytes:
        """Where the record of the data set is written."""
        return f"{{{self.prefix}:members}}:identity".encode()

    def counters(self, partition: int) -> bytes:
        """Where a partition has its totals, and the id of the data set."""
        return f"{{{self._tags[partition]}}}:counters".encode()
