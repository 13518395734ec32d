"""Dequeues of one node beside a queue with very many expired jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

import pytest

from shard import dequeue_run, reaper
from shard.batching.pipeline import Pipeline
from shard.node import NodeSettings
from sharq_core.models import LeasedJob, QueueKey
from sharq_core.partitions import partition_of
from tests.support.nodes.parts import (
    PATIENT_S,
    Parts,
    enqueued,
    job,
    queues_in_different_partitions,
    running_node,
)

KIND = "sms"
EXPIRED = 1_500
EXPIRES_US = 300_000


@pytest.fixture
async def parts(store_url: str, prefix: str) -> AsyncIterator[Parts]:
    """A node that runs no reaper, so that only dequeues remove expired jobs."""
    async with running_node(store_url, NodeSettings(key_prefix=prefix, reaps=False), PATIENT_S) as started:
        yield started


async def fill(parts: Parts, queue_id: str, count: int = EXPIRED) -> None:
    """Let a queue have expired jobs."""
    for page in range(0, count, 100):
        await enqueued(
            parts, *(job(KIND, queue_id, f"j{page + n}", expires_us=EXPIRES_US) for n in range(100))
        )
    await asyncio.sleep(EXPIRES_US / 1e6 + 0.05)


async def test_a_live_job_behind_expired_ones_is_leased_by_one_dequeue(parts: Parts) -> None:
    await fill(parts, "q")
    await enqueued(parts, job(KIND, "q", "live"))
    (leased,) = await parts.dequeue(KIND)
    assert leased.job_id == "live"


async def test_waves_that_only_remove_expired_jobs_do_not_fail_a_run(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dequeue_run, "MAX_WAVES", 3)
    monkeypatch.setattr(dequeue_run, "MAX_CLEARING_S", 60.0)
    await fill(parts, "q")
    await enqueued(parts, job(KIND, "q", "live"))
    (leased,) = await parts.dequeue(KIND)
    assert leased.job_id == "live"


async def test_a_dequeue_rests_after_each_wave_that_only_removed_expired_jobs(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is idle meanwhile, so that the calls of others do not wait. A rest is a multiple of the wave's time."""
    monkeypatch.setattr(dequeue_run, "MAX_CLEARING_S", 60.0)
    monkeypatch.setattr(dequeue_run, "RESTS", 1e9)
    monkeypatch.setattr(dequeue_run, "MAX_REST_S", 0.3)
    await fill(parts, "q", 900)
    await enqueued(parts, job(KIND, "q", "live"))
    began_at = time.monotonic()
    (leased,) = await parts.dequeue(KIND)
    assert leased.job_id == "live"
    assert time.monotonic() - began_at >= 4 * 0.3  # a wave removes 200 jobs at most


def test_a_request_that_is_held_rests_twice_as_long_with_each_run() -> None:
    """The reaper has the store's time meanwhile: one of the two removes most of a long row."""
    rests = [dequeue_run.rest_s(0.002, held_runs) for held_runs in range(dequeue_run.MAX_HELD_RUNS)]
    assert rests[:4] == [0.002, 0.004, 0.008, 0.016]
    assert rests[-1] == dequeue_run.MAX_REST_S
    assert sum(rests) < 2


@pytest.mark.parametrize("count", [1, 10])
async def test_other_queues_do_not_wait_for_the_removal(parts: Parts, count: int) -> None:
    stuck, same, other = queues_in_different_partitions(KIND, 3)
    await fill(parts, stuck, 4_000)  # ten dequeues of a job remove half of them
    await enqueued(parts, *(job(KIND, queue, f"{queue}-{n}") for queue in (same, other) for n in range(5)))
    leased: list[LeasedJob] = []
    while len(leased) < 10:
        leased += await parts.dequeue(KIND, count)
    assert {found.queue_id for found in leased} == {same, other}
    if count == 1:
        assert (await queued(parts, stuck)) > 0


async def queued(parts: Parts, queue_id: str) -> int:
    return (await parts.dispatch.queue(QueueKey(KIND, queue_id))).queued


async def test_requests_that_arrive_meanwhile_join_those_that_wait(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that are cut short put their requests before the newer ones."""
    monkeypatch.setattr(dequeue_run, "MAX_CLEARING_S", 0.0)
    monkeypatch.setattr(dequeue_run, "MAX_HELD_RUNS", 1_000)
    await fill(parts, "q")
    await enqueued(parts, *(job(KIND, "q", f"live{n}") for n in range(3)))
    waiting = []
    for _ in range(3):
        waiting.append(asyncio.create_task(parts.dequeue(KIND)))
        await asyncio.sleep(0)
    leased = await asyncio.gather(*waiting)
    assert [[found.job_id for found in jobs] for jobs in leased] == [["live0"], ["live1"], ["live2"]]


async def test_a_poll_waits_until_the_expired_jobs_are_gone(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that was held for too long gets an empty answer, and the poll asks again."""
    monkeypatch.setattr(dequeue_run, "MAX_CLEARING_S", 0.0)
    monkeypatch.setattr(dequeue_run, "MAX_HELD_RUNS", 3)
    await fill(parts, "q")
    await enqueued(parts, job(KIND, "q", "live"))
    assert await parts.dequeue(KIND) == []
    (leased,) = await parts.dequeue(KIND, wait_us=30_000_000)
    assert leased.job_id == "live"


async def test_a_queue_whose_jobs_have_all_expired_is_empty(parts: Parts) -> None:
    await fill(parts, "q", 500)
    assert await parts.dequeue(KIND) == []
    assert await queued(parts, "q") == 0


async def test_steps_of_the_reaper_that_remove_expired_jobs_rest_while_others_call(
    parts: Parts, store_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass of steps waits until the other calls of its node have their answers, in all of its partitions at once."""
    queues = queues_in_different_partitions(KIND, 3)
    places = {partition_of(KIND, queue, parts.node.settings.partitions) for queue in queues}
    await asyncio.gather(*(fill(parts, queue, 500) for queue in queues))
    rests: list[tuple[set[int], float]] = []
    idle = Pipeline.idle

    async def noted(pipeline: Pipeline, partitions: Iterable[int], most_s: float) -> None:
        rests.append((set(partitions), most_s))
        await idle(pipeline, partitions, most_s)

    monkeypatch.setattr(Pipeline, "idle", noted)
    async with running_node(store_url, NodeSettings(key_prefix=prefix), PATIENT_S) as reaping:
        until = time.monotonic() + 20
        while any([await queued(reaping, queue) for queue in queues]):
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
    # A step removes 200 jobs at most, so that each queue takes two steps behind its first.
    assert set().union(*(partitions for partitions, _ in rests)) == places
    assert sum(len(partitions) for partitions, _ in rests) >= 2 * len(queues)
    assert all(0 < most_s <= reaper.MAX_WALK_REST_S for _, most_s in rests)


async def test_the_reaper_removes_what_no_dequeue_meets(store_url: str, prefix: str) -> None:
    async with running_node(store_url, NodeSettings(key_prefix=prefix), PATIENT_S) as reaping:
        await fill(reaping, "q", 500)
        until = time.monotonic() + 20
        while await queued(reaping, "q"):
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
