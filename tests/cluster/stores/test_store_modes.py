"""A Sentinel group, a Redis Cluster and servers with TLS as the store of a node: every call works on each, and the node
comes back by itself from what goes wrong in them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from router.shards.walks.unread import Unread
from shard.node import NodeSettings
from shard.store_factory import make_store
from sharq_core.config import StoreAddress, StoreMode
from sharq_core.errors import SharqError, Unavailable
from sharq_core.job_life import DeadRef, RedriveStatus
from sharq_core.link.messages import DeleteQueue, GetJob, GetQueue, SetPaused, SetRate
from sharq_core.models import (
    DeletedQueue,
    Enqueued,
    EnqueueStatus,
    ExtendJob,
    FinishJob,
    JobState,
    LeasedJob,
    LeaseOutcome,
    LeaseStatus,
    QueueKey,
    ReleaseJob,
)
from sharq_core.partitions import partition_of
from sharq_core.scheduler.keys import Keys
from sharq_core.store.store import Store
from sharq_core.store.topology.layout import SLOTS
from tests.support.extent import is_full
from tests.support.load.ledger import CLOSE_S, kept_books
from tests.support.nodes.parts import PATIENT_S, Parts, job, queues_in_different_partitions, running_node
from tests.support.ports import free_port
from tests.support.stores.groups import (
    OPEN,
    Member,
    Security,
    make_certificates,
    running_member,
    running_sentinel_group,
)
from tests.support.stores.redis_cluster import RedisCluster, running_cluster
from tests.support.stores.server import StoreFactory
from tests.support.waits import until

KIND = "sms"
PARTITIONS = 64
LONG_US = 60_000_000
"""A lease that does not end while a test runs, so that each job is delivered once."""

BACK_WITHIN_S = 30.0
"""A failover takes these servers about five seconds, and more on a machine that is busy with other tests."""

DONE = LeaseOutcome(LeaseStatus.DONE)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls") / "certificates")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    """A shared Cluster: slots may be moved in it and the library dropped, nothing else."""
    with running_cluster() as running:
        yield running


@pytest.fixture(
    scope="module",
    params=["sentinel", "cluster", "secured server", "secured sentinel", "secured cluster"],
)
def address(request: pytest.FixtureRequest) -> Iterator[StoreAddress]:
    """A store of each kind: open ones on Valkey; those with user, password and TLS on the machine's Redis."""
    kind: str = request.param
    with ExitStack() as stack:
        if kind == "cluster":
            yield request.getfixturevalue("cluster").address
        elif kind == "sentinel":
            yield stack.enter_context(running_sentinel_group()).address
        else:
            security = Security("sharq", certificates=request.getfixturevalue("certificates"))
            yield _secured_address(kind, security, stack)


def _secured_address(kind: str, security: Security, stack: ExitStack) -> StoreAddress:
    if kind == "secured server":
        server = stack.enter_context(running_member("redis", security))
        return security.place(StoreMode.SERVER, server.port)
    if kind == "secured sentinel":
        return stack.enter_context(running_sentinel_group("redis", security)).address
    return stack.enter_context(running_cluster("redis", security)).address


@pytest.fixture
async def parts(address: StoreAddress, prefix: str) -> AsyncIterator[Parts]:
    async with running_node(address, NodeSettings(key_prefix=prefix), PATIENT_S) as running:
        # Sentinels on a busy machine may not answer in time at first; the node then tries on in the background.
        await until(lambda: running.node.is_ready)
        yield running


def queues_everywhere(queue_type: str = KIND) -> list[str]:
    """Ids of 32 queues in partitions spread over all."""
    queues = queues_in_different_partitions(queue_type, PARTITIONS)
    return sorted(queues, key=lambda queue: partition_of(queue_type, queue, PARTITIONS))[::2]


def slot_of_queue(queue: str, prefix: str, queue_type: str = KIND) -> int:
    return Keys(prefix, PARTITIONS).slots[partition_of(queue_type, queue, PARTITIONS)]


async def enqueue_everywhere(parts: Parts, queues: Sequence[str]) -> None:
    outcomes = await parts.dispatch.enqueue([job(KIND, queue, "a", requeue_limit=0) for queue in queues])
    assert outcomes == [Enqueued(EnqueueStatus.QUEUED, 0)] * len(queues)


async def dequeue_all(parts: Parts, count: int, lease_us: int = 60_000_000) -> list[LeasedJob]:
    leased: list[LeasedJob] = []
    async with asyncio.timeout(BACK_WITHIN_S):
        while len(leased) < count:
            leased += await parts.dequeue(KIND, count - len(leased), 1_000_000, lease_us)
    return leased


async def until_served(parts: Parts, queues: Sequence[str]) -> None:
    """Wait until every queue takes a job."""
    left = list(queues)
    async with asyncio.timeout(BACK_WITHIN_S):
        while left:
            outcomes = await parts.dispatch.enqueue([job("probe", queue, "j") for queue in left])
            left = [q for q, outcome in zip(left, outcomes, strict=True) if isinstance(outcome, SharqError)]
            await asyncio.sleep(0.02)


async def test_the_verbs_of_a_job_work_on_every_store(parts: Parts) -> None:
    queues = queues_everywhere()
    await enqueue_everywhere(parts, queues)
    leased = await dequeue_all(parts, len(queues))
    assert {one.queue_id for one in leased} == set(queues)
    extensions = [ExtendJob(KIND, one.queue_id, one.job_id, one.lease, 90_000_000) for one in leased]
    extended = await parts.dispatch.extend(extensions)
    assert {outcome.status for outcome in extended if isinstance(outcome, LeaseOutcome)} == {LeaseStatus.DONE}
    voids = [ReleaseJob(KIND, one.queue_id, one.job_id, one.lease, is_void=True) for one in leased]
    assert await parts.dispatch.release(voids) == [DONE] * len(queues)
    again = await dequeue_all(parts, len(queues))
    ends = [FinishJob(KIND, one.queue_id, one.job_id, one.lease) for one in again]
    assert await parts.dispatch.finish(ends) == [DONE] * len(queues)
    for queue in queues:
        status = await parts.dispatch.route(GetJob(QueueKey(KIND, queue), "a"))
        assert status is not None
        assert status.state is JobState.FINISHED


async def test_the_verbs_of_a_queue_work_on_every_store(parts: Parts) -> None:
    queues = queues_everywhere()
    await enqueue_everywhere(parts, queues)
    found = [name async for page in parts.dispatch.list_queues(KIND, 1000, None).pages() for name in page]
    assert sorted(found) == sorted(queues)
    counts = await parts.dispatch.counts(Unread(parts.dispatch.partitions))
    assert {queue_type for part in counts for queue_type in part.queue_types} == {KIND}
    assert sum(count for part in counts for _, count in part.enqueue_counts) == len(queues)
    for queue in queues:
        key = QueueKey(KIND, queue)
        assert await parts.dispatch.route(SetRate(key, 60_000_000, None, None))
        assert await parts.dispatch.route(SetPaused(key, True))
        stats = await parts.dispatch.route(GetQueue(key))
        assert (stats.interval_us, stats.is_paused, stats.queued) == (60_000_000, True, 1)
        assert await parts.dispatch.route(DeleteQueue(key, False)) == DeletedQueue(1)
    await parts.dispatch.check_store()


async def test_dead_letters_are_made_kept_and_redriven_on_every_store(parts: Parts) -> None:
    queues = queues_everywhere()
    await enqueue_everywhere(parts, queues)
    await dequeue_all(parts, len(queues), lease_us=100_000)
    async with asyncio.timeout(BACK_WITHIN_S):
        while len((await parts.dispatch.list_dead(KIND, 1000, None, "", Unread(1)))[0]) < len(queues):
            await asyncio.sleep(0.05)
    redriven = await parts.dispatch.redrive([DeadRef(KIND, queue, "a") for queue in queues[:4]])
    assert redriven == [RedriveStatus.QUEUED] * 4
    assert await parts.dispatch.dead_walk(KIND).drop() == len(queues) - 4


@pytest.mark.parametrize("kind", ["valkey", "redis"])
async def test_one_server_that_is_a_node_of_a_cluster_leads_to_the_whole_of_it(
    request: pytest.FixtureRequest, prefix: str, kind: str
) -> None:
    with ExitStack() as stack:
        is_shared = kind == "valkey"
        group: RedisCluster = (
            request.getfixturevalue("cluster") if is_shared else stack.enter_context(running_cluster(kind))
        )
        async with running_node(group.servers[4].url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
            assert parts.node.store.mode == "cluster"
            queues = queues_everywhere()
            await enqueue_everywhere(parts, queues)
            assert len(await dequeue_all(parts, len(queues))) == len(queues)


async def test_the_cluster_of_one_server_is_read_again_when_its_slots_move(
    cluster: RedisCluster, prefix: str
) -> None:
    """No call is about the moved slot, so only a new reading of the layout shows its owner."""
    source, target, *_ = cluster.slots.primaries()
    used = {*Keys(prefix, PARTITIONS).slots}
    later = range(cluster.slots.first_of(source), SLOTS)
    slot = next(slot for slot in later if slot not in used and cluster.slots.owner(slot) is source)
    async with running_node(cluster.servers[4].url, NodeSettings(key_prefix=prefix)) as parts:
        await asyncio.to_thread(cluster.slots.move_whole, slot, slot, target)

        def has_followed() -> bool:
            owner = parts.node.store.node_of(slot)
            return owner is not None and owner.name.endswith(f":{target.port}")

        await until(has_followed)


async def test_a_server_that_may_not_say_that_it_is_a_clusters_gets_no_joint_calls(
    own_store: StoreFactory, prefix: str
) -> None:
    """It would refuse them: their keys are of several slots."""
    server = own_store("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        client.execute_command("ACL", "SETUSER", "default", "-info")
        await until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
    async with running_node(server.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        assert parts.node.store.mode == "single"
        queues = queues_everywhere()
        await enqueue_everywhere(parts, queues)
        assert len(await dequeue_all(parts, len(queues))) == len(queues)


async def test_sentinels_that_ask_for_no_password_lead_to_a_primary_that_does(prefix: str) -> None:
    with running_sentinel_group(security=Security("sharq"), guard=OPEN) as group:
        async with running_node(group.address, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
            await enqueue_everywhere(parts, queues_everywhere())


@asynccontextmanager
async def closed_store(address: StoreAddress) -> AsyncIterator[Store]:
    """A store that is not open, and closed at the end."""
    store = make_store(address, 2.0)
    try:
        yield store
    finally:
        await store.close()


async def test_a_wrong_password_is_said_and_not_shown() -> None:
    with running_member("valkey", Security("sharq")) as server:
        address = Security("sharq", "wrong-one").place(StoreMode.SERVER, server.port)
        async with closed_store(address) as store:
            with pytest.raises(Unavailable, match="password") as refused:
                await store.open()
            assert "wrong-one" not in refused.value.message


async def test_a_certificate_of_another_authority_is_refused(certificates: Path, tmp_path: Path) -> None:
    others = make_certificates(tmp_path / "others")
    with running_member("redis", Security(certificates=certificates)) as server:
        address = Security(certificates=others).place(StoreMode.SERVER, server.port)
        async with closed_store(address) as store:
            with pytest.raises(Unavailable, match="certificate"):
                await store.open()


async def test_sentinels_that_do_not_know_the_service_are_named_with_the_reason(
    own_store: StoreFactory,
) -> None:
    address = StoreAddress(
        mode=StoreMode.SENTINEL,
        servers=OPEN.place(StoreMode.SERVER, own_store().port).servers,
        sentinel_service="main",
    )
    async with closed_store(address) as store:
        with pytest.raises(Unavailable, match="no Sentinel names a primary"):
            await store.open()


@pytest.mark.slow
async def test_a_killed_primary_is_replaced_by_the_sentinels(prefix: str) -> None:
    with running_sentinel_group() as group:
        async with running_node(group.address, NodeSettings(key_prefix=prefix)) as parts:
            queues = queues_everywhere()
            async with kept_books(parts, queues, KIND) as load:
                await until(lambda: len(load.acknowledged) > 100)
                group.servers[0].kill()
                await until_served(parts, queues)
                failed, before = len(load.failures), len(load.acknowledged)
                await until(lambda: len(load.acknowledged) > before + 300)
                assert load.failures[failed:] == []
            assert parts.node.is_ready
            assert await parts.dequeue(KIND) == []


@pytest.mark.slow
async def test_a_primary_that_hangs_is_replaced_and_does_no_harm_when_it_comes_back(prefix: str) -> None:
    """A black hole gives no error: only the timeout makes the node ask again."""
    with running_sentinel_group() as group:
        hung = group.servers[0]
        async with running_node(group.address, NodeSettings(key_prefix=prefix)) as parts:
            queues = queues_everywhere()
            await enqueue_everywhere(parts, queues)
            hung.pause()
            await until_served(parts, queues)
            async with kept_books(parts, queues, "later") as load:
                hung.resume()
                await asyncio.to_thread(group.wait_until_replica, hung)
                before = len(load.acknowledged)
                await until(lambda: len(load.acknowledged) > before + 100)
            assert load.failures == []


@pytest.mark.slow
@pytest.mark.parametrize("end", ["killed", "paused"])
async def test_a_clusters_primary_that_is_gone_is_replaced_and_the_other_partitions_go_on(
    prefix: str, end: str
) -> None:
    with running_cluster() as cluster:
        async with running_node(cluster.address, NodeSettings(key_prefix=prefix)) as parts:
            lost = cluster.servers[0]
            queues = queues_everywhere()
            others = [q for q in queues if cluster.slots.owner(slot_of_queue(q, prefix)) is not lost]
            async with kept_books(parts, others, KIND, LONG_US) as load:
                await until(lambda: len(load.acknowledged) > 50)
                if end == "killed":
                    lost.kill()
                else:
                    lost.pause()
                before = len(load.acknowledged)
                await until_served(parts, queues_everywhere("probe"))
                assert len(load.acknowledged) > before + 50
            assert load.failures == []
            assert load.flaws == set()


async def test_primaries_that_lost_the_library_get_it_again_under_load(
    cluster: RedisCluster, prefix: str
) -> None:
    async with (
        running_node(cluster.address, NodeSettings(key_prefix=prefix), PATIENT_S) as parts,
        kept_books(parts, queues_everywhere(), KIND, LONG_US) as load,
    ):
        for server in cluster.servers[:3] * 5:
            await asyncio.to_thread(server.ask, "FUNCTION", "FLUSH")
            before = len(load.acknowledged)
            await until(lambda before=before: len(load.acknowledged) > before + 50)  # type: ignore[misc]
    assert load.failures == []
    assert load.flaws == set()


@pytest.mark.slow
async def test_slots_that_are_moved_key_by_key_fail_no_request(cluster: RedisCluster, prefix: str) -> None:
    """TRYAGAIN while a partition's keys are in two places, ASK and MOVED after; order within a queue is kept (I3)."""
    await _move_under_load(cluster, prefix, cluster.slots.move_by_keys)


@pytest.mark.slow
async def test_slots_that_are_moved_whole_fail_no_request(cluster: RedisCluster, prefix: str) -> None:
    await _move_under_load(cluster, prefix, lambda slot, target: cluster.slots.move_whole(slot, slot, target))


async def _move_under_load(cluster: RedisCluster, prefix: str, move: Callable[[int, Member], None]) -> None:
    """Move the slots of some queues, and of the deployment's own keys, to primaries that lack the library."""
    queues = queues_everywhere()
    moved = queues[::3] if is_full() else queues[::6]
    slots = [*(slot_of_queue(queue, prefix) for queue in moved), Keys(prefix, PARTITIONS).slots[-1]]
    async with (
        running_node(cluster.address, NodeSettings(key_prefix=prefix), PATIENT_S) as parts,
        kept_books(parts, queues, KIND, LONG_US, CLOSE_S) as load,
    ):
        await until(lambda: len(load.acknowledged) > 300)
        for slot in slots:
            targets = [
                server for server in cluster.slots.primaries() if server is not cluster.slots.owner(slot)
            ]
            await asyncio.to_thread(targets[0].ask, "FUNCTION", "FLUSH")
            await asyncio.to_thread(move, slot, targets[0])
        before = len(load.acknowledged)
        await until(lambda: len(load.acknowledged) > before + 300)
    assert load.failures == []
    assert load.flaws == set()
