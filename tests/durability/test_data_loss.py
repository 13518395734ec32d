"""Groups of servers that lose data: a primary that comes back empty under its Sentinels, one primary of a Cluster."""

from __future__ import annotations

import asyncio

import pytest

from shard.data_identity.loss import DataSet
from shard.store_factory import make_store
from sharq_core.config import StoreAddress
from sharq_core.errors import Unavailable
from sharq_core.link.messages import Dequeue
from sharq_core.partitions import partition_of
from sharq_core.scheduler.data_set import DataCalls
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.membership import MEMBERS
from sharq_core.store.replication.durability import Durability
from tests.support.nodes.members import KIND, PARTITIONS, MemberNode, agree, job_in, running_nodes
from tests.support.stopwatch import Stopwatch
from tests.support.stores.groups import Member, running_sentinel_group
from tests.support.stores.redis_cluster import RedisCluster, running_cluster
from tests.support.waits import until, until_answer

NOTICED_WITHIN_S = 2.0
BUSY_S = 6.0
BACK_WITHIN_S = 30.0


async def accept(address: StoreAddress, prefix: str, durability: Durability = Durability.FAST) -> None:
    store, keys = make_store(address, 5.0, durability), Keys(prefix, PARTITIONS)
    try:
        await store.open()
        data = DataSet(Executor(store, keys), DataCalls(keys), PARTITIONS)
        async with asyncio.timeout(BACK_WITHIN_S):
            while True:
                try:
                    assert await data.accept_loss() is not None
                except Unavailable:
                    await asyncio.sleep(0.2)
                else:
                    return
    finally:
        await store.close()


async def takes(node: MemberNode, partition: int, job_id: str) -> bool:
    """A job of this partition is taken."""
    try:
        await node.enqueue(job_in(partition, job_id))
    except (Unavailable, AssertionError):
        return False
    return True


async def delivers(node: MemberNode, job_id: str) -> None:
    async with asyncio.timeout(BACK_WITHIN_S):
        while job_id not in [
            leased.job_id for leased in (await node.node.call(Dequeue(KIND, 10, 10**7))).jobs
        ]:
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_a_primary_that_comes_back_empty_under_its_sentinels_is_noticed(
    prefix: str, stopwatch: Stopwatch
) -> None:
    """It restarts sooner than they call it down, and its replicas copy the emptiness."""
    with running_sentinel_group() as group:
        async with running_nodes(group.address, prefix) as nodes:
            a, b = await nodes.join("a", "b")
            await until(lambda: agree(a, b))
            assert await takes(a, 1, "gone")
            primary = group.servers[0]
            await asyncio.to_thread(primary.kill)
            await asyncio.to_thread(primary.start)
            stopwatch.start()
            taken = 0
            while not (a.node.guard.whole_reason and b.node.guard.whole_reason):
                taken += await takes(a, 1, "refused")
                await asyncio.sleep(0.01)
                stopwatch.assert_within(NOTICED_WITHIN_S + BUSY_S)
            assert taken == 0, "nothing was acknowledged"
            assert not a.node.is_ready
            assert not b.node.is_ready
            await accept(group.address, prefix)
            await until(lambda: a.node.is_ready and b.node.is_ready and agree(a, b))
            assert await takes(a, 1, "after")
            await delivers(a if 1 in a.owned else b, "after")


@pytest.mark.slow
async def test_a_failover_to_a_replica_that_has_the_data_raises_no_alarm(prefix: str) -> None:
    with running_sentinel_group() as group:
        async with running_nodes(group.address, prefix) as nodes:
            (a,) = await nodes.join("a")
            assert await takes(a, 1, "kept")
            await until(lambda: group.servers[0].ask("WAIT", 2, 1000) is not None)
            await asyncio.to_thread(group.servers[0].kill)
            await until(lambda: not a.node.store.is_reachable)
            await until(lambda: a.node.is_ready)
            await delivers(a, "kept")
            await asyncio.to_thread(group.servers[0].start)
            await asyncio.to_thread(group.wait_until_replica, group.servers[0])
            assert await takes(a, 1, "on")
            await delivers(a, "on")
            assert a.node.guard.losses == 0
            assert a.node.is_ready


def partitions_of(cluster: RedisCluster, prefix: str, server: Member) -> tuple[set[int], bool]:
    """The partitions that a primary holds, and whether it holds the record."""
    slots = Keys(prefix, PARTITIONS).slots
    rows = server.ask("CLUSTER", "SLOTS")
    held = [range(first, last + 1) for first, last, (_, port, *_), *_ in rows if int(port) == server.port]
    found = {at for at in range(PARTITIONS) if any(slots[at] in each for each in held)}
    return found, any(slots[MEMBERS] in each for each in held)


@pytest.mark.slow
@pytest.mark.parametrize("with_record", [False, True])
async def test_one_wiped_primary_of_a_cluster_stops_its_partitions_only(
    prefix: str, with_record: bool, stopwatch: Stopwatch
) -> None:
    with running_cluster() as cluster:
        async with running_nodes(cluster.address, prefix) as nodes:
            a, b = await nodes.join("a", "b")
            await until(lambda: agree(a, b))
            views = [a.membership.view, b.membership.view]
            wiped = next(
                server
                for server in cluster.servers[:3]
                if partitions_of(cluster, prefix, server)[1] == with_record
            )
            lost, _ = partitions_of(cluster, prefix, wiped)
            stopwatch.start()
            wiped.ask("FLUSHALL")
            await until(lambda: a.node.guard.lost_partitions == b.node.guard.lost_partitions == len(lost))
            stopwatch.assert_within(NOTICED_WITHIN_S + BUSY_S)
            kept = set(range(PARTITIONS)) - lost
            for node in (a, b):
                assert any("should hold the data set" in text for text in node.node.store.inspector.notices)
                assert not node.node.is_ready
                assert node.node.why_not_ready is None
                assert not await takes(node, min(lost), "refused")
            for partition in (min(kept), max(kept)):
                assert await takes(a, partition, f"on-{partition}")
                await delivers(a if partition in a.owned else b, f"on-{partition}")
            assert [a.membership.view.members, b.membership.view.members] == [view.members for view in views]
            await accept(cluster.address, prefix)
            await until(lambda: a.node.is_ready and b.node.is_ready)
            # A call that meets a server in doubt is refused: nothing was done, and the next one may find it certain.
            await until_answer(lambda: takes(a, min(lost), "after"))
            await delivers(a if min(lost) in a.owned else b, "after")
            assert a.known == b.known == ["a", "b"]
            assert partition_of(KIND, "q", PARTITIONS) in range(PARTITIONS)
