"""A primary without its replica, where callers are promised one: what would begin something is refused at once, nothing
is used up by it, and all goes on by itself when a replica is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import generate_latest

from shard.node import NodeSettings
from sharq_core.errors import OutcomeUnknown, Unavailable
from sharq_core.link.messages import GetJob
from sharq_core.models import Enqueued, ExtendJob, FinishJob, JobState, LeasedJob, QueueKey
from sharq_core.partitions import partition_of
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.membership import MEMBERS
from sharq_core.store.replication.durability import Durability
from tests.support.load.history import NUMBER_DIGITS
from tests.support.nodes.parts import LEASE_US, Parts, job, queues_in_different_partitions, running_node
from tests.support.stores.groups import Member, Pair, running_pair
from tests.support.stores.redis_cluster import RedisCluster, running_cluster
from tests.support.stores.server import KINDS

KIND = "sms"
TIMEOUT_S = 2.0
DEADLINE_S = 60.0
HOUR_US = 3_600_000_000
PARTITIONS = 64


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with running_pair(request.param) as running:
        yield running


@pytest.fixture
async def parts(pair: Pair, prefix: str) -> AsyncIterator[Parts]:
    settings = NodeSettings(key_prefix=prefix)
    async with running_node(pair.primary.url, settings, TIMEOUT_S, Durability.REPLICATED) as running:
        yield running


@asynccontextmanager
async def frozen(replica: Member) -> AsyncIterator[None]:
    """The replica is connected, and takes nothing."""
    replica.pause()
    try:
        yield
    finally:
        replica.resume()


async def enqueue(parts: Parts, queue: str, job_id: str, **more: object) -> object:
    (outcome,) = await parts.dispatch.enqueue([job(KIND, queue, job_id, **more)])
    return outcome


async def break_promise(parts: Parts, queue: str = "victim") -> None:
    """One call finds out, and pays for it, that no replica follows."""
    assert isinstance(await enqueue(parts, queue, "victim", delay_us=HOUR_US), OutcomeUnknown)


async def until_kept(parts: Parts, queue: str = "victim") -> None:
    """Wait until calls are acknowledged again."""
    async with asyncio.timeout(DEADLINE_S):
        while not isinstance(await enqueue(parts, queue, "probe", delay_us=HOUR_US), Enqueued):
            await asyncio.sleep(0.02)


async def state_of(parts: Parts, queue: str, job_id: str) -> JobState | None:
    status = await parts.dispatch.route(GetJob(QueueKey(KIND, queue), job_id))
    return None if status is None else status.state


def metric(parts: Parts, name: str) -> list[float]:
    """The values of a metric, one a server."""
    lines = generate_latest(parts.registry).decode().splitlines()
    return [float(line.split()[-1]) for line in lines if line.startswith(name + "{")]


async def test_what_no_replica_would_have_is_refused_and_not_done_until_one_is_back(
    pair: Pair, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with frozen(pair.replica):
        await break_promise(parts)
        for number in range(20):
            refused = await enqueue(parts, "q", str(number))
            assert isinstance(refused, Unavailable), refused
            assert "no replica confirms" in refused.message
            assert await state_of(parts, "q", str(number)) is None
        assert metric(parts, "sharq_store_promises_kept") == [0]
        assert metric(parts, "sharq_store_refused_calls_total") == [20]
        assert caplog.text.count("promises_broken") == 1
    await until_kept(parts)
    assert metric(parts, "sharq_store_promises_kept") == [1]
    assert "promises_asked_again" in caplog.text


async def test_a_dequeue_refused_for_want_of_a_replica_uses_up_no_slot(pair: Pair, parts: Parts) -> None:
    assert isinstance(await enqueue(parts, "q", "a", interval_us=HOUR_US), Enqueued)
    async with frozen(pair.replica):
        await break_promise(parts)
        for _ in range(3):
            with pytest.raises(Unavailable):
                await parts.dequeue(KIND)
    await until_kept(parts)
    assert [leased.job_id for leased in await lease_all(parts, 1)] == ["a"]


async def lease_all(parts: Parts, count: int) -> list[LeasedJob]:
    leased: list[LeasedJob] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(leased) < count:
            leased += await parts.dequeue(KIND, count - len(leased), 1_000_000)
    return leased


async def test_leases_are_ended_and_made_longer_at_once_although_only_the_primary_knows(
    pair: Pair, parts: Parts
) -> None:
    assert isinstance(await enqueue(parts, "q", "a"), Enqueued)
    assert isinstance(await enqueue(parts, "q", "b"), Enqueued)
    first, second = await lease_all(parts, 2)
    async with frozen(pair.replica):
        await break_promise(parts)
        (ended,) = await parts.dispatch.finish([FinishJob(KIND, "q", first.job_id, first.lease)])
        assert isinstance(ended, OutcomeUnknown)
        assert await state_of(parts, "q", first.job_id) is JobState.FINISHED
        extension = ExtendJob(KIND, "q", second.job_id, second.lease, 10 * LEASE_US)
        (extended,) = await parts.dispatch.extend([extension])
        assert isinstance(extended, OutcomeUnknown)
        status = await parts.dispatch.route(GetJob(QueueKey(KIND, "q"), second.job_id))
        assert status is not None
        assert status.lease_expires_at_us is not None
        assert status.lease_expires_at_us > second.leased_until_us + LEASE_US


async def test_a_replica_that_was_killed_is_waited_for_and_counts_when_it_has_caught_up(
    pair: Pair, parts: Parts
) -> None:
    pair.replica.kill()
    await break_promise(parts)
    assert isinstance(await enqueue(parts, "q", "a"), Unavailable)
    pair.replica.start()
    assert isinstance(await enqueue(parts, "q", "b"), Unavailable)
    pair.replica.ask("REPLICAOF", "127.0.0.1", pair.primary.port)
    await until_kept(parts)


async def test_a_primary_whose_connections_break_meanwhile_is_asked_over_new_ones(
    pair: Pair, parts: Parts
) -> None:
    pair.replica.kill()
    await break_promise(parts)
    pair.primary.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert isinstance(await enqueue(parts, "q", "a"), Unavailable)
    pair.replica.start()
    pair.replica.ask("REPLICAOF", "127.0.0.1", pair.primary.port)
    await until_kept(parts)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_other_partitions_are_leased_from_while_one_primary_lacks_its_replica(
    prefix: str, fault: str
) -> None:
    """Each job's queue gives one an hour: a slot that is used up would show."""
    with running_cluster() as cluster:
        settings = NodeSettings(key_prefix=prefix)
        async with running_node(cluster.address, settings, TIMEOUT_S, Durability.REPLICATED) as parts:
            held, others = split_queues(cluster, prefix)
            assert held
            assert others
            for queue in (*held, *others):
                assert isinstance(await enqueue(parts, queue, "a", interval_us=HOUR_US), Enqueued)
            replica = replica_of(cluster)
            (replica.kill if fault == "killed" else replica.pause)()
            await break_promise(parts, held[0])
            leased = await lease_all(parts, len(others))
            assert {one.queue_id for one in leased} == set(others)
            with pytest.raises(Unavailable):
                await parts.dequeue(KIND)
            (replica.start if fault == "killed" else replica.resume)()
            await until_kept(parts, held[0])
            assert {one.queue_id for one in await lease_all(parts, len(held))} == set(held)


@pytest.mark.slow
async def test_a_dequeue_is_answered_with_the_kept_leases_and_the_others_are_given_back(prefix: str) -> None:
    """A void lease leaves a gap in the numbers of its partition's leases, and its attempt is not counted."""
    with running_cluster() as cluster:
        settings = NodeSettings(key_prefix=prefix)
        async with running_node(cluster.address, settings, TIMEOUT_S, Durability.REPLICATED) as parts:
            held, others = split_queues(cluster, prefix)
            for queue in (*held, *others):
                assert isinstance(await enqueue(parts, queue, "a"), Enqueued)
            async with frozen(replica_of(cluster)):
                leased = await parts.dequeue(KIND, len(held) + len(others))
                assert {one.queue_id for one in leased} == set(others)
                async with asyncio.timeout(DEADLINE_S):
                    while {await state_of(parts, queue, "a") for queue in held} != {JobState.QUEUED}:
                        await asyncio.sleep(0.02)
            await until_kept(parts, held[0])
            leased_again = await lease_all(parts, len(held))
            assert {one.queue_id for one in leased_again} == set(held)
            assert {(one.attempt, number_of(one)) for one in leased} == {(1, 1)}
            assert {(one.attempt, number_of(one)) for one in leased_again} == {(1, 2)}


def number_of(leased: LeasedJob) -> int:
    """The lease's number in its partition, as tests/support/load/history.py reads it."""
    return int(leased.lease[:NUMBER_DIGITS], 16)


@pytest.mark.slow
async def test_a_node_serves_when_a_replica_has_the_number_of_partitions(prefix: str) -> None:
    """On a Redis Cluster it is not where the jobs are, so that no promise to them covers it."""
    with running_cluster() as cluster:
        holder = cluster.slots.owner(Keys(prefix, PARTITIONS).slots[MEMBERS])
        replica = cluster.servers[cluster.servers.index(holder) + 3]
        settings = NodeSettings(key_prefix=prefix)
        replica.pause()
        async with running_node(cluster.address, settings, TIMEOUT_S, Durability.REPLICATED) as parts:
            assert holder.ask("GET", Keys(prefix, PARTITIONS).partition_count) == b"64"
            assert not parts.node.is_ready
            replica.resume()
            async with asyncio.timeout(DEADLINE_S):
                await parts.node.until_open()
            assert isinstance(await enqueue(parts, "q", "a"), Enqueued)


async def test_a_number_of_partitions_that_was_there_is_waited_for_too(
    pair: Pair, parts: Parts, prefix: str
) -> None:
    """Nobody knows whether whoever wrote it heard of a replica."""
    assert parts.node.is_ready
    settings = NodeSettings(key_prefix=prefix)
    pair.replica.pause()
    async with running_node(pair.primary.url, settings, TIMEOUT_S, Durability.REPLICATED) as another:
        assert not another.node.is_ready
        pair.replica.resume()
        async with asyncio.timeout(DEADLINE_S):
            await another.node.until_open()


def split_queues(cluster: RedisCluster, prefix: str) -> tuple[list[str], list[str]]:
    """Queues on the first primary, and on the others."""
    slots = Keys(prefix, PARTITIONS).slots
    first = cluster.slots.node_id(cluster.servers[0])
    held: list[str] = []
    others: list[str] = []
    for queue in queues_in_different_partitions(KIND, 24):
        owner = cluster.slots.owner(slots[partition_of(KIND, queue, PARTITIONS)])
        (held if cluster.slots.node_id(owner) == first else others).append(queue)
    return held, others


def replica_of(cluster: RedisCluster) -> Member:
    """The replica of the first primary."""
    return cluster.servers[3]
