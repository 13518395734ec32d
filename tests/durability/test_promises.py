"""The promise of an answer: with a durability above `fast` no caller is told of work that no replica has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from router.shards.walks.unread import Unread
from shard.node import NodeSettings
from sharq_core.errors import ConfigError, OutcomeUnknown, SharqError, Unavailable
from sharq_core.job_life import DeadRef, RedriveStatus
from sharq_core.link.messages import DeleteQueue, GetJob, GetQueue, Member, SetPaused, SetRate
from sharq_core.models import (
    Enqueued,
    EnqueueStatus,
    ExtendJob,
    FinishJob,
    JobState,
    LeasedJob,
    LeaseOutcome,
    LeaseStatus,
    NewJob,
    QueueKey,
    ReleaseJob,
)
from sharq_core.scheduler import library
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.membership import MembershipCalls
from sharq_core.store.replication.durability import Durability
from tests.support.extent import CHOSEN_KINDS
from tests.support.nodes.parts import LEASE_US, Parts, job, running_node
from tests.support.stores.groups import Pair, running_pair
from tests.support.stores.server import KINDS
from tests.support.waits import until

KIND = "sms"
QUEUE = QueueKey(KIND, "q")
QUEUED, DUPLICATE = Enqueued(EnqueueStatus.QUEUED, 0), EnqueueStatus.DUPLICATE
DONE = LeaseOutcome(LeaseStatus.DONE)
DIED = LeaseOutcome(LeaseStatus.DONE, is_dead=True)

PATIENT_S = 20.0
"""The store's timeout where a test looks at what goes on while a call waits for a replica."""

QUICK_S = 2.0
"""And where it waits for the wait's end."""

SYNCED_S = 5.0
"""A replica says once a second what it has on disk."""

WITH_AOF = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A primary and its replica, which a test may freeze as long as it goes on."""
    with running_pair(request.param) as running:
        yield running


@pytest.fixture
async def parts(pair: Pair, prefix: str) -> AsyncIterator[Parts]:
    async with running_node(
        pair.primary.url, NodeSettings(key_prefix=prefix), QUICK_S, Durability.REPLICATED
    ) as running:
        yield running


@contextmanager
def without_replica(pair: Pair) -> Iterator[None]:
    """The replica is connected, and takes nothing; afterwards it has caught up."""
    pair.replica.pause()
    try:
        yield
    finally:
        pair.replica.resume()
    with pair.primary.client(timeout_s=30) as client:
        client.set("caught up", "")
        assert client.wait(1, 20_000) == 1


async def enqueue(parts: Parts, *job_ids: str, queue: str = "q", **more: object) -> list[object]:
    return [*await parts.dispatch.enqueue([job(KIND, queue, job_id, **more) for job_id in job_ids])]


async def enqueue_until_kept(parts: Parts, job_id: str, delay_us: int = 0) -> Enqueued:
    """Repeat an enqueue until it is acknowledged: a replica counts only when it has caught up, and where its disk is
    asked for, when it has rewritten its file.
    """
    async with asyncio.timeout(30):
        while True:
            (outcome,) = await enqueue(parts, job_id, repeat=True, delay_us=delay_us)
            if isinstance(outcome, Enqueued):
                return outcome
            await asyncio.sleep(0.02)


async def lease(parts: Parts, count: int = 1, lease_us: int = LEASE_US) -> list[LeasedJob]:
    """Exactly so many jobs."""
    leased: list[LeasedJob] = []
    async with asyncio.timeout(30):
        while len(leased) < count:
            leased += await parts.dequeue(KIND, count - len(leased), 1_000_000, lease_us)
    return leased


async def outcome_of(work: Awaitable[object]) -> object:
    """Return the outcome of a call, or of the only job of a bulk call."""
    try:
        outcome = await work
    except SharqError as error:
        return error
    return outcome[0] if isinstance(outcome, list) else outcome


def finish(one: LeasedJob) -> FinishJob:
    return FinishJob(KIND, one.queue_id, one.job_id, one.lease)


async def test_every_verb_is_answered_while_a_replica_follows(parts: Parts) -> None:
    assert await enqueue(parts, "a", "b", "c", "d", requeue_limit=0) == [
        Enqueued(EnqueueStatus.QUEUED, before) for before in range(4)
    ]
    first, second, third = await lease(parts, 3)
    assert await parts.dispatch.finish([finish(first)]) == [DONE]
    extension = ExtendJob(KIND, "q", second.job_id, second.lease, LEASE_US)
    assert isinstance(extended := (await parts.dispatch.extend([extension]))[0], LeaseOutcome)
    assert extended.status is LeaseStatus.DONE
    assert await parts.dispatch.release([ReleaseJob(KIND, "q", third.job_id, third.lease)]) == [DIED]
    assert await parts.dispatch.redrive([DeadRef(KIND, "q", third.job_id)]) == [RedriveStatus.QUEUED]
    assert await parts.dispatch.route(SetRate(QUEUE, 1000))
    assert await parts.dispatch.route(SetPaused(QUEUE, True))
    assert (await parts.dispatch.route(DeleteQueue(QUEUE, False))).cancelled == 2
    assert await parts.dispatch.dead_walk(KIND).drop() == 0


async def test_an_enqueue_that_no_replica_has_is_not_acknowledged(pair: Pair, parts: Parts) -> None:
    with without_replica(pair):
        (outcome,) = await enqueue(parts, "a")
        assert isinstance(outcome, OutcomeUnknown)
        (again,) = await enqueue(parts, "a")
        assert isinstance(again, Unavailable)
    repeated = await enqueue_until_kept(parts, "a")
    assert repeated.status is DUPLICATE


async def test_a_dequeue_that_no_replica_has_hands_nothing_out_and_counts_no_attempt(
    pair: Pair, parts: Parts
) -> None:
    assert await enqueue(parts, "a", requeue_limit=0) == [QUEUED]
    for _ in range(2):
        await enqueue_until_kept(parts, "probe", delay_us=LEASE_US)
        with without_replica(pair):
            with pytest.raises(OutcomeUnknown):
                await parts.dequeue(KIND, wait_us=30_000_000)
            await until_state(parts, "a", JobState.QUEUED)
    await enqueue_until_kept(parts, "probe", delay_us=LEASE_US)
    (leased,) = await lease(parts)
    assert (leased.job_id, leased.attempt) == ("a", 1)


async def until_state(parts: Parts, job_id: str, state: JobState) -> None:
    async with asyncio.timeout(30):
        while (
            status := await parts.dispatch.route(GetJob(QUEUE, job_id))
        ) is None or status.state is not state:
            await asyncio.sleep(0.01)


CHANGES: dict[str, Callable[[Parts, LeasedJob, LeasedJob], Awaitable[object]]] = {
    "finish": lambda parts, live, _: parts.dispatch.finish([finish(live)]),
    "finish with a result": lambda parts, live, _: parts.dispatch.finish(
        [FinishJob(KIND, "q", live.job_id, live.lease, result=b"1")]
    ),
    "extend": lambda parts, live, _: parts.dispatch.extend(
        [ExtendJob(KIND, "q", live.job_id, live.lease, LEASE_US)]
    ),
    "release": lambda parts, live, _: parts.dispatch.release(
        [ReleaseJob(KIND, "q", live.job_id, live.lease)]
    ),
    "redrive": lambda parts, _, dead: parts.dispatch.redrive([DeadRef(KIND, "q", dead.job_id)]),
    "drop dead": lambda parts, _live, _dead: parts.dispatch.dead_walk(KIND).drop(),
    "interval": lambda parts, _live, _dead: parts.dispatch.route(SetRate(QUEUE, 5000)),
    "pause": lambda parts, _live, _dead: parts.dispatch.route(SetPaused(QUEUE, True)),
    "delete": lambda parts, _live, _dead: parts.dispatch.route(DeleteQueue(QUEUE, True)),
    "enqueue": lambda parts, _live, _dead: enqueue(parts, "new"),
}


@pytest.mark.parametrize("pair", CHOSEN_KINDS, indirect=True, scope="module")
@pytest.mark.parametrize("verb", CHANGES)
async def test_a_change_and_its_repeat_are_perhaps_done_while_no_replica_has_them(
    pair: Pair, parts: Parts, verb: str
) -> None:
    """The repeat may find nothing left to change: that too is known to the primary alone. It comes by a connection of
    its own, since a WAIT covers only what its connection wrote.
    """
    await enqueue(parts, "dead", "live", "waits", requeue_limit=0)
    dead, live = await lease(parts, 2)
    assert await parts.dispatch.release([ReleaseJob(KIND, "q", dead.job_id, dead.lease)]) == [DIED]
    settings = parts.node.settings
    async with running_node(pair.primary.url, settings, QUICK_S, Durability.REPLICATED) as another:
        with without_replica(pair):
            for node in (parts, another):
                outcome = await outcome_of(CHANGES[verb](node, live, dead))
                assert isinstance(outcome, OutcomeUnknown), outcome


def test_every_function_that_a_caller_is_answered_from_is_promised_or_a_read() -> None:
    """The remaining functions are those that a node calls for itself."""
    rest = {
        one.name for one in library.FUNCTIONS if not one.is_read and one.wire_name not in library.PROMISED
    }
    assert rest == {
        "reap",
        "turn",
        "trim_results",
        "fire_schedule",
        "move_schedule",
        "forget_schedule",
        "drop_batches",
        "put_periods",
        "touch",
        "cap_take",
        "cap_return",
        "cap_correct",
        "cap_settle",
        "cap_renew",
        "set_clock",
        "look_at_data",
        "check_partition",
        "heartbeat",
        "leave",
    }


async def test_reads_and_heartbeats_are_not_behind_calls_that_wait_for_a_replica(
    pair: Pair, prefix: str
) -> None:
    settings = NodeSettings(key_prefix=prefix)
    async with running_node(pair.primary.url, settings, PATIENT_S, Durability.REPLICATED) as parts:
        assert await enqueue(parts, "a") == [QUEUED]
        with without_replica(pair):
            waiting = []
            for number in range(10):
                waiting.append(asyncio.create_task(enqueue(parts, f"b{number}", queue=f"q{number}")))
                await asyncio.sleep(0)
            assert (await parts.dispatch.route(GetQueue(QUEUE))).queued == 1
            assert {one for part in await parts.dispatch.counts(Unread(64)) for one in part.queue_types} == {
                KIND
            }
            executor, calls = Executor(parts.node.store, Keys(prefix, 64)), MembershipCalls(Keys(prefix, 64))
            for _ in range(10):
                await executor.one(calls.heartbeat(Member("n", "1", "n:1"), 5_000_000))
            assert not any(task.done() for task in waiting)
        assert await asyncio.gather(*waiting) == [[QUEUED]] * 10


async def test_a_primary_that_misses_its_replicas_refuses_before_it_writes(prefix: str) -> None:
    """min-replicas-to-write: nothing was done, and the caller is told so."""
    with running_pair("valkey", "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2") as pair:
        settings = NodeSettings(key_prefix=prefix)
        async with running_node(pair.primary.url, settings, QUICK_S, Durability.REPLICATED) as parts:
            assert await enqueue(parts, "a") == [QUEUED]
            (leased,) = await lease(parts)
            pair.replica.kill()
            await until(lambda: b"min_slaves_good_slaves:0" in pair.primary.ask("INFO", "replication"))
            for (refused,) in (await enqueue(parts, "b"), await parts.dispatch.finish([finish(leased)])):
                assert isinstance(refused, Unavailable)
                assert "NOREPLICAS" in refused.message
            async with asyncio.timeout(30):
                while promises_kept(parts) != 0:
                    await asyncio.sleep(0.05)


def promises_kept(parts: Parts) -> float | None:
    """The gauge, of the only server."""
    (node,) = parts.node.store.nodes()
    return parts.registry.get_sample_value("sharq_store_promises_kept", {"server": node.name})


async def test_synced_answers_when_both_servers_have_it_on_disk(prefix: str) -> None:
    with running_pair("valkey", *WITH_AOF) as pair:
        settings = NodeSettings(key_prefix=prefix)
        async with running_node(pair.primary.url, settings, SYNCED_S, Durability.SYNCED) as parts:
            await enqueue_until_kept(parts, "a")
            (leased,) = await lease(parts)
            pair.replica.ask("CONFIG", "SET", "appendonly", "no")
            (outcome,) = await parts.dispatch.finish([finish(leased)])
            assert isinstance(outcome, OutcomeUnknown)
            pair.replica.ask("CONFIG", "SET", "appendonly", "yes")
            await until_kept(parts, finish(leased))


async def until_kept(parts: Parts, end: FinishJob) -> None:
    """Wait until a finish, repeated, is acknowledged."""
    async with asyncio.timeout(30):
        while await parts.dispatch.finish([end]) != [DONE]:
            await asyncio.sleep(0.05)


async def test_synced_is_refused_on_a_redis_that_has_no_waitaof(prefix: str) -> None:
    with running_pair("redis", *WITH_AOF) as pair:
        if redis_version(pair) >= (7, 2):
            pytest.skip("this machine's redis-server has WAITAOF")
        with pytest.raises(
            ConfigError, match=r"Redis 7\.0\.\d+ is too old: durability synced .* needs Redis 7\.2"
        ):
            async with running_node(
                pair.primary.url, NodeSettings(key_prefix=prefix), SYNCED_S, Durability.SYNCED
            ):
                raise AssertionError


def redis_version(pair: Pair) -> tuple[int, ...]:
    info: bytes = pair.primary.ask("INFO", "server")
    text = info.partition(b"redis_version:")[2].split()[0].decode()
    return tuple(int(part) for part in text.split(".")[:2])


async def test_a_replica_that_comes_back_makes_the_store_whole_without_a_restart(
    pair: Pair, parts: Parts
) -> None:
    with without_replica(pair):
        assert isinstance((await enqueue(parts, "a"))[0], OutcomeUnknown)
    await enqueue_until_kept(parts, "a")
    jobs: list[NewJob] = [job(KIND, "other", str(number)) for number in range(5)]
    outcomes = await parts.dispatch.enqueue(jobs)
    assert [one.status for one in outcomes if isinstance(one, Enqueued)] == [EnqueueStatus.QUEUED] * 5
    await until(lambda: parts.node.is_ready)
