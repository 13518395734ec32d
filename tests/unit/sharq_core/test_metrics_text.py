"""The text of many metrics is written in pieces, between which other work has its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from sharq_core.http_port.metrics_text import SAMPLES_AT_ONCE, metrics_text

FAMILIES, TYPES = 12, 200


class ManyTypes(Collector):
    def collect(self) -> Iterator[Metric]:
        for number in range(FAMILIES):
            family = CounterMetricFamily(f"sharq_{number}", f"The {number}th.", labels=("queue_type",))
            for kind in range(TYPES):
                family.add_metric((f"type {kind} \n",), kind)
            yield family


async def test_the_text_is_the_same_and_other_work_has_its_turns() -> None:
    registry = CollectorRegistry()
    registry.register(ManyTypes())
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    before = turns
    text = await metrics_text(registry)
    assert turns - before >= FAMILIES * TYPES // SAMPLES_AT_ONCE - 1
    working.cancel()
    assert text == generate_latest(registry)


async def test_without_metrics_the_text_is_empty() -> None:
    assert await metrics_text(CollectorRegistry()) == b""
