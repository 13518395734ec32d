"""Schedules enqueue one job for each slot while shards and the store die."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from functools import partial
from typing import Any

import aiohttp
import pytest

from sharq_core.partitions import DEFAULT_PARTITIONS, partition_of
from tests.chaos.promises.test_limits import ring_of
from tests.chaos.stage import QUIET_S, Stage, is_quick
from tests.support.waits import until_answer

pytestmark = pytest.mark.timeout(600)

SCHEDULES = 60
EVERY_MS = 1000
ROUNDS = 2 if is_quick() else 6
STOP_S = 0.6
"""Time for which the store stands still. Calls have a timeout of a second or more."""

LEASE_MS = 10_000
"""Jobs of a dequeue without an answer come again after this, which is less than QUIET_S."""

SAFE_TO_REPEAT = frozenset({"unavailable", "overloaded", "outcome_unknown"})
"""The codes of a finish that another try may answer; a shard may reach its store later than the one before."""

HEIR_S = 3.0
"""Less than the time after which the partitions of a dead shard have another owner."""


class Campaign:
    """Schedules of one type, each for a queue of its own.

    Attributes:
        jobs: the slots of each schedule that had a job, and when that was enqueued (ms).
    """

    def __init__(self, http: aiohttp.ClientSession, urls: list[str]) -> None:
        self.kind = f"t-{uuid.uuid4().hex[:12]}"
        self.jobs: dict[str, dict[int, int]] = defaultdict(dict)
        self._http = http
        self._urls = urls
        self._turn = 0

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Ask the routers in turns."""
        self._turn += 1
        url = self._urls[self._turn % len(self._urls)]
        async with self._http.request(method, f"{url}{path}", json=body) as answer:
            return answer.status, await answer.json()

    def name(self, number: int) -> str:
        return f"{self.kind}-{number}"

    async def put_all(self) -> None:
        """Put all schedules, with slots spread over the time between two of them."""
        for number in range(SCHEDULES):
            job = {"queue_type": self.kind, "queue_id": f"q{number}", "payload": number, "interval": 0}
            status, answer = await self.ask(
                "PUT", f"/schedule/{self.name(number)}/", {"every": EVERY_MS, "job": job}
            )
            assert status == 200, answer
            await asyncio.sleep(EVERY_MS / 1000 / SCHEDULES)

    async def collect(self) -> None:
        """Finish the jobs that are there; none may come twice."""
        status, answer = await self.ask("POST", f"/dequeue/{self.kind}/?count=1000&lease={LEASE_MS}")
        if status != 200:
            return
        for job in answer["jobs"]:
            name, _, slot = job["job_id"].rpartition("@")
            assert int(slot) not in self.jobs[name], f"{job['job_id']} came twice"
            self.jobs[name][int(slot)] = job["enqueued_at"]
        keys = ("queue_id", "job_id", "lease")
        await self._finish(
            [{"queue_type": self.kind, **{key: job[key] for key in keys}} for job in answer["jobs"]]
        )

    async def _finish(self, jobs: list[dict[str, Any]]) -> None:
        """Finish jobs; those that were not finished, or perhaps, again."""
        deadline_s = time.monotonic() + QUIET_S
        while True:
            status, answer = await self.ask("POST", "/finish/", {"jobs": jobs})
            results = answer["results"] if status == 200 else [answer] * len(jobs)
            failed = [(job, result) for job, result in zip(jobs, results, strict=True) if "code" in result]
            if not failed:
                return
            assert all(result["code"] in SAFE_TO_REPEAT for _, result in failed), failed
            assert time.monotonic() < deadline_s, failed
            jobs = [job for job, _ in failed]
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Pause all schedules, and collect what they have enqueued, also the jobs leased by calls whose answers were
        lost.
        """
        for number in range(SCHEDULES):
            await until_answer(partial(self._pause, self.name(number)), timeout_s=QUIET_S)
        await until_answer(self._is_drained, timeout_s=QUIET_S)

    async def _is_drained(self) -> bool:
        """Collect what is there. Return True if no queue has a job, be it leased."""
        await self.collect()
        status, answer = await self.ask("GET", f"/metrics/{self.kind}/")
        return status == 200 and not answer["queue_ids"]

    async def _pause(self, name: str) -> bool:
        status, _ = await self.ask("POST", f"/schedule/{name}/pause/")
        return status == 200

    async def check(self) -> None:
        """Each firing has left its job, each job is that of a firing, and all schedules go on."""
        for number in range(SCHEDULES):
            _, state = await self.ask("GET", f"/schedule/{self.name(number)}/")
            slots = sorted(self.jobs[self.name(number)])
            assert state["fired"] == len(slots), (state, slots)
            assert state["last_at"] == slots[-1]
            assert state["last_status"] == "queued"
            assert {slot % EVERY_MS for slot in slots} == {slots[0] % EVERY_MS}
            assert slots[-1] > time.time() * 1000 - QUIET_S * 1000

    async def see_all_go_on(self) -> None:
        """Wait until each schedule has a job for a slot from now on."""
        since_ms = time.time() * 1000

        async def are_going_on() -> bool:
            await self.collect()
            return all(max(self.jobs[self.name(n)], default=0) > since_ms for n in range(SCHEDULES))

        await until_answer(are_going_on, timeout_s=QUIET_S)


async def test_a_shard_that_dies_between_a_firing_and_its_answer_leaves_one_job_for_the_slot(
    shared_stage: Stage,
) -> None:
    """The store stands still while slots come, so that firings are on their way to it when the shard is killed."""
    stage, late = shared_stage, 0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        campaign = Campaign(http, stage.cluster.urls)
        await campaign.put_all()
        for round_ in range(ROUNDS):
            await campaign.see_all_go_on()
            victim = stage.cluster.shards[round_ % len(stage.cluster.shards)]
            owners = ring_of(stage).owners
            stage.store.pause()
            await asyncio.sleep(STOP_S)
            victim.kill()
            killed_ms = time.time() * 1000
            stage.store.resume()
            await campaign.see_all_go_on()
            for number in range(SCHEDULES):
                if owners[partition_of(campaign.kind, f"q{number}", DEFAULT_PARTITIONS)] == victim.name:
                    enqueued = campaign.jobs[campaign.name(number)].values()
                    late += any(killed_ms <= at < killed_ms + HEIR_S * 1000 for at in enqueued)
            victim.start()
            stage.cluster.until_members(len(stage.cluster.shards))
        await campaign.stop()
        await campaign.check()
    assert late, "no firing of a dead shard reached the store after its death"


async def test_schedules_go_on_after_kills_of_the_store_and_of_all_shards(shared_stage: Stage) -> None:
    stage = shared_stage
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        campaign = Campaign(http, stage.cluster.urls)
        await campaign.put_all()
        await campaign.see_all_go_on()
        stage.store.kill()
        await asyncio.sleep(2 * STOP_S)
        stage.store.start()
        await campaign.see_all_go_on()
        for shard in stage.cluster.shards:
            shard.kill()
        for shard in stage.cluster.shards:
            shard.start()
        stage.cluster.until_members(len(stage.cluster.shards))
        await campaign.see_all_go_on()
        await campaign.stop()
        await campaign.check()
