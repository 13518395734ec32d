"""A cluster of an older version is upgraded under load: nothing fails, and newer fields wait for its last shard."""

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
import msgspec
import pytest

from sharq_core.scheduler.library import REVISION
from tests.chaos.report import Report
from tests.chaos.stage import QUIET_S, Stage, is_quick, stage
from tests.chaos.stores.test_store import revision_in
from tests.chaos.test_processes import come_back, stop, until_serving
from tests.support.load.crowd import STEADY, Crowd
from tests.support.stores.server import AOF, running_store

ROOT = Path(__file__).parents[2]
JOB: dict[str, Any] = {"interval": 0, "payload": 1}
PATH = "/enqueue/newer/q/"
LATER_MS = 3_600_000

LIMITS: dict[str, tuple[str, dict[str, Any]]] = {
    "cost": (PATH, {"cost": 2}),
    "max_leased": (PATH, {"max_leased": 1}),
    "burst": (PATH, {"burst": 1.1}),
    "queue_type": ("/enqueue/newer~a/q/", {}),
}
LIFE: dict[str, tuple[str, dict[str, Any]]] = {
    "at": (PATH, {"at": 1_000_000_000_000}),
    "priority": (PATH, {"priority": 1}),
    "expires": (PATH, {"expires": LATER_MS}),
    "expires_at": (PATH, {"expires_at": 4_000_000_000_000}),
    "on_expiry": (PATH, {"on_expiry": "drop"}),
    "retry": (PATH, {"retry": {"delay": 1000}}),
}
"""Enqueues (path, fields) by the field for which a router refuses them while a shard cannot handle it."""

CAMPAIGNS: dict[str, tuple[str, dict[str, Any]]] = {
    "ignore_window": (PATH, {"ignore_window": True}),
}

SINGLE_JOBS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("DELETE", "/job/newer/q/none/", None),
    ("PATCH", "/job/newer/q/none/", {"priority": 1}),
    ("GET", "/queue/newer/q/jobs/", None),
    ("POST", "/queue/newer/q/cancel/", {"prefix": "none"}),
    ("DELETE", "/dead/newer/q/none/", None),
]
"""Calls about single jobs (method, path, body), which are refused as a whole."""

QUOTAS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/type/newer~a/", {"quotas": [{"quota": 10**6, "period": "day", "tz": "Asia/Tokyo"}]}),
    ("POST", "/type/newer~a/", {"quotas": None}),
]
"""Calls that are refused for their field `quotas`."""


class Version(msgspec.Struct, frozen=True):
    """An older version.

    Attributes:
        commit: its last one.
        revision: of its function library.
        newer: the enqueues that it does not know.
        calls: the calls that it does not know; refusal: the beginning of their errors.
    """

    commit: str
    revision: int
    newer: dict[str, tuple[str, dict[str, Any]]]
    calls: list[tuple[str, str, dict[str, Any] | None]]
    refusal: str = "this call"


VERSIONS = {
    "without limits": Version("9987f4522e34e46bff4cedf6b6d6c9573493a2b9", 3, {**LIMITS, **LIFE}, SINGLE_JOBS),
    "without the life of jobs": Version("f7f798498a38705746fad9264838b6c634c4a697", 4, LIFE, SINGLE_JOBS),
    "without campaigns": Version("2acaa2db8464f1b9a92a99c40fb681b53e425c45", 5, CAMPAIGNS, QUOTAS, "quotas"),
}


class OlderStage(msgspec.Struct, frozen=True):
    """A cluster of an older version."""

    name: str
    version: Version
    stage: Stage


@pytest.fixture(params=list(VERSIONS)[-1:] if is_quick() else list(VERSIONS))
def older(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """The name and the program of an older version."""
    commit = VERSIONS[request.param].commit
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"the commit {commit} is not in this repository")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(tmp_path, filter="data")
    return request.param, tmp_path


@pytest.fixture
def older_stage(older: tuple[str, Path], seed: int, report: Report) -> Iterator[OlderStage]:
    """Two shards and one router of an older version, and one router of this one."""
    name, program = older
    with (
        running_store("valkey", *AOF) as store,
        stage(store, seed, report, shards=2, PYTHONPATH=str(program)) as found,
    ):
        del found.cluster.environ["PYTHONPATH"]
        newer = found.cluster.make_router("router-newer")
        newer.start()
        found.cluster.routers[1].stop()
        found.cluster.routers[1] = newer
        found.cluster.until_members(len(found.cluster.shards))
        yield OlderStage(name, VERSIONS[name], found)


class Asker:
    """Sends the enqueues that an older version does not know, each with a job id of its own, and its calls."""

    def __init__(self, http: aiohttp.ClientSession, version: Version) -> None:
        self._http = http
        self._newer = version.newer
        self._calls = version.calls

    async def ask(self, url: str, field: str, job_id: str) -> tuple[int, str]:
        """Send the enqueue that a field makes newer; returns the status and the error's message."""
        path, fields = self._newer[field]
        body = {**JOB, **fields, "job_id": f"{field}-{job_id}"}
        async with self._http.post(url + path, json=body) as reply:
            return reply.status, (await reply.json()).get("message", "")

    async def ask_all(self, url: str, job_id: str) -> dict[str, tuple[int, str]]:
        """Send each of them."""
        return {field: await self.ask(url, field, job_id) for field in self._newer}

    async def call_all(self, url: str) -> list[tuple[int, str]]:
        """Send the calls that it does not know; returns the status and the error's message of each."""
        answers = []
        for method, path, body in self._calls:
            async with self._http.request(method, url + path, json=body) as reply:
                answers.append((reply.status, (await reply.json()).get("message", "")))
        return answers

    async def until_accepted(self, url: str) -> None:
        """Wait until every newer field is accepted: the last older member has left the router's view."""
        async with asyncio.timeout(QUIET_S):
            for number in itertools.count():
                answers = await self.ask_all(url, f"after-{number}")
                if all(status == 201 for status, _ in answers.values()):
                    return
                await asyncio.sleep(0.05)


async def test_an_older_cluster_is_upgraded_under_load_and_newer_fields_wait_for_its_last_shard(
    older_stage: OlderStage,
) -> None:
    stage, version = older_stage.stage, older_stage.version
    cluster = stage.cluster
    newer_url = cluster.routers[1].url

    async def fault(crowd: Crowd) -> None:
        async with aiohttp.ClientSession() as http:
            asker = Asker(http, version)
            assert revision_in(stage.store) == version.revision
            for number, shard in enumerate(cluster.shards):
                answers = await asker.ask_all(newer_url, f"beside-{number}")
                wrong = {
                    field: answer
                    for field, answer in answers.items()
                    if answer[0] != 503 or not answer[1].startswith(field)
                }
                assert not wrong, "each newer field is refused by its name"
                calls = await asker.call_all(newer_url)
                assert all(status == 503 and said.startswith(version.refusal) for status, said in calls), (
                    calls
                )
                await stop(shard)
                cluster.shards[number] = cluster.make_shard(shard.name, f"{shard.name}-newer")
                await come_back(cluster.shards[number])
                await until_serving(stage, len(cluster.shards))
                assert revision_in(stage.store) == REVISION
                await crowd.go_on(stage.pace.lead_s)
            await asker.until_accepted(newer_url)
            calls = await asker.call_all(newer_url)
            assert {status for status, _ in calls} <= {200, 404}, calls
            field = next(iter(version.newer))
            answer = await asker.ask(cluster.routers[0].url, field, "older")
            assert answer[0] == 400, "a router of the older version does not know the field"

    await stage.play(
        f"rolling upgrade from the version {older_stage.name}", fault, habits=STEADY, may_fail=False
    )
