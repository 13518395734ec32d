"""Costs, holds, leases at one time and the caps of a gathered type are kept while processes die and shards change
(I12, I13, I14). What is counted is in tests/support/load/verdict.py.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import aiohttp
import pytest

from sharq_core.limits import LimitUnit
from tests.chaos.report import Report
from tests.chaos.stage import QUIET_S, Stage, is_quick
from tests.chaos.test_failover import EVENTS, ROUNDS, play_events, sentinel_stage
from tests.chaos.test_processes import come_back, stop, until_serving
from tests.support.load.crowd import LIMITED, Crowd
from tests.support.load.history import History
from tests.support.load.promise import Change, Promise, Rate
from tests.support.load.verdict import Counts

QUEUES = 8
JOBS, UNITS = LimitUnit.JOB, LimitUnit.COST

PLAIN = Promise(Rate(50, burst=1.5), most_cost=3, max_leased=2)
"""The limits of every queue of a plain type."""

CAPS = (Rate(20, 1, JOBS), Rate(5, 12, UNITS))
"""50 jobs a second, evenly, and 200 units: jobs cost 1 to 3, so that now the one cap holds back and now the other."""

GATHERED = Promise(Rate(50, burst=1.5), most_cost=3, max_leased=2, gap_ms=170, caps=CAPS, type_max_leased=6)
"""Eight queues get 47 jobs a second together, and 94 units."""

Fault: TypeAlias = Callable[[Stage, Crowd], Awaitable[None]]


async def set_caps(stage: Stage, kind: str, promise: Promise, caps: tuple[Rate, ...]) -> None:
    """Set the limits of a type."""
    limits = [{"interval": cap.interval_ms, "burst": cap.burst, "unit": cap.unit.value} for cap in caps]
    body = {"limits": limits, "max_leased": promise.type_max_leased}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{stage.cluster.urls[0]}/type/{kind}/", json=body) as reply,
    ):
        assert reply.status == 200, await reply.text()


async def play(stage: Stage, scenario: str, fault: Fault, promise: Promise) -> tuple[Counts, History]:
    """Play a scenario with the limits of a promise."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    kind = f"{name}~a" if promise.caps else name
    if promise.caps:
        await set_caps(stage, kind, promise, promise.caps)
    counts, history = await stage.play(
        f"{'gathered type' if promise.caps else 'limits'}: {scenario}",
        lambda crowd: fault(stage, crowd),
        habits=LIMITED,
        queues=QUEUES,
        promise=promise,
        kind=kind,
    )
    assert any(end.hold_ms for end in history.ends), "a queue was held"
    assert any(lease.cost > 1 for lease in history.leases), "a job was costly"
    return counts, history


async def kill_routers(stage: Stage, crowd: Crowd) -> None:
    for router in stage.cluster.routers:
        router.kill()
        await asyncio.sleep(stage.pace.hold_s / 2)
        await come_back(router)


async def kill_each_shard(stage: Stage, crowd: Crowd) -> None:
    """One of them owns the gathered type."""
    for shard in stage.cluster.shards:
        shard.kill()
        await crowd.go_on(stage.pace.lead_s / 2)
        await come_back(shard)
        await until_serving(stage, len(stage.cluster.shards))


async def kill_store(stage: Stage, crowd: Crowd) -> None:
    stage.store.kill()
    await asyncio.sleep(stage.pace.hold_s / 2)
    stage.store.start()


async def join_and_leave(stage: Stage, crowd: Crowd) -> None:
    """Two shards join, and then leave in order: partitions move there and back."""
    cluster = stage.cluster
    count = len(cluster.shards)
    newcomers = [cluster.make_shard(f"newcomer-{number}") for number in range(2)]
    for newcomer in newcomers:
        await come_back(newcomer)
    await until_serving(stage, count + 2)
    await crowd.go_on(stage.pace.lead_s / 2)
    for newcomer in newcomers:
        await stop(newcomer)
    await until_serving(stage, count)


FAULTS: dict[str, Fault] = {
    "kill -9 of each router": kill_routers,
    "kill -9 of each shard": kill_each_shard,
    "kill -9 of the store, restart from its AOF": kill_store,
    "two shards join and leave": join_and_leave,
}

PROMISES = {"plain": PLAIN, "gathered": GATHERED}


@pytest.mark.parametrize("kind", PROMISES)
@pytest.mark.parametrize("scenario", FAULTS)
async def test_limits_are_kept_through(shared_stage: Stage, scenario: str, kind: str) -> None:
    if is_quick() and (scenario, kind) in SLOW:
        pytest.skip("in the full run")
    await play(shared_stage, scenario, FAULTS[scenario], PROMISES[kind])


SLOW = frozenset({("kill -9 of each router", "plain"), ("two shards join and leave", "plain")})
"""Scenarios that the quick run plays on the gathered type only, which has all of the plain type's limits, too."""


async def test_new_caps_are_kept_from_the_call_on(shared_stage: Stage) -> None:
    async def fault(stage: Stage, crowd: Crowd) -> None:
        for caps in ((Rate(60, 1, JOBS),), (Rate(15, 1.1, JOBS), Rate(5, 5, UNITS)), CAPS):
            sent_ms = time.time() * 1000
            await set_caps(stage, crowd.kind, GATHERED, caps)
            crowd.history.changes.append(Change(sent_ms, time.time() * 1000, caps))
            await crowd.go_on(stage.pace.lead_s / 2)

    await play(shared_stage, "three changes of its caps", fault, GATHERED)


async def test_a_hold_and_a_pause_of_the_type_outlive_the_store(shared_stage: Stage) -> None:
    """Nothing is leased while the type is paused, although every process and the store are killed meanwhile."""

    async def fault(stage: Stage, crowd: Crowd) -> None:
        async with aiohttp.ClientSession() as http:
            await call(http, stage, f"/type/{crowd.kind}/pause/")
            paused_ms = time.time() * 1000
            stage.store.kill()
            stage.cluster.shards[0].kill()
            await asyncio.sleep(stage.pace.hold_s / 2)
            stage.store.start()
            await come_back(stage.cluster.shards[0])
            await until_serving(stage, len(stage.cluster.shards))
            resumed_ms = time.time() * 1000
            await call(http, stage, f"/type/{crowd.kind}/resume/")
        assert not [lease for lease in crowd.history.leases if paused_ms < lease.at_ms < resumed_ms - 1]

    await play(shared_stage, "paused while the store and a shard are killed", fault, GATHERED)


async def call(http: aiohttp.ClientSession, stage: Stage, path: str) -> None:
    """Send a call that is safe to repeat until it is done."""
    until_s = time.monotonic() + QUIET_S
    while True:
        async with http.post(stage.cluster.urls[0] + path) as reply:
            answer: Any = await reply.text()
        if reply.status == 200:
            return
        assert time.monotonic() < until_s, answer
        await asyncio.sleep(0.1)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["gathered"] if is_quick() else PROMISES)
async def test_limits_are_kept_through_failovers(kind: str, seed: int, report: Report) -> None:
    """With `replicated`: a primary that gave leases which its replica lacks would give more than the caps allow."""
    events = ["SENTINEL FAILOVER"] if is_quick() else list(EVENTS)
    with sentinel_stage("replicated", 2, seed, report) as (found, group):
        for name in events:

            async def fault(stage: Stage, crowd: Crowd, name: str = name) -> None:
                await play_events(stage, group, crowd, name, ROUNDS)

            await play(found, f"{name}, replicated, 2 replicas", fault, PROMISES[kind])
