"""Dequeues that wait at a node: served as soon as a job is ready, and free of charge until then."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from tests.support.nodes.parts import Parts, enqueued, job
from tests.support.stores.server import StoreServer
from tests.support.waits import until

KIND = "sms"


async def test_a_waiting_poll_gets_a_job_when_it_becomes_due(parts: Parts) -> None:
    await enqueued(parts, *(job(KIND, "q", f"j{n}", interval_us=300_000) for n in range(2)))
    assert len(await parts.dequeue(KIND)) == 1
    (leased,) = await parts.dequeue(KIND, wait_us=5_000_000)
    assert leased.job_id == "j1"


async def test_a_waiting_poll_gets_a_job_that_is_enqueued_later(parts: Parts) -> None:
    poll = asyncio.create_task(parts.dequeue(KIND, wait_us=10_000_000))
    await until(lambda: parts.polls.waiting == 1)
    await enqueued(parts, job(KIND, "q", "j"))
    assert [one.job_id for one in await poll] == ["j"]


async def test_a_waiting_poll_gets_the_job_of_an_ended_lease(parts: Parts) -> None:
    await enqueued(parts, job(KIND, "q", "j"))
    await parts.dequeue(KIND, lease_us=200_000)
    (leased,) = await parts.dequeue(KIND, wait_us=5_000_000)
    assert (leased.job_id, leased.attempt) == ("j", 2)


async def test_waiting_polls_ask_the_store_nothing(parts: Parts, store: StoreServer) -> None:
    """A parked poll costs the store no request beyond the index's reading once a second."""
    polls = [asyncio.create_task(parts.dequeue(KIND, wait_us=1_500_000)) for _ in range(200)]
    await until(lambda: parts.polls.waiting == 200)
    with store.client() as client:
        before = calls_by_function(client)
        assert await asyncio.gather(*polls) == [[]] * 200
        after = calls_by_function(client)
    assert after - before <= 3 * 64 * 8


def calls_by_function(client: redis.Redis) -> int:
    """FCALLs that the server ever ran, of all its clients."""
    stats = client.info("commandstats")
    assert isinstance(stats, dict)
    return sum(row["calls"] for name, row in stats.items() if name.startswith("cmdstat_fcall"))


async def test_a_poll_whose_client_has_gone_takes_no_job(parts: Parts) -> None:
    gone = asyncio.create_task(parts.dequeue(KIND, wait_us=10_000_000, is_gone=lambda: True))
    there = asyncio.create_task(parts.dequeue(KIND, wait_us=10_000_000))
    await until(lambda: parts.polls.waiting == 2)
    await enqueued(parts, job(KIND, "q", "j"))
    (leased,) = await there
    assert leased.attempt == 1
    assert await gone == []


async def test_a_lease_that_nobody_received_goes_back_uncounted(parts: Parts) -> None:
    await enqueued(parts, job(KIND, "q", "j", requeue_limit=0))
    lost = await parts.dequeue(KIND)
    await parts.polls.void_leases(lost)
    (leased,) = await parts.dequeue(KIND, wait_us=5_000_000)
    assert (leased.job_id, leased.attempt, leased.requeues_remaining) == ("j", 1, 0)
    assert leased.lease != lost[0].lease


async def test_a_poll_that_is_cancelled_as_it_is_served_gives_its_job_back(parts: Parts) -> None:
    poll = asyncio.create_task(parts.dequeue(KIND, wait_us=10_000_000))
    await until(lambda: parts.polls.waiting == 1)
    await enqueued(parts, job(KIND, "q", "j"))
    while not poll.cancelled():
        poll.cancel()
        await asyncio.sleep(0)
        if poll.done():
            break
    with pytest.raises(asyncio.CancelledError):
        await poll
    (leased,) = await parts.dequeue(KIND, wait_us=5_000_000)
    assert leased.job_id == "j"


async def test_draining_answers_every_waiting_poll(parts: Parts) -> None:
    polls = [asyncio.create_task(parts.dequeue(KIND, wait_us=30_000_000)) for _ in range(10)]
    await until(lambda: parts.polls.waiting == 10)
    parts.polls.drain()
    assert await asyncio.gather(*polls) == [[]] * 10
    assert await parts.dequeue(KIND, wait_us=30_000_000) == []


async def test_a_delayed_job_is_handed_out_when_its_delay_has_passed(parts: Parts) -> None:
    started = time.monotonic()
    await enqueued(parts, job(KIND, "q", "j", delay_us=300_000))
    assert await parts.dequeue(KIND) == []
    assert len(await parts.dequeue(KIND, wait_us=5_000_000)) == 1
    assert time.monotonic() - started >= 0.3
