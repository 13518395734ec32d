"""The ring: who owns what is golden, loads are bounded on both sides, and a join moves little beside what it must."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from statistics import mean

import pytest

from sharq_core.partitions import LEAST_LOAD, LOAD_BOUND, Ring

PARTITIONS = 64
MOST_MOVED = 0.08
"""The share of all partitions that may move between nodes that were there before."""

NAMES = {
    "node-0": [f"node-{n}" for n in range(9)],
    "node-1": [f"node-{n}" for n in range(1, 10)],
    "shard-1": [f"shard-{n}" for n in range(1, 10)],
    "sharq-shard-0": [f"sharq-shard-{n}" for n in range(9)],
    "ports": [f"sharq.example-{port}" for port in range(8090, 8099)],
    "addresses": [f"10.0.{n // 3}.{7 * n}:8090" for n in range(9)],
    "letters": list("abcdefghi"),
}


def ring(members: list[str], partitions: int = PARTITIONS) -> Ring:
    return Ring.build(1, frozenset(members), partitions)


def joins(names: list[str], partitions: int = PARTITIONS) -> Iterator[tuple[str, Ring, Ring]]:
    """(who joins, the ring before, the ring after), from one node to all of them."""
    for size in range(1, len(names)):
        yield names[size], ring(names[:size], partitions), ring(names[: size + 1], partitions)


def moved_between_others(joined: str, before: Ring, after: Ring) -> int:
    pairs = zip(before.owners, after.owners, strict=True)
    return sum(old != new != joined for old, new in pairs)


def random_names(seed: int) -> list[str]:
    source = random.Random(seed)
    return [f"{source.choice(['shard', 'host', 'ip'])}-{source.getrandbits(40):x}" for _ in range(9)]


def test_the_owners_of_a_ring_are_what_they_always_were() -> None:
    built = ring(["a", "b", "c", "d"])
    assert "".join(built.owners) == "cdcaaaabdbdcddcdabcabcdaaccabadcadadadbbbdcbbbacaccacbdcbdbaddbc"


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_a_node_that_joins_gets_its_share_and_hardly_anything_else_moves(names: list[str]) -> None:
    for joined, before, after in joins(names):
        share = len(after.owned_by(joined)) / (PARTITIONS / len(after.members))
        assert 0.5 <= share <= 1.3, (joined, share)
        assert moved_between_others(joined, before, after) <= MOST_MOVED * PARTITIONS, joined


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_a_node_that_leaves_gives_its_partitions_away_and_hardly_anything_else_moves(
    names: list[str],
) -> None:
    everyone = ring(names)
    for gone in names:
        rest = ring([name for name in names if name != gone])
        pairs = zip(everyone.owners, rest.owners, strict=True)
        assert sum(old not in (gone, new) for old, new in pairs) <= MOST_MOVED * PARTITIONS
        assert gone not in rest.owners


def test_of_a_thousand_random_joins_the_mean_moves_below_one_percent_between_others() -> None:
    """The bound of 8 % is missed about once in 40,000 joins, so here it holds for all of them."""
    moved = []
    for seed in range(125):
        for joined, before, after in joins(random_names(seed)):
            share = len(after.owned_by(joined)) / (PARTITIONS / len(after.members))
            assert 0.5 <= share <= 1.3, (seed, joined)
            moved.append(moved_between_others(joined, before, after))
    assert len(moved) == 1000
    assert mean(moved) < 0.01 * PARTITIONS
    assert max(moved) <= MOST_MOVED * PARTITIONS


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 33, 64, 100])
@pytest.mark.parametrize("partitions", [1, 7, 64, 256])
def test_every_partition_has_one_owner_and_loads_are_bounded_on_both_sides(
    size: int, partitions: int
) -> None:
    built = ring([f"node-{n}" for n in range(size)], partitions)
    loads = [len(built.owned_by(node)) for node in built.members]
    assert sum(loads) == len(built.owners) == partitions
    assert max(loads) <= math.ceil(LOAD_BOUND * partitions / size)
    if size <= partitions:
        assert min(loads) >= math.ceil(LEAST_LOAD * partitions / size)


def test_a_ring_is_a_value_that_depends_on_its_members_alone() -> None:
    names = random_names(1)
    assert ring(names) == ring(list(reversed(names)))
    assert ring(names[:3]).owners == ring(names[:3] + names[:1]).owners
