"""Tests which partitions a node serves as rings change, and when it must read them before it reports them empty."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from shard.cluster import ownership
from shard.cluster.ownership import Ownership
from sharq_core.errors import Unavailable
from sharq_core.partitions import Ring


def ring(owners: str) -> Ring:
    return Ring(1, tuple(sorted(set(owners))), tuple(owners))


class Reader:
    """Stands for the readings of agendas; each ends when it is let go.

    Attributes:
        begun: partitions whose reading has begun, in order.
    """

    def __init__(self, owned: Ownership) -> None:
        self.begun: list[int] = []
        self.let_go = asyncio.Event()
        self.failure: Unavailable | None = None
        self._owned = owned

    async def read(self, partition: int, queue_type: str) -> None:
        self.begun.append(partition)
        await self.let_go.wait()
        if self.failure is not None:
            raise self.failure
        self._owned.was_read(partition)


async def a_moment() -> None:
    """Let every task that can go on go on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def known(owners: str) -> Ownership:
    """Ownership of node `a`, which has read what it owns."""
    made = Ownership("a", ring(owners))
    for partition in made.owned:
        made.was_read(partition)
    return made


async def test_what_is_taken_over_is_unsure_until_it_was_read() -> None:
    mine = await known("ab")
    sure = [mine.is_complete]
    assert mine.change(ring("aa")) == []
    sure.append(mine.is_complete)
    mine.was_read(1)
    assert [*sure, mine.is_complete] == [True, False, True]


async def test_what_is_given_up_is_covered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    mine = await known("aa")
    assert mine.change(ring("ab")) == [1]
    assert (mine.owned, mine.owns(1), mine.serves(1), mine.is_complete) == ([0], False, True, False)
    mine.expire_grace()
    assert mine.serves(1)
    later_s = loop.time() + ownership.GRACE_S
    monkeypatch.setattr(mine, "_loop", SimpleNamespace(time=lambda: later_s))
    mine.expire_grace()
    assert (mine.serves(1), mine.is_complete) == (False, True)


async def test_a_partition_that_comes_back_is_read_again() -> None:
    mine = await known("aa")
    mine.change(ring("ab"))
    mine.change(ring("aa"))
    reader = Reader(mine)
    reader.let_go.set()
    await mine.read_unknown("sms", reader.read)
    assert reader.begun == [1]
    assert mine.is_complete


async def test_a_call_for_another_nodes_partition_begins_its_grace_period() -> None:
    mine = await known("ab")
    sure = []
    for partition in (0, 1):
        mine.extend_grace(partition)
        sure.append(mine.is_complete)
    assert mine.serves(1)
    assert sure == [True, False]


async def test_calls_that_come_together_share_a_look_and_a_later_call_does_not() -> None:
    mine = await known("aa")
    mine.change(ring("ab"))
    reader = Reader(mine)
    first = asyncio.create_task(mine.read_unknown("sms", reader.read))
    await a_moment()
    assert reader.begun == [1]
    later = [asyncio.create_task(mine.read_unknown("sms", reader.read)) for _ in range(5)]
    await a_moment()
    assert reader.begun == [1]
    reader.let_go.set()
    await asyncio.gather(first, *later)
    assert reader.begun == [1, 1]


async def test_a_look_that_fails_fails_for_all_who_wait_for_it() -> None:
    mine = await known("ab")
    mine.change(ring("aa"))
    reader = Reader(mine)
    reader.failure = Unavailable("the store is away")
    first = asyncio.create_task(mine.read_unknown("sms", reader.read))
    await a_moment()
    later = [asyncio.create_task(mine.read_unknown("sms", reader.read)) for _ in range(5)]
    await a_moment()
    reader.let_go.set()
    outcomes = await asyncio.gather(first, *later, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 6
    assert reader.begun == [1, 1]
    assert not mine.is_complete


async def test_a_change_is_announced() -> None:
    mine = await known("ab")
    assert not mine.changed.is_set()
    mine.change(ring("ba"))
    assert mine.changed.is_set()
