"""Dequeues over two shards: hints that grow old are asked for again, once at a time, and no shard starves meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

from router.longpoll.dequeues import Polls
from router.longpoll.due_hints import FRESH_S
from sharq_core.errors import StoreAway
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import FORMATS, Call, Dequeue, OnDue, Peek, ShardPort
from sharq_core.models import LeasedJob
from tests.support.nodes.members import KIND, PARTITIONS, MemberNode, agree, job_in, running_nodes
from tests.support.stores.server import StoreServer
from tests.support.waits import until

ReplyT = TypeVar("ReplyT")
LEASE_US = 60_000_000


class WatchedShard:
    """A real node whose calls are counted.

    Attributes:
        counts: the calls so far, by their types.
        most_peeks: the most peeks that were under way at one time.
        is_away: True if peeks fail as they do while the store cannot be reached.
    """

    def __init__(self, member: MemberNode) -> None:
        self._node = member.node
        self.counts: Counter[type[Any]] = Counter()
        self.most_peeks = 0
        self.is_away = False
        self._peeks = 0

    async def call(self, call: Call[ReplyT]) -> ReplyT:
        self.counts[type(call)] += 1
        is_peek = isinstance(call, Peek)
        if not is_peek:
            return await self._node.call(call)
        self._peeks += 1
        self.most_peeks = max(self.most_peeks, self._peeks)
        try:
            await asyncio.sleep(0.005)  # a link takes time, too
            reply = await self._node.call(call)
            if self.is_away:
                raise StoreAway("the store cannot be reached")
            return reply
        finally:
            self._peeks -= 1

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        self._node.watch(queue_type, on_due)

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        self._node.unwatch(queue_type, on_due)

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        self._node.watch_job(job, on_end)

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        self._node.unwatch_job(job, on_end)


class Shards:
    """A directory of shards that are all there. Attributes: doubted: the shards that were passed over."""

    second_tries = 0
    formats = FORMATS
    sole_owner = None
    partitions = PARTITIONS

    def __init__(self, *shards: WatchedShard) -> None:
        self._shards = shards
        self.doubted: list[ShardPort] = []

    def owner(self, partition: int, /) -> ShardPort:
        return self._shards[partition % len(self._shards)]

    def shards(self) -> Sequence[ShardPort]:
        return self._shards

    def informed(self, shards: Sequence[ShardPort], /) -> Sequence[ShardPort]:
        return shards

    def on_change(self, tell: Callable[[], None]) -> None:
        """They do not change."""

    def stand_in(self, partition: int, failed: ShardPort, /) -> ShardPort | None:
        return None

    def doubt(self, shard: ShardPort) -> None:
        self.doubted.append(shard)

    async def covered(self) -> None:
        """Nothing is covered."""


async def filled(nodes: Sequence[MemberNode], jobs: int) -> list[WatchedShard]:
    """Let each node have as many jobs in a partition of its own."""
    await until(lambda: agree(*nodes))
    for node in nodes:
        for first in range(0, jobs, 100):
            await node.enqueue(*(job_in(node.owned[0], f"{node.node_id}-{first + n}") for n in range(100)))
    return [WatchedShard(node) for node in nodes]


async def lease(polls: Polls) -> str:
    """Lease a job and return the id of its node."""
    (leased,) = await polls.dequeue([KIND], 1, LEASE_US, 0, lambda: False)
    return leased.job_id.split("-")[0]


async def until_no_peek_is_under_way(polls: Polls) -> None:
    """Wait for the peeks that no dequeue waits for: none may outlive its node."""
    await until(lambda: not polls._refresh._under_way)


async def test_an_old_hint_is_asked_for_once_however_many_dequeues_find_it(
    store: StoreServer, prefix: str
) -> None:
    async with running_nodes(store.url, prefix) as nodes:
        shards = await filled(await nodes.join("a", "b"), 400)
        polls = Polls(Shards(*shards))
        for _ in range(20):
            await asyncio.sleep(2 * FRESH_S)
            await asyncio.gather(*(lease(polls) for _ in range(10)))
        await until_no_peek_is_under_way(polls)
    assert [shard.most_peeks for shard in shards] == [1, 1]
    assert sum(shard.counts[Dequeue] for shard in shards) == 200


async def test_a_shard_does_not_starve_behind_one_that_always_has_jobs(
    store: StoreServer, prefix: str
) -> None:
    async with running_nodes(store.url, prefix) as nodes:
        shards = await filled(await nodes.join("a", "b"), 400)
        polls = Polls(Shards(*shards))
        found = Counter([await lease(polls) for _ in range(600)])
        await until_no_peek_is_under_way(polls)
    assert found["a"] >= 200
    assert found["b"] >= 200


async def test_a_shard_that_does_not_reach_its_store_is_passed_over_and_the_others_answer(
    store: StoreServer, prefix: str
) -> None:
    async with running_nodes(store.url, prefix) as nodes:
        shards = await filled(await nodes.join("a", "b"), 100)
        directory = Shards(*shards)
        polls = Polls(directory)
        await lease(polls)
        shards[1].is_away = True
        await asyncio.sleep(2 * FRESH_S)
        assert {await lease(polls) for _ in range(5)} <= {"a", "b"}
        await until(lambda: shards[1] in directory.doubted)
        await until_no_peek_is_under_way(polls)


@pytest.mark.parametrize("count", [1, 50])
async def test_a_dequeue_finds_a_job_of_any_shard_whatever_its_hint_says(
    store: StoreServer, prefix: str, count: int
) -> None:
    """I6: an acknowledged job is found by the next dequeue, behind a hint that says there is none."""
    async with running_nodes(store.url, prefix) as nodes:
        members = await nodes.join("a", "b")
        shards = await filled(members, 0)
        polls = Polls(Shards(*shards))
        for number in range(count):
            assert await polls.dequeue([KIND], 1, LEASE_US, 0, lambda: False) == []
            member = members[number % 2]
            await member.enqueue(job_in(member.owned[0], f"{member.node_id}-late-{number}"))
            assert await lease(polls) == member.node_id
        await until_no_peek_is_under_way(polls)


async def test_a_poll_that_waits_beside_others_asks_no_shard_again(store: StoreServer, prefix: str) -> None:
    """The shards tell the others when a job is due, and so this one."""
    async with running_nodes(store.url, prefix) as nodes:
        first, second = await nodes.join("a", "b")
        shards = await filled([first, second], 0)
        polls = Polls(Shards(*shards))

        async def wait(wait_us: int) -> list[LeasedJob]:
            return await polls.dequeue([KIND], 1, LEASE_US, wait_us, lambda: False)

        long = asyncio.create_task(wait(60_000_000))
        await until(lambda: polls.waiting == 1)
        await asyncio.gather(*(wait(100_000) for _ in range(10)))
        peeks = sum(shard.counts[Peek] for shard in shards)
        for _ in range(5):
            assert await asyncio.gather(*(wait(100_000) for _ in range(20))) == [[]] * 20
        assert sum(shard.counts[Peek] for shard in shards) < peeks + 60, "of 200 without this"
        waiting = [long, *(asyncio.create_task(wait(60_000_000)) for _ in range(3))]
        await until(lambda: polls.waiting == 4)
        for number in range(4):
            owned = (first, second)[number % 2]
            await owned.enqueue(job_in(owned.owned[0], f"j{number}"))
        found = [leased.job_id for jobs in await asyncio.gather(*waiting) for leased in jobs]
        assert sorted(found) == ["j0", "j1", "j2", "j3"]
        await until_no_peek_is_under_way(polls)
