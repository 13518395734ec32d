"""Reads what the store keeps of queues with caps, by the layouts of lua/README.md, and checks that it agrees.

Written apart from the Lua.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_PART = struct.Struct(">I7s")
_PLACE = struct.Struct(">IQ")
_NEWER_AT = 90
_HAS_CAPS = 8


class Place(NamedTuple):
    """The place of a queue in parked:<type>."""

    cap_set: int
    at_us: int
    queue_id: str


def parse_caps(raw: bytes) -> tuple[int, int]:
    """Return the number of a queue's cap set and the time of its place in parked (0 for none), from its record."""
    if not raw:
        return 0, 0
    assert len(raw) == _PART.size
    number, parked_at = _PART.unpack(raw)
    assert number
    return number, int.from_bytes(parked_at)


def assert_parked_agree(raw: Mapping[str, Mapping[bytes, Any]], wanted: set[Place], queue_type: str) -> None:
    """The wanted places are there and no others, each of their sets has a change, and the type counts them."""
    found, capsets = {_place(member) for member in raw["parked"]}, raw["capsets"]
    assert found == wanted
    assert {int.from_bytes(number) for number in capsets} == {place.cap_set for place in found}
    assert len(set(capsets.values())) == len(capsets)
    changed, count = counts_of_parked(raw["counters"].get(queue_type.encode(), b""))
    assert count == len(found)
    assert changed >= max(capsets.values(), default=0)


def _place(member: bytes) -> Place:
    cap_set, at_us = _PLACE.unpack_from(member)
    return Place(cap_set, at_us, member[_PLACE.size :].decode())


def counts_of_parked(counts: bytes) -> tuple[int, int]:
    """Return the number of the latest change and the number of parked queues, from the counts of a type."""
    newer = counts[_NEWER_AT:]
    if not newer or not newer[0] & _HAS_CAPS:
        assert len(newer) <= 1
        return 0, 0
    assert len(newer) == 12
    return int.from_bytes(newer[1:8]), int.from_bytes(newer[8:])


def assert_cap_sets_agree(
    counters: Mapping[bytes, Any], queues: Iterable[tuple[int, int]], queue_type: str
) -> None:
    """Each set is used as often as is counted, and is gone if no queue has it.

    The counts are those of all types, so they are not judged if another type of the partition has or had such queues.

    Args:
        queues: the number of the set (0 for none) and the number of queued jobs of each queue of the type.
    """
    others = [name for name in counters if not name.startswith(b":") and name != queue_type.encode()]
    if any(counts_of_parked(counters[name])[0] for name in others):
        return
    uses: Counter[int] = Counter()
    jobs: Counter[int] = Counter()
    for number, queued in queues:
        uses[number] += number > 0
        jobs[number] += queued * (number > 0)
    uses, jobs = +uses, +jobs
    assert uses == {
        int.from_bytes(field[2:]): int(number) for field, number in counters.items() if field[:2] == b":y"
    }
    names = {int.from_bytes(field[2:]): names for field, names in counters.items() if field[:2] == b":k"}
    assert names.keys() == uses.keys()
    numbers = {
        field[2:]: int.from_bytes(number)
        for field, number in counters.items()
        if field[:2] == b":K" and len(field) > 2
    }
    assert numbers == {text: number for number, text in names.items()}
    counted = {
        int.from_bytes(field[2:]): int(count) for field, count in counters.items() if field[:2] == b":z"
    }
    assert +Counter(counted) == jobs
    assert counted.keys() <= uses.keys()
    of_cap = {field[2:]: numbers for field, numbers in counters.items() if field[:2] == b":n"}
    wanted: dict[bytes, list[int]] = {}
    for number, text in sorted(names.items()):
        for name in text.split(b"\0"):
            wanted.setdefault(name, []).append(number)
    assert of_cap == {
        name: b"".join(number.to_bytes(4) for number in numbers) for name, numbers in wanted.items()
    }
    assert int(counters.get(b":K", 0)) >= max(names, default=0)
    for text in names.values():
        assert sorted(text.split(b"\0")) == text.split(b"\0")
