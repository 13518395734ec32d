"""Waits for the ends of jobs, and results, over two routers and three shards as processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sharq_core.config import StoreAddress
from tests.cluster.test_cluster_api import running, store_of
from tests.support.http.contract import Api, Reply
from tests.support.processes.servers import SharqCluster
from tests.support.stopwatch import Stopwatch
from tests.support.waits import DEADLINE_S, until_answer

KIND = "sms"
SOON_S = 5.0
"""The time within which every wait ends that is told of its end or asks, on a busy machine, too."""


@pytest.fixture(scope="module", params=["single", "cluster"])
def store_address(request: pytest.FixtureRequest) -> Iterator[StoreAddress]:
    with store_of(request.param) as address:
        yield address


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=90)) as session:
        yield session


async def leased(api: Api, kind: str, count: int) -> dict[str, tuple[str, str]]:
    """Enqueue and lease jobs of as many queues; returns their queue ids and leases by job id."""
    jobs = [
        {"queue_type": kind, "queue_id": f"q{n}", "job_id": f"j{n}", "payload": n, "interval": 0}
        for n in range(count)
    ]
    assert (await api.post("/enqueue/", {"jobs": jobs})).json["failed"] == 0
    found: dict[str, tuple[str, str]] = {}
    while len(found) < count:
        reply = await api.get(f"/dequeue/{kind}/?count=1000&wait=5000")
        found |= {row["job_id"]: (row["queue_id"], row["lease"]) for row in reply.json["jobs"]}
    return found


def waiting(api: Api, kind: str, queue_id: str, job_id: str) -> asyncio.Task[Reply]:
    return asyncio.create_task(api.get(f"/job/{kind}/{queue_id}/{job_id}/?wait=60000"))


async def waiting_at(url: str, http: aiohttp.ClientSession) -> float:
    """The number of requests that wait at a router."""
    async with http.get(f"{url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    samples = (sample for family in families for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == "sharq_router_waiting_dequeues")


async def finish(api: Api, kind: str, job_id: str, held: tuple[str, str], result: object) -> None:
    reply = await api.post(f"/finish/{kind}/{held[0]}/{job_id}/", {"lease": held[1], "result": result})
    assert reply.json == {"status": "success", "result_kept": True}


async def test_results_and_waits_pass_from_any_router_to_any_other(
    store_address: StoreAddress, http: aiohttp.ClientSession, stopwatch: Stopwatch
) -> None:
    """A router is told over its links; shards that drain, and a router that stops, cost nobody an answer."""
    with running(store_address) as cluster:
        first, second = [await Api.open(url, http) for url in cluster.urls]
        held = await leased(first, KIND, 30)
        waits = {job_id: waiting(first, KIND, held[job_id][0], job_id) for job_id in held}
        await until_answer(lambda: waiting_at(cluster.urls[0], http), lambda count: count == len(waits))
        stopwatch.start()
        for job_id in list(held)[:20]:
            await finish(second, KIND, job_id, held[job_id], {"id": job_id})
        for job_id in list(held)[:20]:
            reply = await asyncio.wait_for(waits.pop(job_id), DEADLINE_S)
            assert (reply.json["state"], reply.json["result"]) == ("finished", {"id": job_id})
        stopwatch.assert_within(SOON_S)
        await drain_and_finish(cluster, second, held, waits)
        await second.enqueue(KIND, "more", job_id="waits", delay=60_000)
        stopped = waiting(first, KIND, "more", "waits")
        await until_answer(lambda: waiting_at(cluster.urls[0], http), lambda count: count == 1)
        await asyncio.to_thread(cluster.routers[0].stop)
        assert (await asyncio.wait_for(stopped, DEADLINE_S)).json["state"] == "delayed"


async def drain_and_finish(
    cluster: SharqCluster,
    api: Api,
    held: dict[str, tuple[str, str]],
    waits: dict[str, asyncio.Task[Reply]],
) -> None:
    """Stop two shards one after the other, and finish the jobs meanwhile: every wait hears of its end."""
    for shard in cluster.shards[:2]:
        stopping = asyncio.create_task(asyncio.to_thread(shard.stop))
        for job_id in list(waits)[:5]:
            await finish(api, KIND, job_id, held[job_id], {"id": job_id})
            reply = await asyncio.wait_for(waits.pop(job_id), SOON_S)
            assert (reply.json["state"], reply.json["result"]) == ("finished", {"id": job_id})
        await stopping
    assert waits == {}
