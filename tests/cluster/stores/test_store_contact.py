"""One shard of a cluster loses the store, for good, into a black hole, or again and again: the others serve."""

from __future__ import annotations

import asyncio
import itertools
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from sharq_core.config import parse_url
from sharq_core.scheduler.keys import slot_of
from sharq_core.store.topology.layout import SLOTS
from tests.support.network.tcp_proxy import TcpProxy, running_tcp_proxy
from tests.support.processes.servers import SharqCluster, SharqProcess, get_json, serving
from tests.support.stopwatch import Stopwatch
from tests.support.stores.redis_cluster import RedisCluster, running_cluster
from tests.support.stores.server import StoreFactory, StoreServer
from tests.support.waits import wait_until

pytestmark = pytest.mark.slow

FAILURES_END_WITHIN_S = 1.0
SLACK_S = 1.0
"""The time by which a busy machine may be late."""

BEFORE_S = 1.0
AFTER_S = 6.0
BACK_WITHIN_S = 60.0
QUEUES = [f"q{number}" for number in range(40)]
"""In about half of all partitions, of each shard."""


class Failure(msgspec.Struct, frozen=True):
    """A request that failed; times by time.monotonic."""

    began_s: float
    ended_s: float
    verb: str
    status: int


class Load:
    """Clients of two routers and two shards, the second of which is cut off later.

    Attributes:
        failures: so far.
        delivered: the queues of the jobs that were leased, and when.
    """

    def __init__(self, cluster: SharqCluster, cut_off: SharqProcess) -> None:
        self.cluster = cluster
        self.cut_off = cut_off
        self.kind = f"t-{uuid.uuid4().hex[:8]}"
        self.failures: list[Failure] = []
        self.delivered: list[tuple[str, float]] = []
        self.enqueued = 0
        self._urls = itertools.cycle(cluster.urls)

    async def run(self) -> None:
        """Enqueue, lease and finish, until cancelled."""
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
            asyncio.TaskGroup() as tasks,
        ):
            for first in range(4):
                tasks.create_task(self._produce(http, QUEUES[first::4]))
            for _ in range(4):
                tasks.create_task(self._work(http))

    async def request(self, http: aiohttp.ClientSession, verb: str, path: str, body: object = None) -> Any:
        """The answer's JSON, or None when there was none that is a success."""
        began_s = time.monotonic()
        async with http.post(f"{next(self._urls)}{path}", json=body) as answer:
            content = await answer.json()
        if answer.status in (200, 201):
            return content
        if answer.status != 404:
            self.failures.append(Failure(began_s, time.monotonic(), verb, answer.status))
        return None

    async def _produce(self, http: aiohttp.ClientSession, queues: list[str]) -> None:
        for number in itertools.count():
            for queue in queues:
                body = {"job_id": f"{queue}-{number}", "payload": {}, "interval": 1}
                answer = await self.request(http, "enqueue", f"/enqueue/{self.kind}/{queue}/", body)
                self.enqueued += answer is not None
                await asyncio.sleep(0.01)

    async def _work(self, http: aiohttp.ClientSession) -> None:
        while True:
            job = await self.request(http, "dequeue", f"/dequeue/{self.kind}/?wait=500")
            if job is None:
                await asyncio.sleep(0.01)
                continue
            self.delivered.append((job["queue_id"], time.monotonic()))
            await self.request(
                http,
                "finish",
                f"/finish/{self.kind}/{job['queue_id']}/{job['job_id']}/",
                {"lease": job["lease"]},
            )

    def queues_served_after(self, since_s: float) -> set[str]:
        return {queue for queue, at_s in self.delivered if at_s >= since_s}


class Scene(Load):
    """As Load; the second shard has a proxy before the store."""

    def __init__(
        self, cluster: SharqCluster, cut_off: SharqProcess, proxy: TcpProxy, store: StoreServer
    ) -> None:
        super().__init__(cluster, cut_off)
        self.proxy = proxy
        self.store = store


@asynccontextmanager
async def running(load: Load) -> AsyncIterator[None]:
    """The cluster, and its clients; both end with the block."""
    try:
        await asyncio.to_thread(load.cluster.start)
        clients = asyncio.create_task(load.run())
        try:
            yield
        finally:
            clients.cancel()
            await asyncio.gather(clients, return_exceptions=True)
    finally:
        for process in (*load.cluster.routers, *load.cluster.shards):
            if process.is_running:
                process.kill()


@pytest.fixture
async def scene(own_store: StoreFactory, prefix: str, tmp_path: Path) -> AsyncIterator[Scene]:
    store = own_store("--appendonly", "yes")
    async with running_tcp_proxy(store.port) as proxy:
        cluster = SharqCluster(tmp_path, parse_url(store.url), {"SHARQ_REDIS_KEY_PREFIX": prefix}, shards=1)
        cut_off = cluster.make_shard("cut-off", SHARQ_REDIS_URL=f"redis://127.0.0.1:{proxy.port}/0")
        cluster.shards.append(cut_off)
        found = Scene(cluster, cut_off, proxy, store)
        async with running(found):
            yield found


async def until_seen(is_true: Callable[[], bool], what: str) -> None:
    """Wait in a thread, because the condition asks processes over HTTP."""
    await asyncio.to_thread(wait_until, is_true, BACK_WITHIN_S, what)


async def flap(proxy: TcpProxy) -> None:
    """Cut for 0.7 s, pass for 0.7 s, and so on."""
    while True:
        proxy.set("cut")
        await asyncio.sleep(0.7)
        proxy.set("pass")
        await asyncio.sleep(0.7)


@pytest.mark.parametrize("mode", ["cut", "hole", "flap"])
async def test_a_shard_that_loses_the_store_is_stood_in_for_within_a_second(
    scene: Scene, mode: str, stopwatch: Stopwatch
) -> None:
    await asyncio.sleep(BEFORE_S)
    assert scene.failures == []
    flapping: asyncio.Task[None] | None = None
    cut_s = time.monotonic()
    stopwatch.start()
    if mode == "flap":
        flapping = asyncio.create_task(flap(scene.proxy))
    else:
        scene.proxy.set(mode)  # type: ignore[arg-type] # one of its modes
    await asyncio.sleep(AFTER_S)
    late = [
        f for f in scene.failures if f.ended_s > cut_s + FAILURES_END_WITHIN_S + SLACK_S + stopwatch.waited_s
    ]
    assert late == []
    assert all(failure.status == 504 for failure in scene.failures), "what was not done is asked elsewhere"
    assert {failure.verb for failure in scene.failures} <= {"dequeue"}, "what may be repeated is"
    stood_in_s = cut_s + FAILURES_END_WITHIN_S
    await until_seen(lambda: scene.queues_served_after(stood_in_s) == set(QUEUES), "every queue is served")
    assert scene.cut_off.status("/readyz") == 503
    await until_seen(lambda: "store_contact_lost" in scene.cut_off.log, "it says so")
    assert scene.cut_off.log.count("store_contact_lost") == 1
    if flapping is not None:
        flapping.cancel()
    healed_s = time.monotonic()
    scene.proxy.set("pass")
    await until_seen(lambda: scene.cut_off.status("/readyz") == 200, "the shard is ready again")
    await until_seen(lambda: members(scene.cluster) == {"shard-1", "cut-off"}, "it has partitions again")
    assert time.monotonic() >= healed_s + 1.0, "it waits until it has been well for a while"
    await until_seen(lambda: "store_contact_back" in scene.cut_off.log, "it says so")
    assert scene.cut_off.log.count("store_contact_back") == 1
    since_s = time.monotonic()
    await until_seen(lambda: scene.queues_served_after(since_s) == set(QUEUES), "every queue is served")
    in_order_s = cut_s + FAILURES_END_WITHIN_S + SLACK_S + stopwatch.waited_s
    assert [f for f in scene.failures if f.began_s > in_order_s] == []


async def test_a_store_that_stands_still_for_a_second_fails_next_to_nothing(
    scene: Scene, stopwatch: Stopwatch
) -> None:
    """Every shard is away then: nobody is asked instead of another, and what waits is done when the store is back."""
    await asyncio.sleep(BEFORE_S)
    scene.store.pause()
    await asyncio.sleep(1.0)
    scene.store.resume()
    resumed_s = time.monotonic()
    stopwatch.start()
    await until_seen(lambda: scene.queues_served_after(resumed_s) == set(QUEUES), "every queue is served")
    assert [f for f in scene.failures if f.ended_s > resumed_s + SLACK_S + stopwatch.waited_s] == []
    assert scene.failures == []


async def test_a_store_that_stands_still_while_a_shard_is_cut_off_fails_nothing_after_it_goes_on(
    scene: Scene, stopwatch: Stopwatch
) -> None:
    """The other shard waits for stable contact then, and serves all the same."""
    await asyncio.sleep(BEFORE_S)
    (other, cut_off) = scene.cluster.shards
    scene.proxy.set("cut")
    await until_seen(lambda: "store_contact_lost" in cut_off.log, "the shard has noticed it")
    since_s = time.monotonic() + 2 * FAILURES_END_WITHIN_S
    await until_seen(lambda: scene.queues_served_after(since_s) == set(QUEUES), "every queue is served")
    scene.store.pause()
    await until_seen(
        lambda: "store_contact_lost" in other.log, "the other shard has noticed that the store stands still"
    )
    scene.store.resume()
    resumed_s = time.monotonic()
    stopwatch.start()
    await asyncio.sleep(2 * SLACK_S)
    calm_s = resumed_s + SLACK_S / 2 + stopwatch.waited_s
    assert [failure for failure in scene.failures if failure.began_s > calm_s] == []
    await until_seen(lambda: scene.queues_served_after(resumed_s) == set(QUEUES), "every queue is served")


async def test_an_outage_of_the_whole_store_is_answered_at_once(scene: Scene, stopwatch: Stopwatch) -> None:
    await asyncio.sleep(BEFORE_S)
    scene.store.kill()
    killed_s = time.monotonic()
    stopwatch.start()
    await asyncio.sleep(3.0)
    late = [failure for failure in scene.failures if failure.began_s > killed_s + FAILURES_END_WITHIN_S]
    assert late
    assert {failure.status for failure in late} == {503}
    assert (
        max(failure.ended_s - failure.began_s for failure in late)
        < FAILURES_END_WITHIN_S + stopwatch.waited_s
    )
    tries = second_tries(scene.cluster)
    await asyncio.sleep(1.0)
    assert second_tries(scene.cluster) == tries, "nobody is asked instead of a shard when all are away"
    scene.store.start()
    back_s = time.monotonic()
    await until_seen(lambda: scene.queues_served_after(back_s) == set(QUEUES), "every queue is served")


async def test_a_shard_that_loses_one_primary_of_a_cluster_keeps_the_partitions_of_the_others(
    prefix: str, tmp_path: Path, stopwatch: Stopwatch
) -> None:
    """It has a user of its own, which that primary does not let in any more."""
    with running_cluster() as group:
        for server in group.servers:
            server.ask("ACL", "SETUSER", "second", "on", ">p", "~*", "&*", "+@all")
        cluster = SharqCluster(tmp_path, group.address, {"SHARQ_REDIS_KEY_PREFIX": prefix}, shards=1)
        cut_off = cluster.make_shard("cut-off", SHARQ_REDIS_USERNAME="second", SHARQ_REDIS_PASSWORD="p")
        cluster.shards.append(cut_off)
        load = Load(cluster, cut_off)
        async with running(load):
            await asyncio.sleep(BEFORE_S)
            assert load.failures == []
            owned, lost = get_partitions(cluster), away_from(group, prefix)
            cut_s = time.monotonic()
            stopwatch.start()
            group.servers[lost].ask("ACL", "SETUSER", "second", "off")
            group.servers[lost].ask("CLIENT", "KILL", "USER", "second")
            await asyncio.sleep(AFTER_S)
            late = [
                f
                for f in load.failures
                if f.ended_s > cut_s + FAILURES_END_WITHIN_S + SLACK_S + stopwatch.waited_s
            ]
            assert late == []
            assert load.queues_served_after(cut_s + FAILURES_END_WITHIN_S) == set(QUEUES)
            assert get_partitions(cluster) == owned, "it is a member still"
            await until_seen(
                lambda: 0 < (get_away(cluster) or 0) < owned["cut-off"], "it leaves some of its partitions"
            )
            assert cut_off.status("/readyz") == 200
            group.servers[lost].ask("ACL", "SETUSER", "second", "on")
            await until_seen(lambda: get_away(cluster) == 0, "it takes its partitions back")


def away_from(group: RedisCluster, prefix: str) -> int:
    """The number of a primary that does not hold the membership, without which a shard is none."""
    slot = slot_of(f"{prefix}:members")
    return 0 if slot >= SLOTS // 3 else 1


def get_partitions(cluster: SharqCluster) -> dict[str, int]:
    """By shard, how many it owns."""
    return serving(cluster.routers[0])


def get_away(cluster: SharqCluster) -> int | None:
    """Return the number of partitions that the second shard leaves to the other; None if it does not say in time."""
    found = get_json(f"{cluster.routers[0].url}/cluster/")["members"]
    (store,) = [one["store"] for one in found if one["node"] == "cut-off"]
    return None if store is None else int(store["partitions_away"])


def second_tries(cluster: SharqCluster) -> float:
    """Calls that the routers made again at another shard so far."""
    found = 0.0
    for router in cluster.routers:
        with urllib.request.urlopen(f"{router.url}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        found += sum(
            float(line.split()[1]) for line in lines if line.startswith("sharq_router_second_tries_total ")
        )
    return found


def members(cluster: SharqCluster) -> set[str]:
    """Those that own partitions and leave none to others."""
    found = get_json(f"{cluster.routers[0].url}/cluster/")["members"]
    return {
        one["node"]
        for one in found
        if one["partitions"] and one["store"] and not one["store"]["partitions_away"]
    }
