"""Two routers and three shards as processes on each kind of store: one namespace, whichever router is asked and
whatever happens to the shards.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path

import aiohttp
import pytest

from sharq_core.config import StoreAddress, parse_url
from sharq_core.partitions import partition_of
from tests.support.extent import is_full
from tests.support.http.contract import Api
from tests.support.http.conversation import Conversation
from tests.support.load.crowd import STEADY, running_crowd
from tests.support.load.history import History
from tests.support.load.verdict import check
from tests.support.processes.servers import PATIENT, SharqCluster, SharqServer, serving
from tests.support.stores.groups import running_sentinel_group
from tests.support.stores.redis_cluster import running_cluster
from tests.support.stores.server import running_store
from tests.support.waits import until_answer

DEADLINE_S = 60.0
LOOK_AGAIN_S = 0.01

SEED = 1
PARTITIONS = 64
QUEUES = 20
INTERVAL_MS = 40
ROUND_S = 1.0
"""Time of load between two events."""

NOTICED_S = 2.0
"""After a shard was killed nothing fails later than this: it is routed around at its first failed call."""

MODES = ("single", "sentinel", "cluster") if is_full() else ("single", "cluster")
"""The modes of the store. test_store_modes.py runs every call of a node behind Sentinels in each run."""

HANDOVERS = dict.fromkeys(MODES, 1000) if is_full() else {"single": 100, "cluster": 50}
"""Jobs that go in at one router and out at the other, by the mode of the store, which the routers do not know."""

MANY_QUEUES = dict.fromkeys(MODES, 10_000) if is_full() else {"single": 2_000, "cluster": 1_000}
"""Queues that must all be served, by the mode of the store."""


@contextmanager
def store_of(mode: str) -> Iterator[StoreAddress]:
    """A store that is gone at the end."""
    with ExitStack() as stack:
        match mode:
            case "cluster":
                yield stack.enter_context(running_cluster()).address
            case "sentinel":
                yield stack.enter_context(running_sentinel_group()).address
            case _:
                yield parse_url(stack.enter_context(running_store("valkey")).url)


@contextmanager
def running(
    store: StoreAddress, routers: int = 2, shards: int = 3, environ: Mapping[str, str] | None = None
) -> Iterator[SharqCluster]:
    """A cluster in a directory and with a key prefix of its own, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        variables = {"SHARQ_REDIS_KEY_PREFIX": f"cluster-{uuid.uuid4().hex[:12]}", **(environ or {})}
        cluster = SharqCluster(Path(directory), store, variables, routers, shards)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.end()


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """The mode of the store."""
    return str(request.param)


@pytest.fixture(scope="module")
def store_address(mode: str) -> Iterator[StoreAddress]:
    with store_of(mode) as address:
        yield address


@pytest.fixture(scope="module")
def cluster(store_address: StoreAddress) -> Iterator[SharqCluster]:
    """A shared one: nothing in it is stopped, and no test is about the time for which it waits for the store."""
    with running(store_address, environ=PATIENT) as cluster:
        yield cluster


@pytest.fixture
def own_cluster(store_address: StoreAddress) -> Iterator[SharqCluster]:
    """A private one, whose processes the test may end."""
    with running(store_address) as cluster:
        yield cluster


@pytest.fixture
def small_cluster() -> Iterator[SharqCluster]:
    """A private one of one router and one shard, on one server."""
    with store_of("single") as store, running(store, routers=1, shards=1) as cluster:
        yield cluster


@pytest.fixture
def kind() -> str:
    """A queue type of this test alone."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90)) as session:
        yield session


@pytest.fixture
async def routers(cluster: SharqCluster, http: aiohttp.ClientSession) -> list[Api]:
    """The shared cluster's."""
    return [await Api.open(url, http) for url in cluster.urls]


@pytest.fixture(scope="module")
def standalone() -> Iterator[SharqServer]:
    """A `sharq-server` on a store of its own."""
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        server = SharqServer(Path(directory), environ={"SHARQ_REDIS_URL": store.url, **PATIENT})
        try:
            server.start()
            yield server
        finally:
            server.stop()


async def waiting_dequeues(router: Api, http: aiohttp.ClientSession) -> int:
    """Return the number of waiting dequeues that a router holds."""
    async with http.get(f"{router.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith("sharq_router_waiting_dequeues ")]
    return int(float(value))


class TestOneNamespace:
    async def test_same_calls_get_the_same_answers_as_from_one_process(
        self, routers: list[Api], standalone: SharqServer, http: aiohttp.ClientSession, kind: str
    ) -> None:
        ours = Conversation(routers, kind)
        theirs = Conversation([await Api.open(standalone.url, http)], kind)
        await theirs.run()
        await ours.run()
        assert ours.told == theirs.told

    async def test_job_enqueued_at_one_router_is_dequeued_at_the_other_at_once_each_time(
        self, routers: list[Api], kind: str, mode: str
    ) -> None:
        for number, (there, here) in zip(
            range(HANDOVERS[mode]), cycle([routers, routers[::-1]]), strict=False
        ):
            await there.enqueue(kind, f"q{number % 97}", job_id=f"j{number}")
            reply = await here.get(f"/dequeue/{kind}/")
            assert (reply.status, reply.json.get("job_id")) == (200, f"j{number}"), number
            assert (await here.post(f"/finish/{kind}/q{number % 97}/j{number}/")).status == 200

    async def test_long_poll_at_one_router_wakes_for_an_enqueue_at_the_other(
        self, routers: list[Api], http: aiohttp.ClientSession, kind: str
    ) -> None:
        """A poll that is not woken looks again once a second, so that half of them would wait for half a second."""
        woken_after_s: list[float] = []
        for number, (here, there) in zip(range(20), cycle([routers, routers[::-1]]), strict=False):

            async def is_parked(here: Api = here) -> bool:
                return await waiting_dequeues(here, http) == 1

            poll = asyncio.create_task(here.get(f"/dequeue/{kind}/?wait=20000"))
            await until_answer(is_parked)
            await there.enqueue(kind, f"q{number}", job_id=f"j{number}")
            enqueued_s = time.monotonic()
            assert (await poll).json["job_id"] == f"j{number}"
            woken_after_s.append(time.monotonic() - enqueued_s)
            await there.post(f"/finish/{kind}/q{number}/j{number}/")
        assert statistics.median(woken_after_s) < 0.4, woken_after_s

    async def test_bulk_is_split_by_shard_and_answered_in_its_order(
        self, routers: list[Api], kind: str
    ) -> None:
        jobs = [
            {
                "queue_type": kind,
                "queue_id": f"q{number % 50}",
                "job_id": f"{number:03}",
                "interval": 0,
                "payload": 0,
            }
            for number in range(500)
        ]
        wrong = {77: {**jobs[77], "queue_id": "no id!"}, 311: {**jobs[311], "interval": -1}}
        reply = await routers[0].post(
            "/enqueue/", {"jobs": [wrong.get(n, job) for n, job in enumerate(jobs)]}
        )
        results = reply.json["results"]
        assert [result["status"] for result in results] == [
            "failure" if number in wrong else "queued" for number in range(500)
        ]
        assert [result["job_id"] for result in results if "job_id" in result][:77] == [
            f"{n:03}" for n in range(77)
        ]
        taken: dict[str, list[str]] = {}
        while sum(map(len, taken.values())) < 498:
            for job in (await routers[1].get(f"/dequeue/{kind}/?count=1000&wait=5000")).json["jobs"]:
                taken.setdefault(job["queue_id"], []).append(job["job_id"])
        for queue, job_ids in taken.items():
            assert job_ids == sorted(job_ids), f"{queue} lost its order"

    async def test_listing_and_counts_are_those_of_all_shards(self, routers: list[Api], kind: str) -> None:
        before = sum((await routers[0].get("/metrics/")).json["enqueue_counts"].values())
        queues = {f"q{number:03}" for number in range(200)}
        for router, queue in zip(cycle(routers), sorted(queues), strict=False):
            await router.enqueue(kind, queue, job_id="a")
        for router in routers:
            assert sum((await router.get("/metrics/")).json["enqueue_counts"].values()) == before + 200
            assert kind in (await router.get("/metrics/")).json["queue_types"]
        found: list[str] = []
        cursor: str | None = ""
        for router in cycle(routers):
            page = await router.get(f"/metrics/{kind}/?limit=30" + (f"&cursor={cursor}" if cursor else ""))
            found += page.json["queue_ids"]
            cursor = page.json.get("cursor")
            if cursor is None:
                break
        assert Counter(found) == Counter(queues)

    @pytest.mark.slow
    async def test_every_queue_is_served(self, routers: list[Api], kind: str, mode: str) -> None:
        queues = MANY_QUEUES[mode]
        for first in range(0, queues, 1000):
            jobs = [
                {
                    "queue_type": kind,
                    "queue_id": f"q{number}",
                    "job_id": f"j{turn}",
                    "interval": 1000,
                    "payload": 0,
                }
                for number in range(first, first + 1000)
                for turn in range(2)
            ]
            for half in (jobs[:1000], jobs[1000:]):
                assert (await routers[0].post("/enqueue/", {"jobs": half})).status == 200
        served: set[str] = set()
        for router in cycle(routers):
            reply = await router.get(f"/dequeue/{kind}/?count=200&wait=2000")
            assert reply.status == 200, f"{queues - len(served)} queues were not served"
            served.update(job["queue_id"] for job in reply.json["jobs"])
            if len(served) == queues:
                break

    async def test_each_router_says_who_is_there(self, routers: list[Api], cluster: SharqCluster) -> None:
        told = [(await router.get("/cluster/")).json for router in routers]
        assert told[0] == told[1]
        assert sum(member["partitions"] for member in told[0]["members"]) == told[0]["partitions"] == 64
        assert {member["node"] for member in told[0]["members"]} == {"shard-1", "shard-2", "shard-3"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode", ["single", "cluster"] if is_full() else ["single"], indirect=True, scope="module"
)
class TestChange:
    """Members come and go; the way to the primary, through Sentinels or not, does not matter to that.

    A quick run has one server only; tests/deploy/compose/test_rolling.py adds and stops shards on a Redis Cluster.
    """

    async def test_shards_join_and_drain_under_load_without_a_failed_request(
        self, own_cluster: SharqCluster, kind: str
    ) -> None:
        history = History(SEED, INTERVAL_MS, lambda queue: partition_of(kind, queue, PARTITIONS))
        async with running_crowd(own_cluster.urls, kind, history, queues=QUEUES, habits=STEADY) as crowd:
            await crowd.go_on(ROUND_S)
            joining = own_cluster.make_shard("shard-4")
            own_cluster.shards.append(joining)
            joining.launch()
            await asyncio.to_thread(own_cluster.until_members, 4)
            await crowd.go_on(ROUND_S)
            for leaving in own_cluster.shards[:2]:
                assert await asyncio.to_thread(leaving.stop) == 0
                await asyncio.to_thread(own_cluster.until_members, len(members_of(own_cluster)))
                await crowd.go_on(ROUND_S)
            await crowd.drain()
        assert not check(history).violations
        assert history.failures == []
        assert members_of(own_cluster) == {"shard-3", "shard-4"}

    async def test_killed_shard_loses_nothing_and_breaks_no_rate(
        self, own_cluster: SharqCluster, kind: str
    ) -> None:
        history = History(SEED, INTERVAL_MS, lambda queue: partition_of(kind, queue, PARTITIONS))
        async with running_crowd(own_cluster.urls, kind, history, queues=QUEUES, habits=STEADY) as crowd:
            await crowd.go_on(ROUND_S)
            own_cluster.shards[1].kill()
            killed_s = time.monotonic()
            await crowd.go_on(2 * ROUND_S)
            await crowd.drain()
        assert not check(history).violations
        assert [call for call in history.failures if call.ended_s > killed_s + NOTICED_S] == []
        assert [call for call in history.failures if call.ended_s < killed_s] == []


def members_of(cluster: SharqCluster) -> set[str]:
    """The serving shards, as the first router sees them."""
    return set(serving(cluster.routers[0]))


class TestTrouble:
    async def test_router_without_shards_says_so_and_recovers_by_itself(
        self, small_cluster: SharqCluster, http: aiohttp.ClientSession, kind: str
    ) -> None:
        (router,), (shard,) = small_cluster.routers, small_cluster.shards
        api = await Api.open(router.url, http)
        await api.enqueue(kind, job_id="a")
        assert shard.stop() == 0
        router.until_status(503)
        body = {"interval": 0, "payload": None}
        for reply in (
            await api.post(f"/enqueue/{kind}/1/", body),
            await api.get(f"/dequeue/{kind}/?wait=100"),
        ):
            assert (reply.status, reply.json["code"]) == (503, "unavailable")
            assert int(reply.headers["Retry-After"]) > 0
        shard.start()
        router.until_status(200)
        assert (await api.lease(kind))["job_id"] == "a"

    def test_wrong_link_secret_is_said_on_both_sides_and_never_shown(
        self, small_cluster: SharqCluster
    ) -> None:
        (shard,) = small_cluster.shards
        stranger = small_cluster.make_router("stranger", SHARQ_CLUSTER_SECRET="quite another one")
        try:
            stranger.launch()
            for process in (stranger, shard):
                process.until(lambda process=process: "the router has a different link secret" in process.log)  # type: ignore[misc]
            assert stranger.status("/readyz") == 503
            assert small_cluster.routers[0].status("/readyz") == 200
            logs = stranger.log + shard.log
        finally:
            stranger.stop()
        assert "quite another one" not in logs
        assert small_cluster.environ["SHARQ_CLUSTER_SECRET"] not in logs

    def test_second_shard_of_a_node_id_waits_and_then_says_who_holds_it(
        self, small_cluster: SharqCluster
    ) -> None:
        (shard,) = small_cluster.shards
        second = small_cluster.make_shard("shard-1", name="second")
        second.launch()
        started_s = time.monotonic()
        assert second.wait(DEADLINE_S) == 1
        assert time.monotonic() - started_s > 5.0
        assert f"127.0.0.1:{shard.port}" in second.log
        assert shard.status("/readyz") == 200
        assert small_cluster.routers[0].status("/readyz") == 200
