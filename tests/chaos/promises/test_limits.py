"""Costs, holds, leases at one time and the caps of a gathered type are kept while processes die and shards change
(I12, I13, I14). What is counted is in tests/support/load/verdict.py.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import aiohttp
import pytest

from sharq_core.limits import Limit, LimitUnit, TypeSettings
from sharq_core.partitions import DEFAULT_PARTITIONS, Ring, partition_of
from sharq_core.scheduler.limit_calls import TypeCalls
from tests.chaos.report import Report
from tests.chaos.stage import QUIET_S, Stage, is_quick
from tests.chaos.stores.test_failover import EVENTS, ROUNDS, play_events, sentinel_stage
from tests.chaos.test_processes import come_back, stop, until_serving
from tests.support.load.crowd import LIMITED, Crowd
from tests.support.load.history import History
from tests.support.load.promise import Change, Promise, Rate, Taken, too_early
from tests.support.load.verdict import Counts
from tests.support.processes.servers import serving

QUEUES = 8
JOBS, UNITS = LimitUnit.JOB, LimitUnit.COST

RATE = Rate(70, burst=1.5)

PLAIN = Promise(RATE, most_cost=3, max_leased=2, gap_ms=200)
"""The limits of every queue of a plain type."""

CAPS = (Rate(20, 1, JOBS), Rate(12, 3, UNITS))
"""50 jobs a second, evenly, and 83 units: jobs cost 1 to 3, so that now the one cap holds back and now the other."""

GATHERED = Promise(RATE, most_cost=3, max_leased=2, gap_ms=250, caps=CAPS, type_max_leased=6)
"""Eight queues get 32 jobs a second together, and 64 units."""

USED_WITHIN_S = 30.0
"""The most time after a fault in which every rate must hold a lease back; a busy machine reaches the rates seldom."""

Fault: TypeAlias = Callable[[Stage, Crowd], Awaitable[None]]


def set_caps(stage: Stage, kind: str, caps: tuple[Rate, ...]) -> None:
    """Set the limits of a type in the store."""
    limits = [Limit(cap.unit, round(cap.interval_ms * 1000), cap.burst) for cap in caps]
    settings = TypeSettings(limits=limits, max_leased=GATHERED.type_max_leased)
    with stage.driver(kind) as driver:
        driver.value(TypeCalls(driver.keys).set_type(driver.partition, kind, settings))


def ring_of(stage: Stage, *more: str) -> Ring:
    """Return the ring of the shards that serve now, and of more."""
    members = frozenset([*serving(stage.cluster.routers[0]), *more])
    return Ring.build(0, members, DEFAULT_PARTITIONS)


def newcomer_for(stage: Stage, kind: str) -> str:
    """Return the name of a shard that will own a gathered type when it joins."""
    place = partition_of(kind, "", DEFAULT_PARTITIONS)
    names = (f"newcomer-{number}" for number in itertools.count())
    return next(name for name in names if ring_of(stage, name).owners[place] == name)


async def play(stage: Stage, scenario: str, fault: Fault, promise: Promise) -> tuple[Counts, History]:
    """Play a scenario with the limits of a promise, until each of them has held a lease back."""
    rates = (promise.rate, *promise.caps)

    async def fault_and_more(crowd: Crowd) -> None:
        await fault(stage, crowd)
        deadline_s = time.monotonic() + USED_WITHIN_S
        while not all(is_used(crowd.history, rate) for rate in rates) and time.monotonic() < deadline_s:
            await crowd.go_on(stage.pace.lead_s)

    name = f"t-{uuid.uuid4().hex[:12]}"
    kind = f"{name}~a" if promise.caps else name
    if promise.caps:
        set_caps(stage, kind, promise.caps)
    counts, history = await stage.play(
        f"{'gathered type' if promise.caps else 'limits'}: {scenario}",
        fault_and_more,
        habits=LIMITED,
        queues=QUEUES,
        promise=promise,
        kind=kind,
    )
    assert any(end.hold_ms for end in history.ends), "a queue was held"
    assert any(lease.cost > 1 for lease in history.leases), "a job was costly"
    for rate in rates:
        assert is_used(history, rate), f"a lease waited for {rate}"
    return counts, history


def is_used(history: History, rate: Rate) -> bool:
    """Return True if a rate slower by a quarter would have been broken: without that, a run would show nothing."""
    slower = Rate(rate.interval_ms * 1.25, rate.burst, rate.unit)
    of_type = sorted(history.leases, key=lambda lease: lease.at_ms)
    groups = [of_type]
    if rate == history.promise.rate:
        groups = [[lease for lease in of_type if lease.job[0] == f"q{number}"] for number in range(QUEUES)]
    return any(too_early([Taken(lease.at_ms, lease.cost) for lease in group], slower) for group in groups)


async def kill_routers(stage: Stage, crowd: Crowd) -> None:
    for router in stage.cluster.routers:
        router.kill()
        await asyncio.sleep(stage.pace.hold_s / 2)
        await come_back(router)


async def kill_shards(stage: Stage, crowd: Crowd) -> None:
    """The owner of the gathered type; in the full run each of them, one after the other."""
    owner = ring_of(stage).owners[partition_of(crowd.kind, "", DEFAULT_PARTITIONS)]
    for shard in stage.cluster.shards:
        if shard.name == owner or not is_quick():
            shard.kill()
            await crowd.go_on(stage.pace.lead_s / 2)
            await come_back(shard)
            await until_serving(stage, len(stage.cluster.shards))


async def kill_store(stage: Stage, crowd: Crowd) -> None:
    stage.store.kill()
    await asyncio.sleep(stage.pace.hold_s / 2)
    stage.store.start()


async def join_and_leave(stage: Stage, crowd: Crowd) -> None:
    """A shard joins that owns the gathered type, and leaves in order."""
    cluster = stage.cluster
    newcomer = cluster.make_shard(newcomer_for(stage, crowd.kind))
    await come_back(newcomer)
    await until_serving(stage, len(cluster.shards) + 1)
    await crowd.go_on(stage.pace.lead_s)
    await stop(newcomer)
    await until_serving(stage, len(cluster.shards))


FAULTS: dict[str, Fault] = {
    "kill -9 of each router": kill_routers,
    "kill -9 of shards": kill_shards,
    "kill -9 of the store, restart from its AOF": kill_store,
    "a shard joins and leaves": join_and_leave,
}

PROMISES = {"gathered": GATHERED, "plain": PLAIN}
KINDS = list(PROMISES)[:1] if is_quick() else list(PROMISES)
"""The gathered type has all the limits of the plain one, too, so the quick run is content with it."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", FAULTS)
async def test_limits_are_kept_through(shared_stage: Stage, scenario: str, kind: str) -> None:
    await play(shared_stage, scenario, FAULTS[scenario], PROMISES[kind])


async def test_new_caps_are_kept_from_the_call_on(shared_stage: Stage) -> None:
    async def fault(stage: Stage, crowd: Crowd) -> None:
        for caps in ((Rate(60, 1, JOBS),), (Rate(15, 1.1, JOBS), Rate(5, 5, UNITS)), CAPS):
            sent_ms = time.time() * 1000
            set_caps(stage, crowd.kind, caps)
            crowd.history.changes.append(Change(sent_ms, time.time() * 1000, caps))
            await crowd.go_on(stage.pace.lead_s / 2)

    await play(shared_stage, "three changes of its caps", fault, GATHERED)


@pytest.mark.skipif(is_quick(), reason="ten seconds; in the full run")
async def test_a_pause_of_the_type_outlive_the_store(shared_stage: Stage) -> None:
    """Nothing is leased while the type is paused, although the store and a shard are killed meanwhile."""

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
@pytest.mark.parametrize("kind", KINDS)
async def test_limits_are_kept_through_failovers(kind: str, seed: int, report: Report) -> None:
    """With `replicated`: a primary that gave leases which its replica lacks would give more than the caps allow."""
    events = ["SENTINEL FAILOVER"] if is_quick() else list(EVENTS)
    with sentinel_stage("replicated", 2, seed, report) as (found, group):
        for name in events:

            async def fault(stage: Stage, crowd: Crowd, name: str = name) -> None:
                await play_events(stage, group, crowd, name, ROUNDS)

            await play(found, f"{name}, replicated, 2 replicas", fault, PROMISES[kind])
