"""A server with workers for tests: its workers' process ids, and a connection to each of them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes.servers import SharqServer
from tests.support.waits import wait_until

Answer = tuple[int, dict[str, Any]]


def is_there(pid: int) -> bool:
    """The process lives; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return state_of(pid) != "Z"


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until_gone(pids: list[int]) -> None:
    wait_until(lambda: not any(map(is_there, pids)), 60, f"none of {pids} is there")


def children(server: SharqServer) -> dict[str, list[int]]:
    """The process ids of a server's children: `workers`, in their order, and `store`."""
    pids = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
    return {
        "workers": [pid for pid, words in commands.items() if b"sharq_server.workers.main" in words],
        "store": [pid for pid, words in commands.items() if b"valkey" in words.split(b"\0")[0]],
    }


class Client:
    """One connection, which stays with the worker that it was given to."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def ask(self, method: str, path: str, body: object = None) -> Answer:
        async with self._session.request(
            method, self._url + path, data=None if body is None else json.dumps(body)
        ) as answer:
            return answer.status, await answer.json()

    async def enqueue(self, queue_type: str, queue_id: str, job_id: str, **more: object) -> Answer:
        body = {"job_id": job_id, "interval": 0, "payload": job_id, **more}
        return await self.ask("POST", f"/enqueue/{queue_type}/{queue_id}/", body)

    async def dequeue(self, queue_type: str, wait_ms: int = 0) -> Answer:
        return await self.ask("GET", f"/dequeue/{queue_type}/?wait={wait_ms}")

    async def text(self, path: str) -> str:
        async with self._session.get(self._url + path) as answer:
            return await answer.text()

    async def process(self) -> int:
        """The number of the worker at the other end: the only one whose count of /healthz grows by these calls."""
        before = _health_checks(await self.text("/metrics"))
        for _ in range(3):
            await self.text("/healthz")
        after = _health_checks(await self.text("/metrics"))
        grown = [number for number, count in after.items() if count >= before.get(number, 0) + 3]
        assert len(grown) == 1, (before, after)
        return grown[0]


def _health_checks(metrics: str) -> Mapping[int, float]:
    """The requests of /healthz that each worker has answered."""
    counts: dict[int, float] = {}
    for line in metrics.splitlines():
        if line.startswith("sharq_router_requests_total{") and 'operation="healthz"' in line:
            number = int(line.partition('process="')[2].partition('"')[0])
            counts[number] = counts.get(number, 0.0) + float(line.rpartition(" ")[2])
    return counts


@asynccontextmanager
async def clients(server: SharqServer, count: int = 2) -> AsyncIterator[list[Client]]:
    """Connections, one to each worker in turn while all run."""
    async with AsyncExitStack() as stack:
        made: list[Client] = []
        for _ in range(count):
            connector = aiohttp.TCPConnector(limit=1)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            client = Client(server.url, session)
            await client.text("/healthz")
            made.append(client)
        yield made


async def until_waiting(client: Client, count: int) -> None:
    """Wait until so many polls wait, over all workers."""
    async with asyncio.timeout(30):
        while True:
            families = text_string_to_metric_families(await client.text("/metrics"))
            waiting = [
                sample.value
                for family in families
                for sample in family.samples
                if sample.name == "sharq_router_waiting_dequeues"
            ]
            if sum(waiting) == count:
                return
            await asyncio.sleep(0.05)
