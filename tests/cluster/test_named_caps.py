"""Named caps on nodes with a real store: the bound is kept, the rate is delivered, and nobody asks in vain."""

from __future__ import annotations

import asyncio

from sharq_core.caps import GRACE_US, CapDefinition
from sharq_core.limits import Limit, LimitUnit
from sharq_core.models import LeasedJob
from sharq_core.partitions import partition_of
from tests.support.nodes.parts import LEASE_US, Parts, enqueued, job

KIND = "sms"


async def put_cap(
    parts: Parts, name: str, interval_us: int, burst: float = 1, max_leased: int | None = None
) -> None:
    """Define a cap in jobs."""
    node = parts.node
    partition = partition_of("cap", name, node.settings.partitions)
    definition = CapDefinition([Limit(LimitUnit.JOB, interval_us, burst)], max_leased)
    await node._pipeline.value(node._calls.caps.put_cap(partition, name, definition))


async def work(parts: Parts, count: int, queue_type: str = KIND, pollers: int = 4) -> list[LeasedJob]:
    """Lease jobs by polls that wait, until there are `count` of them."""
    leased: list[LeasedJob] = []

    async def poll() -> None:
        while len(leased) < count:
            leased.extend(await parts.dequeue(queue_type, wait_us=1_000_000))

    await asyncio.gather(*(poll() for _ in range(pollers)))
    return leased


def lease_times(leased: list[LeasedJob]) -> list[int]:
    """The times of the leases by the store's clock, in order."""
    return sorted(one.leased_until_us - LEASE_US for one in leased)


def worst_excess(times: list[int], interval_us: int, burst: float) -> float:
    """By how many leases the bound was passed at worst; not more than 0 if it was kept."""
    worst = float("-inf")
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            most = burst + (times[last] - begin + GRACE_US) / interval_us
            worst = max(worst, last - first + 1 - most)
    return worst


def counts(parts: Parts) -> dict[str, float]:
    """The fate of the slots of a node, by outcome, and the number of questions for them."""
    found = {
        outcome: parts.registry.get_sample_value("sharq_cap_grants_total", {"outcome": outcome}) or 0
        for outcome in ("taken", "used", "returned", "lost")
    }
    return {**found, "asks": parts.registry.get_sample_value("sharq_cap_asks_total") or 0}


async def test_a_cap_over_queues_of_one_type_is_kept_and_delivered(parts: Parts) -> None:
    await put_cap(parts, "acct", 25_000, 1.8)
    jobs = [job(KIND, f"q{n % 10}", f"j{n}", caps=("acct",)) for n in range(80)]
    await enqueued(parts, *jobs)
    times = lease_times(await work(parts, 60))
    assert worst_excess(times, 25_000, 1.8) <= 0
    done = counts(parts)
    assert done["used"] == len(times)
    assert done["taken"] >= done["used"] + done["returned"] + done["lost"]
