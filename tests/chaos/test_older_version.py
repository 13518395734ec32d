"""A cluster of the version without limits is upgraded under load. Nothing fails, and limits wait for the last shard."""

from __future__ import annotations

import asyncio
import io
import itertools
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sharq_core.scheduler.library import REVISION
from tests.chaos.report import Report
from tests.chaos.stage import QUIET_S, Stage, stage
from tests.chaos.test_processes import come_back, stop, until_serving
from tests.chaos.test_store import revision_in
from tests.support.load.crowd import STEADY, Crowd
from tests.support.stores.server import AOF, running_store

ROOT = Path(__file__).parents[2]
OLDER = "9987f4522e34e46bff4cedf6b6d6c9573493a2b9"
"""The last commit without limits; its function library has the revision before."""

JOB: dict[str, Any] = {"interval": 0, "payload": 1}
NEWER: dict[str, tuple[str, dict[str, Any]]] = {
    "cost": ("/enqueue/newer/q/", {**JOB, "cost": 2}),
    "max_leased": ("/enqueue/newer/q/", {**JOB, "max_leased": 1}),
    "burst": ("/enqueue/newer/q/", {**JOB, "burst": 1.1}),
    "queue_type": ("/enqueue/newer~a/q/", JOB),
}
"""Enqueues (path, body) by the field for which a router refuses them while a shard cannot handle it."""


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of the version before."""
    packed = subprocess.run(["git", "archive", OLDER], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"the commit {OLDER} is not in this repository")
    directory = tmp_path_factory.mktemp("older")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(directory, filter="data")
    return directory


@pytest.fixture
def older_stage(older: Path, seed: int, report: Report) -> Iterator[Stage]:
    """Two shards and one router of the version before, and one router of this one."""
    with (
        running_store("valkey", *AOF) as store,
        stage(store, seed, report, shards=2, PYTHONPATH=str(older)) as found,
    ):
        del found.cluster.environ["PYTHONPATH"]
        newer = found.cluster.make_router("router-newer")
        newer.start()
        found.cluster.routers[1].stop()
        found.cluster.routers[1] = newer
        found.cluster.until_members(len(found.cluster.shards))
        yield found


async def ask(http: aiohttp.ClientSession, url: str, field: str, job_id: str) -> tuple[int, str]:
    """Send the enqueue that a field makes newer; returns the status and the error's message."""
    path, body = NEWER[field]
    async with http.post(url + path, json={**body, "job_id": f"{field}-{job_id}"}) as reply:
        return reply.status, (await reply.json()).get("message", "")


async def refuses_all(http: aiohttp.ClientSession, url: str, job_id: str) -> bool:
    """Return True if the router refuses each newer field by its name."""
    answers = {field: await ask(http, url, field, job_id) for field in NEWER}
    return all(status == 503 and said.startswith(field) for field, (status, said) in answers.items())


async def accepts_all(http: aiohttp.ClientSession, url: str, job_id: str) -> bool:
    """Return True if the router queues a job with each of the newer fields."""
    return all([(await ask(http, url, field, job_id))[0] == 201 for field in NEWER])


@pytest.mark.timeout(240)
async def test_an_older_cluster_is_upgraded_under_load_and_limits_wait_for_its_last_shard(
    older_stage: Stage,
) -> None:
    cluster = older_stage.cluster
    newer_url = cluster.routers[1].url

    async def fault(crowd: Crowd) -> None:
        async with aiohttp.ClientSession() as http:
            assert revision_in(older_stage.store) == REVISION - 1
            for number, shard in enumerate(cluster.shards):
                assert await refuses_all(http, newer_url, f"beside-{number}")
                await stop(shard)
                cluster.shards[number] = cluster.make_shard(shard.name, f"{shard.name}-newer")
                await come_back(cluster.shards[number])
                await until_serving(older_stage, len(cluster.shards))
                assert revision_in(older_stage.store) == REVISION
                await crowd.go_on(older_stage.pace.lead_s)
            await until_accepted(http, newer_url)
            answer = {field: await ask(http, cluster.routers[0].url, field, "older") for field in NEWER}
            assert answer["cost"][0] == 400, "a router of the version before does not know the field"

    await older_stage.play(
        "rolling upgrade from the version without limits", fault, habits=STEADY, may_fail=False
    )


async def until_accepted(http: aiohttp.ClientSession, url: str) -> None:
    """Wait until every newer field is accepted: the last older member has left the router's view."""
    async with asyncio.timeout(QUIET_S):
        for number in itertools.count():
            if await accepts_all(http, url, f"after-{number}"):
                return
            await asyncio.sleep(0.05)
