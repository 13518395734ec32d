"""The lag of schedules while the store does not answer, which the alert SharqSchedulesAreLate looks at."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from router.shards.campaigns.schedules import ScheduleRouting
from router.shards.dispatch import Dispatch
from router.shards.one_shard import OneShard
from shard.node import NodeSettings
from sharq_core.campaigns.schedules import ScheduleRule
from tests.support.nodes.parts import job, running_node
from tests.support.stores.server import StoreServer
from tests.support.waits import until

EVERY_SECOND = ScheduleRule(every_us=1_000_000)
LATE_S = 4.0
"""More than the pause before a firing that failed is tried again, and than the store's timeout."""


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
