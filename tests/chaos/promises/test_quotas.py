"""A gathered type never gives more than its quota in a period, while shards, routers and the store die (I16).

A partition counts the leases of a type without a gap, so the tokens tell how many there were, also those that nobody
heard of.
"""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

from shard.calendar.period_keeper import bounds_around
from sharq_core.campaigns.quotas import PeriodLength, Zone
from sharq_core.limits import BlockedBy, Quota, TypeSettings, TypeStats
from sharq_core.partitions import DEFAULT_PARTITIONS, partition_of
from sharq_core.scheduler.limit_calls import TypeCalls
from tests.chaos.promises.test_limits import Fault, kill_routers, kill_store, ring_of
from tests.chaos.stage import QUIET_S, Stage, is_quick
from tests.chaos.test_processes import come_back, until_serving
from tests.support.load.crowd import LIMITED, Crowd
from tests.support.load.promise import Promise, Rate
from tests.support.waits import until

QUEUES = 8
A_ROUND = 40
"""Leases that each replaced quota allows more: those of about a second."""

ROUNDS = 2 if is_quick() else 3
PLENTY = 10**9

LOAD = Promise(Rate(70, burst=1.5), most_cost=3, gap_ms=250)
ZONES = ("UTC", "Asia/Kolkata", "Asia/Kathmandu")
"""Zones whose hours end at :00, :30 and :15."""


def zone_of_a_long_hour() -> str:
    """Return the zone whose present hour ends last, so that a run lies within it."""
    now_us = time.time_ns() // 1000

    def end_us(tz: str) -> int:
        bounds = bounds_around(Zone(PeriodLength.HOUR, tz), now_us)
        return next(bound for bound in bounds if bound > now_us)

    return max(ZONES, key=end_us)


class Type:
    """The gathered type of one run, as the store has it."""

    def __init__(self, stage: Stage, kind: str, tz: str) -> None:
        self._stage = stage
        self._kind = kind
        self._zone = Zone(PeriodLength.HOUR, tz)

    def set_quota(self, quota: int | None) -> None:
        """Replace the quota, or clear it."""
        quotas = None if quota is None else [Quota(quota, self._zone.period, self._zone.tz)]
        bounds = {self._zone: bounds_around(self._zone, time.time_ns() // 1000)}
        with self._stage.driver(self._kind) as driver:
            call = TypeCalls(driver.keys).set_type(
                driver.partition, self._kind, TypeSettings(quotas=quotas), bounds=bounds
            )
            driver.value(call)

    def stats(self) -> TypeStats:
        """Return the state of the type."""
        with self._stage.driver(self._kind) as driver:
            return driver.value(TypeCalls(driver.keys).get_type_stats(driver.partition, self._kind))

    def used(self) -> int:
        """Return the number of leases in the present hour."""
        return self.stats().quotas[0].used


async def use_up(stage: Stage, crowd: Crowd, carrier: Type, fault: Fault) -> None:
    """Allow some more leases, let the fault happen, and check that all of them and no more are taken."""
    quota = carrier.used() + A_ROUND
    carrier.set_quota(quota)
    quota = max(quota, carrier.used())
    await fault(stage, crowd)
    await until(lambda: carrier.stats().blocked_by is BlockedBy.QUOTA, QUIET_S, "the quota is used up")
    await asyncio.sleep(stage.pace.hold_s)
    assert carrier.used() == quota
    numbers = [lease.number for lease in crowd.history.leases]
    assert len(numbers) > A_ROUND / 2, "workers heard of leases"
    assert max(numbers) <= quota, "the leases of the type are counted from 1"


async def kill_owner(stage: Stage, crowd: Crowd) -> None:
    """Kill the shard that owns the type, at once after its quota was raised."""
    owner = ring_of(stage).owners[partition_of(crowd.kind, "", DEFAULT_PARTITIONS)]
    shard = next(shard for shard in stage.cluster.shards if shard.name == owner)
    shard.kill()
    await come_back(shard)
    await until_serving(stage, len(stage.cluster.shards))


SCENARIOS: dict[str, Fault] = {
    "kill -9 of the owner": kill_owner,
    "kill -9 of the store, restart from its AOF": kill_store,
    "kill -9 of each router": kill_routers,
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", list(SCENARIOS)[:2] if is_quick() else SCENARIOS)
async def test_a_quota_is_kept_through(shared_stage: Stage, scenario: str) -> None:
    kind = f"t-{uuid.uuid4().hex[:12]}~a"
    carrier = Type(shared_stage, kind, zone_of_a_long_hour())
    carrier.set_quota(PLENTY)

    async def fault(crowd: Crowd) -> None:
        for _ in range(ROUNDS):
            await use_up(shared_stage, crowd, carrier, SCENARIOS[scenario])
        carrier.set_quota(PLENTY)

    await shared_stage.play(
        f"quota: {scenario}", fault, habits=LIMITED, queues=QUEUES, promise=LOAD, kind=kind
    )
