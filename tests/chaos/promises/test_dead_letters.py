"""All dead letters are redriven while workers fail everything: each walk ends, also when its client has left."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import aiohttp

from tests.chaos import audit
from tests.chaos.stage import QUIET_S, Stage, is_quick
from tests.support.waits import until

JOBS = 500 if is_quick() else 3000
BULK = 500
ENDS_WITHIN_S = 30.0


class Poison:
    """Jobs of one type that every worker fails.

    Attributes:
        died: how often one was failed so far.
    """

    def __init__(self, http: aiohttp.ClientSession, urls: list[str], kind: str) -> None:
        self.died = 0
        self._http = http
        self._urls = urls
        self._kind = kind
        self._turn = 0

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        self._turn += 1
        url = self._urls[self._turn % len(self._urls)]
        async with self._http.request(method, f"{url}{path}", json=body) as answer:
            return await answer.json()

    async def enqueue(self) -> None:
        jobs = [
            {
                "queue_type": self._kind,
                "queue_id": f"q{number % 7}",
                "payload": number,
                "interval": 0,
                "requeue_limit": 0,
            }
            for number in range(JOBS)
        ]
        for first in range(0, JOBS, BULK):
            await self.ask("POST", "/enqueue/", {"jobs": jobs[first : first + BULK]})

    async def fail_everything(self) -> None:
        """Lease and give back, until cancelled: a job that fails once is dead."""
        while True:
            leased = await self.ask("POST", f"/dequeue/{self._kind}/?count=200&wait=200")
            jobs = [
                {
                    "queue_type": self._kind,
                    "queue_id": job["queue_id"],
                    "job_id": job["job_id"],
                    "lease": job["lease"],
                }
                for job in leased.get("jobs", [])
            ]
            if jobs:
                await self.ask("POST", "/release/", {"jobs": jobs})
                self.died += len(jobs)


async def test_redrive_of_all_ends_while_workers_fail_everything(shared_stage: Stage) -> None:
    kind = f"t-{uuid.uuid4().hex[:12]}"
    timeout = aiohttp.ClientTimeout(total=ENDS_WITHIN_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        poison = Poison(http, shared_stage.cluster.urls, kind)
        await poison.enqueue()
        workers = [asyncio.create_task(poison.fail_everything()) for _ in range(3)]
        await until(lambda: poison.died >= JOBS, QUIET_S, "every job has died")
        for _ in range(3):
            before = poison.died
            answer = await poison.ask("POST", f"/dead/{kind}/redrive/")
            assert 0 < answer["redriven"] <= JOBS
            await until(lambda: poison.died > before, QUIET_S, "what was redriven dies again")  # noqa: B023
        await leave_in_the_middle(shared_stage.cluster.urls[0], kind)
        before, since_s = poison.died, time.monotonic()
        await until(lambda: time.monotonic() > since_s + 2, QUIET_S, "two seconds have passed")
        assert poison.died - before <= 2 * JOBS, "a walk whose client left goes on"
        dropped = await poison.ask("DELETE", f"/dead/{kind}/")
        assert dropped["dropped"] <= JOBS
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    with audit.one_client(shared_stage.store.client) as client_of:
        audit.assert_conserved(client_of, shared_stage.prefix, kind)


async def leave_in_the_middle(url: str, kind: str) -> None:
    """Ask for a redrive of all and close the connection at once."""
    host, _, port = url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST /dead/{kind}/redrive/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
    await writer.drain()
    writer.transport.abort()
