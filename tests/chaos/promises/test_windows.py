"""No lease begins outside the window of its job while shards, routers and the store die (I16).

One window is open in even minutes and another one in odd minutes, so that in each minute one opens and the other one
closes.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from tests.chaos.stage import INTERVAL_MS, QUIET_S, Stage, is_quick
from tests.chaos.test_processes import come_back, until_serving
from tests.support.load.crowd import Crowd
from tests.support.load.history import Lease
from tests.support.load.promise import Promise, Rate
from tests.support.processes.servers import SharqProcess
from tests.support.waits import until, until_answer

pytestmark = pytest.mark.timeout(300)

MINUTE_MS = 60_000
MINUTES = 12
"""Minutes for which the windows are defined, from the one before the run on; a run takes two."""

ZONES = (ZoneInfo("Asia/Kathmandu"), ZoneInfo("Asia/Kolkata"))
"""Those of the windows of even and of odd minutes."""

LEAD_S = 10.0
"""The load begins so long before the minute ends."""

BEFORE_S = 1.0
"""The fault begins so long before the minute ends."""

SOME = 20
"""Jobs that waited for a window, at least."""

Fault: TypeAlias = Callable[[Stage], Awaitable[None]]


def minute_of(at_ms: float) -> int:
    return int(at_ms // MINUTE_MS)


def ranges_of(parity: int) -> list[dict[str, str]]:
    """Return the ranges of the even minutes (0) or of the odd ones (1) from now on."""
    first = minute_of(time.time() * 1000) - 1
    minutes = [minute for minute in range(first, first + MINUTES) if minute % 2 == parity]
    begins = [datetime.fromtimestamp(minute * 60, ZONES[parity]) for minute in minutes]
    return [
        {"days": "daily", "from": f"{begin:%H:%M}", "to": f"{begin + timedelta(minutes=1):%H:%M}"}
        for begin in begins
    ]


async def put_window(stage: Stage, name: str, parity: int, ranges: list[dict[str, str]]) -> None:
    """Put a window, again and again until every partition has it."""
    definition = {"tz": str(ZONES[parity]), "open": ranges}

    async def put(http: aiohttp.ClientSession) -> Any:
        async with http.put(f"{stage.cluster.urls[0]}/window/{name}/", json=definition) as reply:
            return reply.status

    async with aiohttp.ClientSession() as http:
        await until_answer(partial(put, http), lambda status: status == 200, QUIET_S)


async def kill_shards(stage: Stage) -> None:
    """Kill two of three shards: what waits in their partitions is soon served by the third."""
    victims = stage.cluster.shards[:2]
    for shard in victims:
        shard.kill()
    await asyncio.sleep(stage.pace.hold_s)
    for shard in victims:
        await come_back(shard)
    await until_serving(stage, len(stage.cluster.shards))


async def kill_store(stage: Stage) -> None:
    stage.store.kill()
    await asyncio.sleep(stage.pace.hold_s)
    stage.store.start()


async def kill_store_and_a_shard(stage: Stage) -> None:
    shard = stage.cluster.shards[0]
    shard.kill()
    await kill_store(stage)
    await come_back(shard)
    await until_serving(stage, len(stage.cluster.shards))


async def kill_routers(stage: Stage) -> None:
    async def replace(router: SharqProcess) -> None:
        router.kill()
        await come_back(router)

    for router in stage.cluster.routers:
        await replace(router)


SCENARIOS: dict[str, Fault] = {
    "kill -9 of the store and of a shard": kill_store_and_a_shard,
    "kill -9 of two shards": kill_shards,
    "kill -9 of the store, restart from its AOF": kill_store,
    "kill -9 of each router": kill_routers,
}


@pytest.mark.parametrize("scenario", list(SCENARIOS)[:1] if is_quick() else SCENARIOS)
async def test_windows_are_kept_through(shared_stage: Stage, scenario: str) -> None:
    stage, run = shared_stage, uuid.uuid4().hex[:8]
    names = [f"even-{run}", f"odd-{run}"]
    await asyncio.sleep((-LEAD_S - stage.pace.lead_s - time.time()) % 60)
    for parity, name in enumerate(names):
        await put_window(stage, name, parity, ranges_of(parity))
    bounds_ms: list[float] = []

    async def fault(crowd: Crowd) -> None:
        now_s = time.time()
        minute = minute_of(now_s * 1000) + 1
        await asyncio.sleep(minute * 60 - BEFORE_S - now_s)
        await SCENARIOS[scenario](stage)
        opened, closed = names[minute % 2], names[1 - minute % 2]
        await until(
            lambda: len(leases_of(crowd, opened)) > SOME, QUIET_S, "what waited for the minute leaves"
        )
        await crowd.go_on(stage.pace.lead_s)
        waiting = len(leases_of(crowd, closed))
        bounds_ms.append(time.time() * 1000)
        # A lease of the new definition must not be taken for one of the old, so the closed window is opened at the end.
        for parity, name in enumerate(names):
            await put_window(stage, name, parity, [{"days": "daily", "from": "00:00", "to": "24:00"}])
        await until(
            lambda: len(leases_of(crowd, closed)) > waiting + SOME, QUIET_S, "what waited for it leaves"
        )

    promise = Promise(Rate(INTERVAL_MS), windows=(*names, None))
    _, history = await stage.play(f"windows: {scenario}", fault, promise=promise)
    (until_ms,) = bounds_ms
    judged = [lease for lease in history.leases if lease.at_ms < until_ms]
    assert not [lease for lease in judged if not is_open(promise.window(lease.job[0]), lease)]
    assert {promise.window(lease.job[0]) for lease in judged} == set(promise.windows)


def leases_of(crowd: Crowd, window: str) -> list[Lease]:
    promise = crowd.history.promise
    return [lease for lease in crowd.history.leases if promise.window(lease.job[0]) == window]


def is_open(window: str | None, lease: Lease) -> bool:
    """Return True if a window was open when a lease began, by the store's clock."""
    return window is None or minute_of(lease.at_ms) % 2 == window.startswith("odd")
