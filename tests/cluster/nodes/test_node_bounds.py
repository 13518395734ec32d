"""Bounds of one node: bytes of an answer, unsent bytes, and a store whose memory is full."""

from __future__ import annotations

import asyncio
from collections import Counter

from shard.node import NodeSettings
from sharq_core.errors import OutcomeUnknown, Overloaded, StoreFull, Unavailable
from sharq_core.models import (
    FinishJob,
    LeaseOutcome,
    LeaseStatus,
)
from tests.support.nodes.parts import (
    Parts,
    enqueued,
    job,
    queues_in_different_partitions,
    running_node,
)
from tests.support.stores.server import StoreFactory

KIND = "sms"


async def test_a_bulk_of_large_jobs_keeps_its_order(parts: Parts) -> None:
    """I3: pipelines are cut by bytes, and calls of one queue do not overtake each other."""
    payload = b'"' + b"x" * 60_000 + b'"'
    await enqueued(parts, *(job(KIND, "big", f"j{n:04}", payload=payload) for n in range(300)))
    order: list[str] = []
    while len(order) < 300:
        order += [one.job_id for one in await parts.dequeue(KIND, 1000)]
    assert order == sorted(order)


async def test_an_answer_stays_below_its_bytes(parts: Parts) -> None:
    """I11: a dequeue of 1,000 jobs of 60 kB gives what fits into 8 MiB."""
    payload = b'"' + b"x" * 60_000 + b'"'
    queues = queues_in_different_partitions(KIND, 4)
    await enqueued(parts, *(job(KIND, q, f"j{n:04}", payload=payload) for q in queues for n in range(60)))
    leased = await parts.dequeue(KIND, 1000)
    assert 4 << 20 < sum(len(one.payload) for one in leased) <= 8 << 20


async def test_a_full_store_refuses_enqueues_and_drains(own_store: StoreFactory, prefix: str) -> None:
    server = own_store()
    async with running_node(server.url, NodeSettings(key_prefix=prefix)) as parts:
        await enqueued(
            parts, *(job(KIND, "q", f"j{n}", payload=b'"' + b"x" * 1000 + b'"') for n in range(100))
        )
        with server.client() as client:
            client.config_set("maxmemory", "1mb")
            (outcome,) = await parts.dispatch.enqueue([job(KIND, "q", "more")])
            assert isinstance(outcome, StoreFull)
            leased = await parts.dequeue(KIND, 100)
            assert len(leased) == 100
            finished = await parts.dispatch.finish(
                [FinishJob(one.queue_type, one.queue_id, one.job_id, one.lease) for one in leased]
            )
            assert finished == [LeaseOutcome(LeaseStatus.DONE)] * 100
            client.config_set("maxmemory", "0")
        await enqueued(parts, job(KIND, "q", "more"))


async def test_more_unsent_jobs_than_a_node_may_hold_are_refused_at_once(
    own_store: StoreFactory, prefix: str
) -> None:
    """I11: while the store hangs, memory is bounded and the rest is refused."""
    server = own_store()
    payload = b'"' + b"x" * 250_000 + b'"'
    async with running_node(server.url, NodeSettings(key_prefix=prefix), timeout_s=1.0) as parts:
        server.pause()
        calls = [
            asyncio.create_task(
                parts.dispatch.enqueue([job(KIND, "q", f"{n}-{m}", payload=payload) for m in range(60)])
            )
            for n in range(10)
        ]
        outcomes = [outcome for answers in await asyncio.gather(*calls) for outcome in answers]
        server.resume()
        kinds = Counter(type(outcome) for outcome in outcomes)
        assert kinds[Overloaded] > 0
        assert set(kinds) <= {Overloaded, OutcomeUnknown, Unavailable}


async def test_dequeues_at_once_all_get_a_job_though_one_answer_could_not_carry_them(parts: Parts) -> None:
    """I6: what is left over of a large demand is the next one's."""
    payload = b'"' + b"x" * 100_000 + b'"'
    for part in range(10):
        await enqueued(parts, *(job(KIND, f"q{n}", f"j{part}-{n}", payload=payload) for n in range(20)))
    answers = await asyncio.gather(*(parts.dequeue(KIND) for _ in range(200)))
    assert [len(jobs) for jobs in answers] == [1] * 200
