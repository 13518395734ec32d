"""Queue → partition, partition → node, partition → slot: golden values, even spread, bounded load."""

from __future__ import annotations

import math
import re

import pytest

from sharq_core.models import QUEUE_TYPE_PATTERN
from sharq_core.partitions import LOAD_BOUND, Ring, is_gathered, partition_of
from sharq_core.scheduler.keys import Keys, slot_of, tags
from sharq_core.store.topology.layout import SLOTS


def ring(size: int, partitions: int = 64) -> Ring:
    return Ring.build(1, frozenset(f"node-{n}" for n in range(size)), partitions)


@pytest.mark.parametrize(
    ("queue_type", "queue_id", "partition"),
    [("sms", "1", 22), ("sms", "2", 44), ("email", "a@b.c", 59), ("voice", "+4912345", 34)],
)
def test_a_queue_stays_in_its_partition_for_ever(queue_type: str, queue_id: str, partition: int) -> None:
    assert partition_of(queue_type, queue_id, 64) == partition


@pytest.mark.parametrize(("queue_type", "partition"), [("sms~carrier", 14), ("a~b", 9)])
def test_all_queues_of_a_gathered_type_stay_in_one_partition(queue_type: str, partition: int) -> None:
    assert is_gathered(queue_type)
    assert {partition_of(queue_type, str(n), 64) for n in range(1000)} == {partition}


@pytest.mark.parametrize("queue_type", ["sms", "sms~carrier", "a~b", 49 * "a" + "~" + 50 * "b"])
def test_a_queue_type_may_hold_one_tilde(queue_type: str) -> None:
    assert re.search(QUEUE_TYPE_PATTERN, queue_type)


@pytest.mark.parametrize(
    "queue_type", ["", "~", "~a", "a~", "a~b~c", "a~~b", "a b", 50 * "a" + "~" + 50 * "b"]
)
def test_a_tilde_elsewhere_makes_no_queue_type(queue_type: str) -> None:
    assert re.search(QUEUE_TYPE_PATTERN, queue_type) is None


def test_the_owners_of_three_nodes_are_what_they_always_were() -> None:
    assert "".join(owner[-1] for owner in ring(3).owners) == (
        "1021001211222222001112111221010220002000001022012210201102210222"
    )


@pytest.mark.parametrize("size", range(1, 17))
@pytest.mark.parametrize("partitions", [64, 256])
def test_no_node_owns_more_than_its_bounded_load(size: int, partitions: int) -> None:
    built = ring(size, partitions)
    loads = [len(built.owned_by(node)) for node in built.members]
    assert sum(loads) == partitions
    assert max(loads) <= math.ceil(LOAD_BOUND * partitions / size)


def test_a_ring_does_not_depend_on_the_order_of_its_members() -> None:
    names = [f"node-{n}" for n in range(5)]
    assert Ring.build(1, frozenset(names), 64) == Ring.build(1, frozenset(reversed(names)), 64)


def test_a_ring_without_members_owns_nothing() -> None:
    assert Ring.build(3, frozenset(), 64) == Ring(3, (), ())


@pytest.mark.parametrize("partitions", [1, 7, 64, 256])
def test_partitions_spread_evenly_over_the_slot_space(partitions: int) -> None:
    slots = [slot_of(tag) for tag in tags("sharq_server", partitions)]
    assert [slot * partitions // SLOTS for slot in slots] == list(range(partitions))


def test_the_slot_is_redis_clusters() -> None:
    assert slot_of("123456789") == 0x31C3 % SLOTS


def test_all_keys_of_a_partition_hold_its_tag_and_no_queue_id() -> None:
    keys = Keys("p", 64).of(5, "sms", ("ready", "counters"))
    tag = tags("p", 64)[5]
    assert keys.names == (f"{{{tag}}}:ready:sms".encode(), f"{{{tag}}}:counters".encode())
