"""The ready index: early perhaps, late never, and exact news never hides newer ones."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from shard.index.ready_index import ReadyIndex
from shard.index.refresher import over_level
from sharq_core.scheduler.replies import Hint

NOW_US = 1_000_000


class Index:
    """An index and what it told of earlier times."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.index = ReadyIndex(lambda partition: self.store_now_us)
        self.index.subscribe("sms", self._tell)
        self.now = monotonic
        self.store_now_us: int | None = None

    def _tell(self, in_us: int | None) -> None:
        if in_us is not None:
            self.told.append(in_us)

    def note(self, partition: int, in_us: int) -> None:
        self.index.note(partition, "sms", Hint(NOW_US, NOW_US + in_us, None))

    def settle(self, partition: int, in_us: int | None, queues: int, sent_at: float) -> None:
        head_us = None if in_us is None else NOW_US + in_us
        self.index.settle(partition, "sms", NOW_US, head_us, queues, sent_at)

    def due(self) -> list[tuple[int, int]]:
        return self.index.due("sms", self.now())


async def test_the_longest_due_partition_comes_first() -> None:
    known = Index()
    known.note(1, -10)
    known.note(2, -1_000_000)
    known.note(3, 60_000_000)
    assert known.due() == [(2, 1), (1, 1)]


async def test_a_queue_that_has_no_time_comes_before_those_that_have() -> None:
    known = Index()
    for partition, gap_us in ((1, 10_000_000), (2, 20_000), (3, 50_000)):
        known.settle(partition, gap_us, 1, sent_at=known.now())
        known.note(partition, 0)
    assert [partition for partition, _ in known.due()] == [2, 3, 1]


async def test_a_queue_that_has_time_is_not_passed_over_for_long() -> None:
    known = Index()
    known.settle(1, 10_000_000, 1, sent_at=known.now())
    known.note(1, -110_000)
    known.settle(2, 1_000, 1, sent_at=known.now())
    known.note(2, 0)
    assert [partition for partition, _ in known.due()] == [1, 2]


async def test_a_partition_of_another_node_comes_after_the_own_ones() -> None:
    known = Index()
    known.index.others = frozenset({2})
    known.note(1, 0)
    known.settle(2, 1_000, 1, sent_at=known.now())
    known.note(2, 0)
    assert [partition for partition, _ in known.due()] == [1, 2]


async def test_an_entry_is_earlier_by_the_lead_of_the_calls_so_far() -> None:
    known = Index()
    known.store_now_us = NOW_US
    for _ in range(1_000):
        known.index.learn(1, NOW_US, known.now() - 0.0005)
    known.note(1, 400)
    assert known.due() == [(1, 1)]
    known.note(2, 60_000_000)
    assert known.due() == [(1, 1)]


async def test_a_partition_that_is_due_in_a_moment_is_asked_beside_a_due_one_only() -> None:
    known = Index()
    known.index.aim.beside_s = 0.5
    known.note(1, 400_000)
    assert known.due() == []
    known.note(2, -10)
    assert [partition for partition, _ in known.due()] == [2, 1]


async def test_every_earlier_time_is_told_once() -> None:
    known = Index()
    known.note(1, 5_000_000)
    known.note(1, 6_000_000)
    known.note(2, 1_000_000)
    assert len(known.told) == 2
    assert known.told[1] < known.told[0]


async def test_an_exact_view_replaces_what_was_known_before_it_was_sent() -> None:
    known = Index()
    known.note(1, -10)
    await asyncio.sleep(0.001)
    known.settle(1, None, 0, sent_at=known.now())
    assert known.index.next_due("sms") is None


async def test_an_exact_view_does_not_hide_news_that_came_after_it_was_sent() -> None:
    known = Index()
    sent_at = known.now()
    await asyncio.sleep(0.001)
    known.note(1, -10)
    known.settle(1, None, 0, sent_at)
    assert known.due() == [(1, 1)]
    known.settle(1, 60_000_000, 0, sent_at)
    assert known.due() == [(1, 1)]


async def test_what_was_read_takes_out_only_the_types_that_it_names_as_empty() -> None:
    known = Index()
    known.note(1, -10)
    await asyncio.sleep(0.001)
    known.index.read(1, NOW_US, [("voice", NOW_US - 5)], sent_at=known.now())
    assert known.due() == [(1, 1)]
    assert sorted(known.index.types_in(1)) == ["sms", "voice"]
    known.index.read(1, NOW_US, [("sms", None)], sent_at=known.now())
    assert known.index.next_due("sms") is None
    assert known.index.due("voice", known.now()) == [(1, 1)]


async def test_a_partition_that_is_put_off_is_due_again_at_its_time_and_not_before() -> None:
    known = Index()
    known.note(1, -10)
    known.note(2, -5)
    until = known.now() + 60
    known.index.put_off(1, "sms", until)
    known.note(1, -10)
    known.settle(1, -20, 1, sent_at=known.now() + 1)
    assert known.due() == [(2, 1)]
    assert known.index.due("sms", until) == [(2, 1), (1, 1)]


async def test_the_longest_due_of_the_other_types_is_found_a_few_types_at_a_time() -> None:
    known = Index()
    known.index.read(1, NOW_US, [(f"type-{n}", NOW_US - n * 1_000_000) for n in range(10)], known.now())
    for _ in range(6):
        known.index.rank(2, {"type-9"})
    assert 8 <= known.index.longest_overdue_s < 9
    known.index.read(1, NOW_US, [(f"type-{n}", None) for n in range(9)], known.now())
    for _ in range(6):
        known.index.rank(2, {"type-9"})
    assert known.index.longest_overdue_s == 0


async def test_the_time_that_a_reply_took_makes_nothing_later() -> None:
    known = Index()
    known.store_now_us = NOW_US + 3_000_000
    known.settle(1, 5_000_000, 0, sent_at=known.now())
    due = known.index.next_due("sms")
    assert due is not None
    assert 0 < due - known.now() <= 2
    known.note(2, 3_000_000)
    assert known.due() == [(2, 1)]


async def test_a_partition_that_is_given_away_is_forgotten() -> None:
    known = Index()
    known.note(1, -10)
    known.note(2, -10)
    assert not known.index.forget(1, 10)
    assert known.due() == [(2, 1)]
    assert known.index.partitions() == [2]


async def test_many_types_of_a_partition_are_forgotten_a_few_at_a_time() -> None:
    known = Index()
    known.index.read(1, NOW_US, [(f"type-{n}", NOW_US) for n in range(5)], known.now())
    left = [known.index.forget(1, 2) for _ in range(3)]
    assert left == [True, True, False]
    assert known.index.next_due("type-4") is None


@pytest.mark.parametrize(
    ("counts", "limit", "trimmed"),
    [
        ({1: 5, 2: 5}, 10, {}),
        ({1: 50, 2: 5}, 30, {1: 25}),
        ({1: 50, 2: 50}, 30, {1: 15, 2: 15}),
        ({1: 7, 2: 0}, 0, {1: 0}),
    ],
)
def test_the_largest_are_trimmed_to_one_level(
    counts: dict[int, int], limit: int, trimmed: dict[int, int]
) -> None:
    assert over_level(counts, limit) == trimmed
