"""The names of the store's keys: every one holds its partition's hash tag, none is built from a queue's id.

Not here: what the keys hold (lua/README.md), and which partition a queue is in (sharq_core/partitions.py).
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import lru_cache
from itertools import count

from sharq_core.store.commands import KeyList
from sharq_core.store.topology.layout import SLOTS

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
    that partitions spread evenly over any number of primaries. Cost: O(slots), 30 ms at 4,096 partitions.
    """
    return tuple(_tag(prefix, partition, partitions) for partition in range(partitions))


def _tag(prefix: str, partition: int, partitions: int) -> str:
    """The partition's tag. A CRC of two strings joined is that of the first, followed by as many zeros as the second is
    long, XOR that of the second: so the numbers of one length are looked up by slot instead of tried one by one.
    """
    head = f"{prefix}:{partition}."
    part = range(_first_slot(partition, partitions), _first_slot(partition + 1, partitions))
    for digits in count(1):
        shift = slot_of(head + "0" * digits) ^ slot_of("0" * digits)
        by_slot = _numbers_by_slot(digits)
        fitting = [number for slot in part if (number := by_slot.get(slot ^ shift)) is not None]
        if fitting:
            return f"{head}{min(fitting)}"
    raise AssertionError("count() has no end")


def _first_slot(partition: int, partitions: int) -> int:
    """The smallest slot with slot * partitions // SLOTS == partition."""
    return -(-partition * SLOTS // partitions)


@lru_cache(maxsize=8)
def _numbers_by_slot(digits: int) -> dict[int, int]:
    """Slot of a number's text, by itself → the smallest number of so many digits with that slot."""
    found: dict[int, int] = {}
    for number in range(0 if digits == 1 else 10 ** (digits - 1), 10**digits):
        found.setdefault(slot_of(str(number)), number)
    return found


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
