"""A run under named caps: sets them over HTTP, plays a fault, and sees to it that each cap has held a lease back."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import aiohttp
import msgspec

from sharq_core.limits import LimitUnit
from sharq_core.partitions import DEFAULT_PARTITIONS, partition_of
from tests.chaos.stage import QUIET_S, Stage
from tests.support.load.crowd import LIMITED, Crowd
from tests.support.load.history import History
from tests.support.load.named_caps import NamedChange, over_named_cap
from tests.support.load.promise import NamedCap, Promise, Rate, Taken
from tests.support.load.verdict import Counts

QUEUES = 12
JOBS, UNITS = LimitUnit.JOB, LimitUnit.COST

ACCOUNT = (Rate(30, 1, JOBS),)
BRAND = (Rate(20, 3, UNITS), Rate(25, 2, JOBS))

USED_WITHIN_S = 30.0
"""The most time after a fault in which every cap must hold a lease back."""

NamedFault: TypeAlias = Callable[[Stage, Crowd], Awaitable[None]]


def promise_of(
    account: tuple[Rate, ...] = ACCOUNT, brand: tuple[Rate, ...] = BRAND, max_leased: int | None = None
) -> Promise:
    """Return the promise of a run with two new caps.

    A quarter of the queues each has the first, the second, both and none. Each queue is sent four jobs of cost 1 to 3 a
    second, so that each cap is asked for 24 jobs or 48 units a second, and for more after a fault.
    """
    mark = uuid.uuid4().hex[:8]
    first = NamedCap(f"account-{mark}", account, max_leased)
    second = NamedCap(f"brand-{mark}", brand)
    return Promise(
        Rate(40, burst=1.5),
        most_cost=3,
        gap_ms=250,
        named=(first, second),
        cap_sets=((first.name,), (second.name,), (first.name, second.name), ()),
    )


def home_of(cap: NamedCap) -> int:
    """Return the partition that has the ledger of a cap."""
    return partition_of("cap", cap.name, DEFAULT_PARTITIONS)


def body_of(cap: NamedCap) -> dict[str, Any]:
    """Return the definition of a cap as the API has it."""
    limits = [
        {"interval": limit.interval_ms, "burst": limit.burst, "unit": limit.unit.value}
        for limit in cap.limits
    ]
    return {"limits": limits, "max_leased": cap.max_leased}


async def put_cap(http: aiohttp.ClientSession, stage: Stage, cap: NamedCap) -> NamedChange:
    """Define a cap, which is safe to repeat. Return from when to when that took by the machine's clock."""
    sent_ms, until_s = time.time() * 1000, time.monotonic() + QUIET_S
    while True:
        for url in stage.cluster.urls:
            async with http.put(f"{url}/cap/{cap.name}/", json=body_of(cap)) as reply:
                answer = await reply.text()
            if reply.status == 200:
                return NamedChange(sent_ms, time.time() * 1000, cap)
        assert reply.status >= 500 and time.monotonic() < until_s, answer
        await asyncio.sleep(0.1)


async def play_named(
    stage: Stage,
    scenario: str,
    fault: NamedFault,
    promise: Promise | None = None,
    *,
    may_forget: bool = False,
) -> tuple[Counts, History]:
    """Play a scenario under named caps, until each of their limits has held a lease back.

    Args:
        may_forget: see Stage.play.
    """
    found = promise or promise_of()

    async def fault_and_more(crowd: Crowd) -> None:
        await fault(stage, crowd)
        deadline_s = time.monotonic() + USED_WITHIN_S
        while not all_used(crowd.history) and time.monotonic() < deadline_s:
            await crowd.go_on(stage.pace.lead_s)

    async with aiohttp.ClientSession() as http:
        for cap in found.named:
            await put_cap(http, stage, cap)
    counts, history = await stage.play(
        f"named caps: {scenario}",
        fault_and_more,
        habits=LIMITED,
        queues=QUEUES,
        may_forget=may_forget,
        promise=found,
    )
    assert any(end.held_cap for end in history.ends), "a cap was held"
    for cap in found.named:
        assert is_used(history, cap), f"a lease waited for {cap}"
    return counts, history


def all_used(history: History) -> bool:
    """Return True if each cap has held a lease back."""
    return all(is_used(history, cap) for cap in history.promise.named)


def is_used(history: History, cap: NamedCap) -> bool:
    """Return True if a cap slower by a quarter would have been broken: without that, a run would show nothing."""
    slower = [
        NamedCap(cap.name, (msgspec.structs.replace(limit, interval_ms=limit.interval_ms * 1.25),))
        for limit in cap.limits
    ]
    leases = sorted(
        (
            Taken(lease.at_ms, lease.cost)
            for lease in history.leases
            if cap.name in history.promise.cap_names(lease.job[0])
        ),
        key=lambda taken: taken.at_ms,
    )
    return any(over_named_cap(leases, one, []) for one in slower)
