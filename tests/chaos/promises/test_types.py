"""One tenant with very many types, all in the partition of another's queue, and every shard replaced meanwhile."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import pytest

from sharq_core.partitions import DEFAULT_PARTITIONS, partition_of
from tests.chaos.stage import Stage, is_quick
from tests.chaos.test_processes import replace_shard
from tests.support.load.crowd import STEADY, Crowd

MANY = 2_500 if is_quick() else 100_000
BULK = 1_000
PATIENCE_S = 180.0
SAMPLE = 60
VICTIM, INTERVAL_MS, LEASE_MS = "victim", 100, 600_000
RATE_S = 4.0 if is_quick() else 10.0


def strange_types() -> list[str]:
    """Types whose one queue is in the victim's partition: CRC-32 is no secret."""
    place = partition_of(VICTIM, "q", DEFAULT_PARTITIONS)
    found: list[str] = []
    number = 0
    while len(found) < MANY:
        number += 1
        if partition_of(f"strange-{number}", "q", DEFAULT_PARTITIONS) == place:
            found.append(f"strange-{number}")
    return found


async def enqueue(http: aiohttp.ClientSession, url: str, jobs: list[dict[str, Any]]) -> None:
    """Queue jobs; what a busy machine refuses or leaves in doubt is sent again."""
    until_s = time.monotonic() + PATIENCE_S
    while jobs:
        assert time.monotonic() < until_s, f"{len(jobs)} jobs were not queued"
        async with http.post(f"{url}/enqueue/", json={"jobs": jobs[:BULK]}) as reply:
            answer = await reply.json()
        results = answer.get("results", [answer] * len(jobs[:BULK]))
        refused = [
            {**job, "repeat": True}
            for job, result in zip(jobs, results, strict=False)
            if result["status"] == "failure"
        ]
        jobs = refused + jobs[BULK:]


async def share_of_rate(http: aiohttp.ClientSession, url: str) -> float:
    """Return the share of the jobs that the victim's rate promises and its queue gives, from the first to the last."""
    leased_ms: list[int] = []
    until_s = time.monotonic() + RATE_S
    while time.monotonic() < until_s:
        path = f"/dequeue/{VICTIM}/?count=10&wait=1000&lease={LEASE_MS}"
        async with http.post(url + path) as reply:
            jobs = (await reply.json())["jobs"] if reply.status == 200 else []
        leased_ms += [job["lease_expires_at"] - LEASE_MS for job in jobs]
    return (len(leased_ms) - 1) * INTERVAL_MS / (leased_ms[-1] - leased_ms[0])


async def assert_served(http: aiohttp.ClientSession, url: str, types: list[str]) -> None:
    """Each of the types has its one job ready."""
    for name in types:
        async with http.post(f"{url}/dequeue/{name}/") as reply:
            assert reply.status == 200, (name, await reply.text())


@pytest.mark.alone
@pytest.mark.timeout(300 if is_quick() else 900)
async def test_a_tenant_with_very_many_types_stops_nobody(own_stage: Stage) -> None:
    url = own_stage.cluster.urls[0]
    types = strange_types()
    sample = types[:: MANY // (2 * SAMPLE)]

    async def fault(crowd: Crowd) -> None:
        assert await share_of_rate(http, url) >= 0.99
        await assert_served(http, url, sample[::2])
        for shard in own_stage.cluster.shards:
            await replace_shard(own_stage, shard)
        assert await share_of_rate(http, url) >= 0.99
        await assert_served(http, url, sample[1::2])

    async with aiohttp.ClientSession() as http:
        victim = {"queue_type": VICTIM, "queue_id": "q", "interval": INTERVAL_MS, "burst": 10}
        await enqueue(http, url, [{**victim, "job_id": f"{n}", "payload": n} for n in range(2_000)])
        strange = {"queue_id": "q", "job_id": "1", "interval": 0, "payload": 1}
        await enqueue(http, url, [{**strange, "queue_type": name} for name in types])
        await own_stage.play("a tenant with very many types, all shards replaced", fault, habits=STEADY)
