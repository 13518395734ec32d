"""Tests which shard is asked about each partition if some shards cannot reach their store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from router.shards.link import ShardLink
from router.shards.owners import EXCUSE_S, TOGETHER_S, Excuses, Owners
from sharq_core.partitions import Ring

PARTITIONS = 16
ALL = frozenset(range(PARTITIONS))
NODES = ("a", "b", "c")
LINKS = {node: cast(ShardLink, object()) for node in NODES}
RING = Ring.build(1, frozenset(NODES), PARTITIONS)


def owners(away: Mapping[str, frozenset[int]], excused: frozenset[str] = frozenset()) -> Owners:
    return Owners(1, PARTITIONS, LINKS, away, excused)


def asked(found: Owners) -> list[str]:
    """Return the node that is asked, by partition."""
    return [next(node for node in NODES if LINKS[node] is link) for link in found.links]


def test_every_owner_is_asked_while_all_reach_the_store() -> None:
    found = owners({})
    assert asked(found) == list(RING.owners)
    assert found.stood_in == 0


def test_the_partitions_of_one_that_is_away_go_to_the_others_and_no_other_moves() -> None:
    found = owners({"a": ALL})
    assert "a" not in asked(found)
    assert all(now == was for now, was in zip(asked(found), RING.owners, strict=True) if was != "a")
    assert found.stood_in == len(RING.owned_by("a"))


def test_one_that_lost_one_server_of_a_cluster_keeps_the_partitions_of_the_others() -> None:
    lost = frozenset(RING.owned_by("a")[:2])
    found = owners({"a": lost})
    moved = {partition for partition in ALL if asked(found)[partition] != RING.owners[partition]}
    assert moved == lost


def test_nobody_stands_in_for_a_partition_that_nobody_reaches() -> None:
    (partition, *_) = RING.owned_by("a")
    found = owners({node: frozenset({partition}) for node in NODES})
    assert asked(found) == list(RING.owners)
    assert found.stand_in(partition, LINKS["a"]) is None


def test_a_stand_in_is_neither_the_one_that_failed_nor_one_that_is_away() -> None:
    for partition in ALL:
        assert owners({"b": ALL}).stand_in(partition, LINKS["a"]) is LINKS["c"]


def test_an_excused_shard_is_asked_though_it_said_that_it_is_away_but_stands_in_for_nobody() -> None:
    found = owners({"a": ALL, "b": ALL}, excused=frozenset({"a", "b"}))
    assert asked(found) == list(RING.owners)
    assert found.stand_in(0, LINKS["c"]) is None


def test_all_that_were_away_at_once_are_excused_until_the_others_had_time_to_come_back() -> None:
    excuses = Excuses()
    nodes = frozenset(NODES)
    assert excuses.update(nodes, since(0.0, "a", "b"), 0.0) == frozenset()
    assert excuses.update(nodes, since(1.0, *NODES), 1.0) == nodes
    assert excuses.update(nodes, since(1.0, "a", "b"), 2.0) == {"a", "b"}
    assert excuses.update(nodes, since(1.0, "a"), 2.1) == {"a"}
    assert excuses.update(nodes, since(1.0, "a", "b"), 2.2) == {"a"}, "it was back meanwhile"
    assert excuses.update(nodes, since(1.0, "a"), 1.0 + EXCUSE_S) == frozenset()


def test_one_that_was_away_before_the_others_is_not_excused() -> None:
    """It is cut off, so that it fails each call after the others have the store again, whom it takes time to say so."""
    excuses = Excuses()
    nodes = frozenset(NODES)
    away = since(1.0, "a") | since(1.0 + 2 * TOGETHER_S, "b") | since(1.0 + 2.5 * TOGETHER_S, "c")
    excused = excuses.update(nodes, away, 4.0)
    assert excused == {"b", "c"}
    found = owners(dict.fromkeys(NODES, ALL), excused)
    assert set(asked(found)) == {"b", "c"}
    assert found.stood_in == len(RING.owned_by("a"))


def since(at: float, *nodes: str) -> dict[str, float]:
    """Return nodes that are away from all partitions since a time."""
    return dict.fromkeys(nodes, at)


def test_an_excuse_is_revoked_when_another_reaches_the_store() -> None:
    excuses = Excuses()
    nodes = frozenset(NODES)
    excuses.update(nodes, since(1.0, *NODES), 1.0)
    excuses.revoke("a")
    assert excuses.update(nodes, since(1.0, "a", "b"), 1.1) == {"b"}
