"""Dequeues that do not wait, of queues with named caps: they lose no slots of the caps between their polls."""

from __future__ import annotations

import asyncio

from sharq_core.models import LeasedJob
from tests.cluster.caps.test_named_caps import KIND, counts, put_cap
from tests.support.nodes.parts import Parts, enqueued, job
from tests.support.waits import until_answer


async def test_a_dequeue_that_does_not_wait_reserves_no_slot_for_the_next_one(parts: Parts) -> None:
    """A poller that comes after the grace of a slot would lose it."""
    await put_cap(parts.node, "acct", 100_000)
    await enqueued(parts, *(job(KIND, "q", f"j{n}", caps=("acct",)) for n in range(9)))
    for number in range(1, 4):
        await until_answer(lambda: parts.dequeue(KIND))
        await asyncio.sleep(0.15)
        fates = counts(parts)
        assert (fates["taken"], fates["used"], fates["returned"], fates["lost"]) == (number, number, 0, 0)


async def test_a_poller_gets_jobs_of_queues_with_caps_beside_a_backlog_of_others(parts: Parts) -> None:
    """Its dequeues always find a job, and are too far apart for slots that are reserved ahead."""
    await put_cap(parts.node, "acct", 5_000, 5)
    await enqueued(parts, *(job(KIND, "capped", f"j{n}", caps=("acct",)) for n in range(20)))
    await enqueued(parts, *(job(KIND, f"free{n % 4}", f"j{n}") for n in range(60)))
    leased: list[LeasedJob] = []
    for _ in range(40):
        leased += await parts.dequeue(KIND)
        await asyncio.sleep(0.02)
    assert sum(one.queue_id == "capped" for one in leased) >= 5
