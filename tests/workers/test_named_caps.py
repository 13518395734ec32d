"""Named caps over two workers: queues with caps are served at whichever worker the dequeue arrives, under one bound."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.processes.servers import PATIENT, SharqServer, running_server
from tests.workers.servers import clients


@pytest.fixture(scope="module")
def server() -> Iterator[SharqServer]:
    with running_server("--workers", "2", environ=PATIENT) as running:
        yield running


async def test_a_job_with_caps_of_one_worker_is_leased_at_the_other(server: SharqServer) -> None:
    async with clients(server) as (first, second):
        assert (await first.ask("PUT", "/cap/acct/", {"rate": "1000/s", "burst": 20}))[0] == 200
        for number, (enqueuing, waiting) in enumerate([(first, second), (second, first)] * 3):
            await enqueuing.enqueue("capped", f"q{number}", "j", caps=["acct"])
            status, job = await asyncio.wait_for(waiting.dequeue("capped", wait_ms=20_000), 30)
            assert (status, job["queue_id"]) == (200, f"q{number}")


async def test_both_workers_together_keep_a_cap(server: SharqServer) -> None:
    async with clients(server) as (first, second):
        assert (await first.ask("PUT", "/cap/slow/", {"rate": "1/h", "burst": 4}))[0] == 200
        for number in range(12):
            await first.enqueue("kept", f"q{number}", "j", caps=["slow"])
        polls = [client.dequeue("kept", wait_ms=3_000) for client in (first, second) for _ in range(4)]
        leased = [status for status, _ in await asyncio.gather(*polls)]
        # A busy machine may lose a slot before its dequeue arrives, but none is added.
        assert 1 <= leased.count(200) <= 4
