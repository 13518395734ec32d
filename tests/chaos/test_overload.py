"""Ten times as many clients as the cluster can serve: refused at once, bounded in memory, and back to normal after.

Rates are printed and not asserted: what the machine does besides is not known here.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from tests.chaos.report import Report
from tests.chaos.stage import QUIET_S, Stage, is_quick, stage
from tests.chaos.toxics import Proxies, Toxic, running_toxiproxy
from tests.conftest import running_store

CLIENTS = 40
FLOOD = 10 * CLIENTS
BULK = 250
FLOOD_S = 6.0 if is_quick() else 30.0
STORE_LATENCY_MS = 400
"""Makes the cluster's capacity small, so that the flood is above it on any machine."""

MORE_MIB = 400
"""More memory than before that a process may take: the bounds of its waiting work, and what Python adds."""

REFUSALS = frozenset({429, 503})


class Load(msgspec.Struct):
    """What a number of clients were answered.

    Attributes:
        statuses: of whole requests.
        accepted, refused: jobs; those of refused requests are not counted.
        without_hint: refused requests that did not say when to come again.
    """

    seconds: float = 0
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    accepted: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    without_hint: int = 0

    @property
    def rate(self) -> float:
        """Accepted jobs a second."""
        return self.accepted / self.seconds


async def load(http: aiohttp.ClientSession, urls: list[str], clients: int, seconds: float) -> Load:
    """Bulk enqueues from so many clients, each of which sends the next when the last is answered."""
    found = Load()
    began_s = time.monotonic()

    async def client(number: int) -> None:
        job = {"queue_type": "flood", "queue_id": f"q{number}", "interval": 0, "payload": "x" * 100}
        body = msgspec.json.encode({"jobs": [job] * BULK})
        while time.monotonic() < began_s + seconds:
            async with http.post(f"{urls[number % len(urls)]}/enqueue/", data=body) as reply:
                note(found, reply, await reply.json())

    await asyncio.gather(*map(client, range(clients)))
    found.seconds = time.monotonic() - began_s
    return found


def note(found: Load, reply: aiohttp.ClientResponse, answer: dict[str, list[dict[str, str]]]) -> None:
    """Count one answer."""
    found.statuses[reply.status] += 1
    if reply.status in REFUSALS:
        found.without_hint += "Retry-After" not in reply.headers
    for result in answer.get("results", []):
        found.accepted += result["status"] == "queued"
        if result["status"] == "failure":
            found.refused[result["code"]] += 1


def resident_mib(pid: int) -> int:
    """Memory of a process, on Linux."""
    (line,) = (
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return int(line.split()[1]) // 1024


@pytest.fixture
def slow_stage(seed: int, report: Report) -> Iterator[tuple[Stage, Proxies]]:
    """One router and one shard, whose store lies behind a proxy."""
    with running_toxiproxy() as proxies, running_store("valkey") as store:
        url = f"redis://127.0.0.1:{proxies.port_before(store.port)}/0"
        with stage(store, seed, report, store_url=url, routers=1, shards=1) as found:
            yield found, proxies


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    limits = aiohttp.ClientTimeout(total=QUIET_S)
    async with aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def test_a_flood_is_refused_at_once_and_leaves_nothing_behind(
    slow_stage: tuple[Stage, Proxies], http: aiohttp.ClientSession
) -> None:
    stage, proxies = slow_stage
    cluster = stage.cluster
    pids = [process.pid for process in (*cluster.routers, *cluster.shards)]
    async with proxies.toxic(stage.store.port, Toxic("latency", "downstream", {"latency": STORE_LATENCY_MS})):
        normal = await load(http, cluster.urls, CLIENTS, 3.0)
        before_mib = [resident_mib(pid) for pid in pids]
        flood = await load(http, cluster.urls, FLOOD, FLOOD_S)
        after_mib = [resident_mib(pid) for pid in pids]
    calm = await load(http, cluster.urls, 4, 1.0)
    print(f"accepted jobs/s: {normal.rate:.0f} before, {flood.rate:.0f} in the flood, {calm.rate:.0f} after")
    print(f"flood: {flood.statuses} {flood.refused}; MiB {before_mib} -> {after_mib}")
    assert not normal.refused and set(normal.statuses) == {200}
    assert set(flood.statuses) <= {200, *REFUSALS}
    assert set(flood.refused) <= {"overloaded", "unavailable"}
    assert flood.refused or flood.statuses.keys() & REFUSALS, "the flood was below what it can take"
    assert not flood.without_hint
    assert flood.accepted
    assert all(after <= before + MORE_MIB for before, after in zip(before_mib, after_mib, strict=True))
    assert not calm.refused and set(calm.statuses) == {200}
    assert calm.accepted
