"""Dequeues of one node: no ready job is missed, and due queues of all partitions share an answer.

U and a number: a fault of the original, listed in docs/compatibility.md.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import pytest

from sharq_core.partitions import partition_of
from tests.support.nodes.parts import (
    Parts,
    enqueued,
    job,
    queues_in_different_partitions,
)

KIND = "sms"


async def test_an_enqueued_job_is_dequeued_at_once_every_time(parts: Parts) -> None:
    """I6: what is acknowledged is not missed by the next dequeue."""
    for number in range(500):
        await enqueued(parts, job(KIND, f"q{number % 7}", f"j{number}"))
        (leased,) = await parts.dequeue(KIND)
        assert leased.job_id == f"j{number}"


@pytest.mark.parametrize(("count", "shares"), [(3, [1, 1, 1]), (30, [10, 10, 10]), (100, [33, 33, 34])])
async def test_unlimited_queues_of_different_partitions_share_an_answer(
    parts: Parts, count: int, shares: list[int]
) -> None:
    """U14, over partitions: no queue gives its next job while another due one has given fewer."""
    queues = queues_in_different_partitions(KIND, 3)
    await enqueued(parts, *(job(KIND, queue, f"j{n}") for queue in queues for n in range(50)))
    leased = await parts.dequeue(KIND, count)
    assert sorted(Counter(one.queue_id for one in leased).values()) == shares


async def test_partitions_with_many_and_with_few_queues_share_an_answer(parts: Parts) -> None:
    """U14, when one partition holds most of the due queues."""
    alone, *others = queues_in_different_partitions(KIND, 2, partitions=64)
    crowd = [f"c{n}" for n in range(40)]
    await enqueued(
        parts, *(job(KIND, queue, f"j{n}") for queue in (alone, *others, *crowd) for n in range(20))
    )
    counts = Counter(one.queue_id for one in await parts.dequeue(KIND, 300))
    assert sum(counts.values()) == 300
    assert max(counts.values()) - min(counts.values()) <= 1


async def test_calls_that_the_store_ends_early_share_an_answer_all_the_same(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a slow machine: each call leases a few jobs only, and its queues get the rest of their rounds next."""
    monkeypatch.setattr("shard.dequeuer.CALL_US", 1)
    queues = queues_in_different_partitions(KIND, 3)
    await enqueued(parts, *(job(KIND, queue, f"j{n}") for queue in queues for n in range(60)))
    for _ in range(2):
        counts = Counter(one.queue_id for one in await parts.dequeue(KIND, 80))
        assert sorted(counts.values()) == [26, 27, 27]


async def test_queues_that_become_due_together_are_leased_at_one_time(parts: Parts) -> None:
    """Also those that share a partition, of which only the reply of a call counts the due ones."""
    alone, first = queues_in_different_partitions(KIND, 2)
    home = partition_of(KIND, first, 64)
    beside = (name for number in itertools.count() if partition_of(KIND, name := f"c{number}", 64) == home)
    queues = [alone, first, *itertools.islice(beside, 2)]
    await enqueued(
        parts, *(job(KIND, queue, f"j{n}", interval_us=200_000) for queue in queues for n in range(2))
    )
    assert len(await parts.dequeue(KIND, 100)) == 4
    await asyncio.sleep(0.25)
    leased = await parts.dequeue(KIND, 100)
    assert len(leased) == 4
    assert len({each.leased_until_us for each in leased}) == 1


async def test_the_first_calls_of_many_leave_before_the_others(parts: Parts) -> None:
    """Queues whose rates leave no time come first, so they do not wait until a call is made for each of the others."""
    queues = queues_in_different_partitions(KIND, 40)
    await enqueued(parts, *(job(KIND, queue, "j") for queue in queues))
    times = Counter(each.leased_until_us for each in await parts.dequeue(KIND, 100))
    assert [times[at] for at in sorted(times)] == [8, 24, 8]
