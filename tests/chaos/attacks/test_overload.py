"""Ten times as many clients as keep the cluster busy: refused at once, bounded in memory, and back to normal after.

Rates, times and the shares of refusals are printed and not asserted: what the machine does besides is not known here.
On a busy one work ends in doubt before it is refused.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from sharq_core.errors import OutcomeUnknown, Overloaded, Unavailable
from tests.chaos.report import Report
from tests.chaos.stage import QUIET_S, Stage, is_quick, stage
from tests.support.stores.server import running_store

CLIENTS = 40
FLOOD = 10 * CLIENTS
BULK = 250
"""Jobs of one call: those of the flood's clients together are five times what a shard lets wait."""

SINGLES = 5
"""Each fifth client sends single jobs, whose refusal is a status of its own."""

FLOOD_S = 6.0 if is_quick() else 30.0
CALM_S = 1.0

MORE_MIB = 400
"""More memory than before that a process may take: the bounds of its waiting work, and what Python adds."""

REFUSALS = {kind.code: kind.status for kind in (Overloaded, Unavailable, OutcomeUnknown)}
"""OutcomeUnknown: work that was taken on, and not done in its time because the machine was busy."""


class Load(msgspec.Struct):
    """The answers that a number of clients got.

    Attributes:
        accepted: jobs.
        refused: jobs, by the code.
        statuses: of single jobs.
        refusals_s: how long each refused single job took.
        without_hint: refused single jobs that were not told when to come again.
    """

    seconds: float = 0
    accepted: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    refusals_s: list[float] = msgspec.field(default_factory=list)
    without_hint: int = 0

    @property
    def rate(self) -> float:
        """Accepted jobs a second."""
        return self.accepted / self.seconds

    def note(self, answer: dict[str, Any]) -> None:
        """Count one job's answer."""
        self.accepted += answer["status"] == "queued"
        if answer["status"] == "failure":
            self.refused[answer["code"]] += 1


async def load(http: aiohttp.ClientSession, url: str, clients: int, seconds: float) -> Load:
    """So many clients, each of which enqueues again when it is answered."""
    found = Load()
    began_s = time.monotonic()

    async def client(number: int) -> None:
        send = send_one if number % SINGLES == 0 else send_bulk
        while time.monotonic() < began_s + seconds:
            await send(http, url, f"q{number}", found)

    await asyncio.gather(*map(client, range(clients)))
    found.seconds = time.monotonic() - began_s
    return found


async def send_bulk(http: aiohttp.ClientSession, url: str, queue: str, found: Load) -> None:
    """Many jobs in one call."""
    job = {"queue_type": "flood", "queue_id": queue, "interval": 0, "payload": "x" * 100}
    body = io.BytesIO(msgspec.json.encode({"jobs": [job] * BULK}))
    async with http.post(f"{url}/enqueue/", data=body) as reply:
        answer = await reply.json()
    for result in answer.get("results", [answer]):
        found.note(result)


async def send_one(http: aiohttp.ClientSession, url: str, queue: str, found: Load) -> None:
    """One job."""
    began_s = time.monotonic()
    async with http.post(f"{url}/enqueue/flood/{queue}/", json={"interval": 0, "payload": 1}) as reply:
        found.note(await reply.json())
    found.statuses[reply.status] += 1
    if reply.status in (Overloaded.status, Unavailable.status):
        found.refusals_s.append(time.monotonic() - began_s)
        found.without_hint += "Retry-After" not in reply.headers


def resident_mib(pid: int) -> int:
    """Memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


@pytest.fixture
def small_stage(seed: int, report: Report) -> Iterator[Stage]:
    """One router and one shard."""
    with running_store("valkey") as store, stage(store, seed, report, routers=1, shards=1) as found:
        yield found


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    limits = aiohttp.ClientTimeout(total=QUIET_S)
    async with aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="a process's memory is read from /proc")
async def test_a_flood_is_refused_at_once_and_leaves_nothing_behind(
    small_stage: Stage, http: aiohttp.ClientSession
) -> None:
    (url,) = small_stage.cluster.urls
    pids = [process.pid for process in (*small_stage.cluster.routers, *small_stage.cluster.shards)]
    normal = await load(http, url, CLIENTS, FLOOD_S / 3)
    before_mib = [resident_mib(pid) for pid in pids]
    flood = await load(http, url, FLOOD, FLOOD_S)
    after_mib = [resident_mib(pid) for pid in pids]
    calm = await load(http, url, SINGLES, CALM_S)
    tell(normal, flood, calm, before_mib, after_mib)
    assert not normal.refused
    assert flood.refused.keys() <= REFUSALS.keys()
    assert flood.statuses.keys() <= {201, *REFUSALS.values()}
    assert flood.refused, "the flood was below what it can take"
    assert not flood.without_hint
    assert flood.accepted
    assert all(after <= before + MORE_MIB for before, after in zip(before_mib, after_mib, strict=True))
    assert not calm.refused
    assert calm.accepted


def tell(normal: Load, flood: Load, calm: Load, before_mib: list[int], after_mib: list[int]) -> None:
    """Print the measurements; shown by `ARGS=-s` and when the test fails."""
    refused_s = statistics.median(flood.refusals_s) if flood.refusals_s else 0.0
    print(f"accepted jobs/s: {normal.rate:.0f} before, {flood.rate:.0f} in the flood, {calm.rate:.0f} after")
    print(f"refused jobs: {dict(flood.refused)}; single jobs by status: {dict(flood.statuses)}")
    print(
        f"median time of a refusal: {refused_s:.3f} s; MiB of router and shard: {before_mib} -> {after_mib}"
    )
