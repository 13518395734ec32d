"""The hash tags of partitions: found by slot, and the same as trying one number after the other would find."""

from __future__ import annotations

import time

import pytest

from sharq_core.scheduler.keys import slot_of, tags
from sharq_core.store.topology.layout import SLOTS


def smallest(prefix: str, partition: int, partitions: int) -> str:
    number = 0
    while slot_of(tag := f"{prefix}:{partition}.{number}") * partitions // SLOTS != partition:
        number += 1
    return tag


@pytest.mark.parametrize("partitions", [1, 3, 64, 100, 256])
@pytest.mark.parametrize("prefix", ["sharq_server", "x", "tenant:a"])
def test_a_tag_has_the_smallest_number_that_fits(prefix: str, partitions: int) -> None:
    expected = [smallest(prefix, partition, partitions) for partition in range(partitions)]
    assert list(tags(prefix, partitions)) == expected


def test_the_tags_of_the_most_partitions_take_no_time() -> None:
    began_s = time.process_time()
    found = tags("of-a-test", 4096)
    assert time.process_time() - began_s < 1.0
    assert [slot_of(tag) * 4096 // SLOTS for tag in found] == list(range(4096))
