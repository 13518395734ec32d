"""Clients of one address, a load balancer's, that count every answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

DEADLINE_S = 60.0
CLIENTS = 8
PAUSE_S = 0.005
"""The pause of a client after each job: some are always under way, and what is in front has time to work."""


class Load:
    """Clients that enqueue, dequeue with a wait, and finish, one after the other.

    Attributes:
        done: jobs that went all the way.
        answers: requests by status; 0 for no answer.
        last_failure: in words.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.done = 0
        self.answers: Counter[int] = Counter()
        self.last_failure = ""

    async def go_on(self, more: int) -> None:
        """Wait until this many more jobs are done."""
        wanted = self.done + more
        async with asyncio.timeout(DEADLINE_S):
            while self.done < wanted:
                await asyncio.sleep(0.01)

    async def client(self, kind: str) -> None:
        """Act as one client, until cancelled."""
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as http:
            number = 0
            while True:
                number += 1
                await self._job(http, kind, f"j{number}")
                await asyncio.sleep(PAUSE_S)

    async def _job(self, http: aiohttp.ClientSession, kind: str, job_id: str) -> None:
        job = {"job_id": job_id, "interval": 0, "payload": None}
        if await self._ask(http, f"/enqueue/{kind}/1/", job) is None:
            return
        found = await self._ask(http, f"/dequeue/{kind}/?wait=1000&count=10", {})
        if found is None:
            return
        jobs = [{"queue_type": kind, **one} for one in found["jobs"]]
        names = ("queue_type", "queue_id", "job_id", "lease")
        body = {"jobs": [{name: one[name] for name in names} for one in jobs]}
        if await self._ask(http, "/finish/", body) is not None:
            self.done += len(jobs)

    async def _ask(
        self, http: aiohttp.ClientSession, path: str, body: object
    ) -> dict[str, list[dict[str, str]]] | None:
        """Return the answer if it is one of success; None for another one, such as a dequeue that found nothing."""
        try:
            async with http.post(self._url + path, json=body) as answer:
                self.answers[answer.status] += 1
                if answer.status >= 300:
                    self.last_failure = f"{answer.status}: {await answer.text()}"
                    return None
                parsed: dict[str, list[dict[str, str]]] = await answer.json(content_type=None)
                return parsed
        except aiohttp.ClientError as error:
            self.answers[0] += 1
            self.last_failure = repr(error)
            return None


@asynccontextmanager
async def running_load(url: str) -> AsyncIterator[Load]:
    load = Load(url)
    async with asyncio.TaskGroup() as clients:
        tasks = [clients.create_task(load.client(f"sms{number}")) for number in range(CLIENTS)]
        yield load
        for task in tasks:
            task.cancel()
