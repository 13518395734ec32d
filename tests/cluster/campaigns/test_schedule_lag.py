"""Schedules while the store is away: their lag, which the alert SharqSchedulesAreLate looks at, and their tries."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from router.shards.campaigns.schedules import ScheduleRouting
from router.shards.dispatch import Dispatch
from router.shards.one_shard import OneShard
from shard.calendar.schedules import RETRIES_A_SECOND
from shard.node import NodeSettings
from sharq_core.campaigns.schedules import ScheduleRule
from tests.support.nodes.parts import job, running_node
from tests.support.stores.server import StoreServer
from tests.support.waits import until

EVERY_SECOND = ScheduleRule(every_us=1_000_000)
LATE_S = 4.0
"""More than the pause before a firing that failed is tried again, and than the store's timeout."""

MANY = 1_000


def lag_s(registry: CollectorRegistry) -> float:
    value = registry.get_sample_value("sharq_schedule_lag_seconds")
    assert value is not None
    return value


async def test_the_lag_grows_while_the_store_does_not_answer_and_ends_with_the_next_firing(
    server: StoreServer,
) -> None:
    async with running_node(server.url, NodeSettings(), timeout_s=2.0) as parts:
        schedules = ScheduleRouting(Dispatch(OneShard(parts.node, parts.node.settings.partitions)))
        await schedules.put("often", EVERY_SECOND, job("sms", "q", ""), b"{}")
        assert len(await parts.dequeue("sms", wait_us=5_000_000)) == 1
        await until(lambda: lag_s(parts.registry) < 1)
        server.pause()
        try:
            await until(lambda: lag_s(parts.registry) > LATE_S)
        finally:
            server.resume()
        await until(lambda: lag_s(parts.registry) < 1)
        assert await parts.dequeue("sms", 10, wait_us=5_000_000)


async def test_a_store_that_is_away_is_asked_seldom_and_all_schedules_fire_when_it_is_back(
    server: StoreServer,
) -> None:
    """Each try costs the reckoning of a slot: ten thousand of them a second would take a core."""
    async with running_node(server.url, NodeSettings(), timeout_s=0.5) as parts:
        schedules = ScheduleRouting(Dispatch(OneShard(parts.node, parts.node.settings.partitions)))
        rule = ScheduleRule(every_us=3_000_000)
        for first in range(0, MANY, 100):
            puts = (
                schedules.put(f"s{n}", rule, job("sms", f"q{n}", ""), b"{}")
                for n in range(first, first + 100)
            )
            await asyncio.gather(*puts)
        server.pause()
        try:
            await until(lambda: lag_s(parts.registry) > 2, timeout_s=20)
            await asyncio.sleep(2)
            before = firings(parts.registry, "failed")
            await asyncio.sleep(2)
            tried = firings(parts.registry, "failed") - before
        finally:
            server.resume()
        assert 0 < tried < 2 * 2 * RETRIES_A_SECOND
        await until(lambda: firings(parts.registry, "queued") >= MANY, timeout_s=10)
        await until(lambda: lag_s(parts.registry) < 1, timeout_s=10)


def firings(registry: CollectorRegistry, outcome: str) -> float:
    value = registry.get_sample_value("sharq_schedule_firings_total", {"outcome": outcome})
    assert value is not None
    return value
