"""The metrics of limits: sampled on a node with a real store."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from shard.metrics import limit_samples
from sharq_core.limits import QueueSettings
from sharq_core.link.control_calls import SetQueue
from sharq_core.models import QueueKey, QueueStats
from sharq_core.partitions import partition_of
from sharq_core.rates import delivered, promised
from sharq_core.scheduler.keys import Keys
from tests.support.nodes.parts import Parts, enqueued, job
from tests.support.stores.server import StoreServer
from tests.support.waits import until

KIND = "sms"


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


@pytest.fixture(autouse=True)
def quick_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_samples, "EVERY_S", 0.05)


async def test_time_that_workers_wait_for_blocked_jobs_is_counted_by_reason(parts: Parts) -> None:
    def blocked_s(queue_type: str, reason: str) -> float:
        return sample(parts.registry, "sharq_blocked_seconds_total", queue_type=queue_type, blocked_by=reason)

    await enqueued(parts, job(KIND, "q", "a"))
    await parts.dispatch.route(SetQueue(QueueKey(KIND, "q"), QueueSettings(hold_us=60_000_000)))
    await asyncio.sleep(0.2)
    assert blocked_s(KIND, "hold") == 0, "no worker waits"
    polls = [asyncio.create_task(parts.dequeue(kind, wait_us=20_000_000)) for kind in (KIND, "idle")]
    await until(lambda: blocked_s(KIND, "hold") > 0.2)
    assert blocked_s("idle", "empty") == 0, "there is nothing to wait for"
    parts.polls.drain()
    await asyncio.gather(*polls)


async def test_what_queues_should_have_given_is_counted_beside_what_they_gave(parts: Parts) -> None:
    await enqueued(parts, *(job(KIND, "q", f"j{n}", interval_us=30_000_000) for n in range(5)))
    await enqueued(parts, job("free", "q", "j"))
    await until(lambda: sample(parts.registry, "sharq_sampled_promised_jobs_total", queue_type=KIND) >= 2)
    assert sample(parts.registry, "sharq_sampled_delivered_jobs_total", queue_type=KIND) == 0
    assert sample(parts.registry, "sharq_sampled_promised_jobs_total", queue_type="free") == 0


async def test_a_broken_partition_holds_up_no_sample_of_another_one(parts: Parts, store: StoreServer) -> None:
    def promised_jobs(queue_type: str) -> float:
        return sample(parts.registry, "sharq_sampled_promised_jobs_total", queue_type=queue_type)

    settings = parts.node.settings
    keys = Keys(settings.key_prefix, settings.partitions)
    for kind in (KIND, "broken"):
        await enqueued(parts, *(job(kind, "q", f"j{n}", interval_us=30_000_000) for n in range(5)))
    await until(lambda: promised_jobs(KIND) and promised_jobs("broken"))
    partition = partition_of("broken", "q", settings.partitions)
    (name,) = keys.of(partition, "broken", ("queues",)).names
    with store.client() as client:
        client.delete(name)
        client.set(name, "of another program")
    before = promised_jobs(KIND)
    await until(lambda: promised_jobs(KIND) > before + 10)


@pytest.mark.parametrize(
    ("interval_us", "gave", "queued", "expected"),
    [
        (0, 7, 5, None),
        (1_000_000, 60, 99, 60),
        (1_000_000, 50, 99, 60),
        (1_000_000, 3, 4, 7),
        (10**9, 0, 5, 0),
    ],
)
def test_a_promise_is_bounded_by_the_rate_and_by_the_jobs(
    interval_us: int, gave: int, queued: int, expected: int | None
) -> None:
    minutes = [(0, 0), (60_000, gave), (120_000, 1000)]
    stats = QueueStats(True, interval_us, 1, False, False, queued, 0, 0, None, None, minutes, minutes)
    assert (delivered(stats), promised(stats)) == (gave, expected)
