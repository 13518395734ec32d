"""Builds the names of the store's keys, and translates queue ids to the form in which the store keeps them.

Each key holds its partition's hash tag, and none contains a queue id. lua/README.md describes the contents of the keys;
sharq_core/partitions.py maps queues to partitions.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable
from functools import lru_cache
from itertools import count

from sharq_core.store.commands import KeyList
from sharq_core.store.topology.layout import SLOTS

MAX_KNOWN = 20_000
"""The maximum number of cached key lists. A hit saves 7 µs; a full cache takes 36 MB."""

OF_TYPE = frozenset(
    {
        "ready",
        "queued",
        "jobs",
        "timers",
        "queues",
        "dead",
        "deadjobs",
        "deadcounts",
        "notes",
        "parked",
        "capsets",
    }
)
"""Names of the keys that exist once for each partition and type; the other keys exist once for each partition."""

COLON, STORED_COLON = ":", "~"
"""The colon of a queue id, and the character that stands for it in the store.

The store joins a queue id and a job id with a colon, and splits them at the first one: with the colons of the queue id
in it, ("a:b", "c") and ("a", "b:c") would be one job. No queue id holds a `~` (router/api/fields.py).
"""


def stored_id(queue_id: str) -> str:
    """Return a queue id as the store keeps it: without colons. One that has none stays as it is."""
    return queue_id.replace(COLON, STORED_COLON)


def shown_id(stored: bytes) -> str:
    """Return the queue id that the store keeps as these bytes."""
    return stored.decode().replace(STORED_COLON, COLON)


def slot_of(tag: str) -> int:
    """Return the slot (0-16383) of a hash tag: its CRC-16 modulo 16384 (Redis Cluster specification)."""
    return crc_hqx(tag.encode(), 0) % SLOTS


@lru_cache(maxsize=64)
def tags(prefix: str, partitions: int) -> tuple[str, ...]:
    """Return the hash tag of each partition, without its braces.

    A tag is `<prefix>:<p>.<n>` with the smallest n for which the slot lies in the p-th of `partitions` equal parts of
    the slot space, so that partitions spread evenly over any number of primaries.

    Cost: O(slots), 30 ms at 4,096 partitions.
    """
    return tuple(_tag(prefix, partition, partitions) for partition in range(partitions))


def _tag(prefix: str, partition: int, partitions: int) -> str:
    """Return the partition's tag.

    CRC is linear: the CRC of `a + b` is the CRC of `a` followed by len(b) zeros, XOR the CRC of `b`. The numbers of one
    length are therefore looked up by slot instead of tried one by one.
    """
    head = f"{prefix}:{partition}."
    part = range(_first_slot(partition, partitions), _first_slot(partition + 1, partitions))
    for digits in count(1):
        shift = slot_of(head + "0" * digits) ^ slot_of("0" * digits)
        by_slot = _numbers_by_slot(digits)
        if len(by_slot) < len(part):
            fitting = [number for slot, number in by_slot.items() if slot ^ shift in part]
        else:
            fitting = [number for slot in part if (number := by_slot.get(slot ^ shift)) is not None]
        if fitting:
            return f"{head}{min(fitting)}"
    raise AssertionError("count() has no end")


def _first_slot(partition: int, partitions: int) -> int:
    """Return the smallest slot with slot * partitions // SLOTS == partition."""
    return -(-partition * SLOTS // partitions)


@lru_cache(maxsize=8)
def _numbers_by_slot(digits: int) -> dict[int, int]:
    """Return a map from slot to the smallest number with `digits` digits whose text alone has that slot."""
    by_slot: dict[int, int] = {}
    for number in range(0 if digits == 1 else 10 ** (digits - 1), 10**digits):
        by_slot.setdefault(slot_of(str(number)), number)
    return by_slot


class Keys:
    """The keys of one deployment.

    Args:
        prefix: the deployment's prefix, without braces.
        partitions: P.

    Attributes:
        of: returns the named keys of a partition and a type, in the order of the names.
    """

    of: Callable[[int, str, tuple[str, ...]], KeyList]

    def __init__(self, prefix: str, partitions: int) -> None:
        self.prefix = prefix
        self.partitions = partitions
        self._tags = tags(prefix, partitions)
        self.of = lru_cache(MAX_KNOWN)(self._make)

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
        """The slot of each partition and, last, that of the deployment's own keys (partition -1)."""
        return (*map(slot_of, self._tags), slot_of(f"{self.prefix}:members"))

    @property
    def partition_count(self) -> bytes:
        """The key of the number of partitions, P."""
        return f"{{{self.prefix}:members}}:partitions".encode()

    @property
    def members(self) -> bytes:
        """The key of the list of shard nodes."""
        return f"{{{self.prefix}:members}}:members".encode()

    @property
    def identity(self) -> bytes:
        """The key of the record of the data set."""
        return f"{{{self.prefix}:members}}:identity".encode()

    def counters(self, partition: int) -> bytes:
        """Return the key of a partition's totals and of the id of its data set."""
        return f"{{{self._tags[partition]}}}:counters".encode()
