"""Requests that wait for the end of a job get it while shards, routers and the store die."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import aiohttp
import pytest

from tests.chaos.stage import QUIET_S, Stage, is_quick
from tests.chaos.test_processes import come_back, until_serving
from tests.support.processes.servers import SharqProcess

pytestmark = pytest.mark.timeout(300)

JOBS = 60 if is_quick() else 600
WAIT_MS = 60_000
LEASE_MS = 600_000
MISSED_S = 30.0
"""A wait whose end was missed lasts longer, until its own time is over."""

PAUSE_S = 0.05
"""Before a request that found no server is sent to the next one."""

Fault: TypeAlias = Callable[[Stage], Awaitable[None]]


class Waiters:
    """Jobs that are leased, and for each router a request that waits for the end of each job.

    Attributes:
        finished_s: when the finish of a job was first sent.
        answers: for each wait that was answered: the job, when, and the answer.
    """

    def __init__(self, http: aiohttp.ClientSession, urls: list[str]) -> None:
        self.kind = f"t-{uuid.uuid4().hex[:12]}"
        self.finished_s: dict[str, float] = {}
        self.answers: list[tuple[str, float, Any]] = []
        self._http = http
        self._urls = urls
        self._leases: dict[str, str] = {}

    async def ask(self, method: str, path: str, body: object = None, first: int = 0) -> tuple[int, Any]:
        """Ask the routers in turns until one answers that something was done, or need not be."""
        deadline_s = time.monotonic() + QUIET_S + WAIT_MS / 1000
        turn = first
        while True:
            try:
                url = f"{self._urls[turn % len(self._urls)]}{path}"
                async with self._http.request(method, url, json=body) as answer:
                    if answer.status < 500:
                        return answer.status, await answer.json()
            except aiohttp.ClientError:
                pass
            assert time.monotonic() < deadline_s, path
            turn += 1
            await asyncio.sleep(PAUSE_S)

    async def lease_all(self) -> None:
        jobs = [
            {"queue_type": self.kind, "queue_id": f"q{n}", "job_id": f"j{n}", "payload": n, "interval": 0}
            for n in range(JOBS)
        ]
        await self.ask("POST", "/enqueue/", {"jobs": jobs})
        while len(self._leases) < JOBS:
            status, answer = await self.ask("POST", f"/dequeue/{self.kind}/?count=1000&lease={LEASE_MS}")
            self._leases |= {job["job_id"]: job["lease"] for job in answer["jobs"]} if status == 200 else {}

    async def wait_for(self, number: int, router: int) -> None:
        """Wait for the end of a job; if the router dies, at the other one."""
        path = f"/job/{self.kind}/q{number}/j{number}/?wait={WAIT_MS}"
        while True:
            began_s = time.monotonic()
            _, answer = await self.ask("GET", path, first=router)
            if answer["state"] != "leased":
                break
            assert time.monotonic() - began_s >= WAIT_MS / 1000, "a wait ended before its time"
        self.answers.append((f"j{number}", time.monotonic(), answer))

    async def finish_all(self, over_s: float) -> None:
        """Finish the jobs one after the other."""
        for number in range(JOBS):
            job_id = f"j{number}"
            self.finished_s[job_id] = time.monotonic()
            body = {"lease": self._leases[job_id], "result": number}
            status, answer = await self.ask("POST", f"/finish/{self.kind}/q{number}/{job_id}/", body, number)
            assert (status, answer) == (200, {"status": "success", "result_kept": True})
            await asyncio.sleep(over_s / JOBS)


async def kill(stage: Stage, process: SharqProcess) -> None:
    process.kill()
    await asyncio.sleep(stage.pace.hold_s)
    await come_back(process)


async def kill_shards(stage: Stage) -> None:
    for shard in stage.cluster.shards[:2]:
        await kill(stage, shard)


async def kill_routers(stage: Stage) -> None:
    for router in stage.cluster.routers:
        await kill(stage, router)


async def kill_store(stage: Stage) -> None:
    stage.store.kill()
    await asyncio.sleep(stage.pace.hold_s)
    stage.store.start()


FAULTS: dict[str, Fault] = {"two shards": kill_shards, "each router": kill_routers, "the store": kill_store}


@pytest.mark.parametrize("killed", FAULTS)
async def test_each_wait_ends_with_its_job_through_kills_of(shared_stage: Stage, killed: str) -> None:
    stage = shared_stage
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=2 * WAIT_MS / 1000)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        waiters = Waiters(http, stage.cluster.urls)
        await waiters.lease_all()
        waits = [
            asyncio.create_task(waiters.wait_for(number, router))
            for number in range(JOBS)
            for router in (0, 1)
        ]
        await asyncio.sleep(1)
        assert waiters.answers == []
        await asyncio.gather(waiters.finish_all(4 * stage.pace.hold_s), FAULTS[killed](stage))
        await until_serving(stage, len(stage.cluster.shards))
        healed_s = time.monotonic()
        await asyncio.gather(*waits)
    assert len(waiters.answers) == 2 * JOBS
    for job_id, at_s, answer in waiters.answers:
        assert (answer["state"], answer.get("result")) == ("finished", int(job_id[1:])), answer
        assert at_s > waiters.finished_s[job_id]
    latest_s = max(at_s for _, at_s, _ in waiters.answers)
    assert latest_s < healed_s + MISSED_S
