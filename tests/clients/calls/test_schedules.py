"""Schedules through the SDK, against a running server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sharq_client import AsyncClient, AsyncSchedules, EnqueueJob, RetryPolicy, errors
from tests.support.processes.servers import SharqServer

HOUR_MS = 3_600_000


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


@pytest.fixture
def schedules(client: AsyncClient) -> AsyncSchedules:
    return client.control.schedules


def a_job(kind: str, **more: object) -> EnqueueJob:
    fields: dict[str, object] = {"payload": {"text": "hello"}, "interval": 0, **more}
    return EnqueueJob(queue_type=kind, queue_id="q", **fields)  # type: ignore[arg-type]


async def test_a_schedule_is_put_read_paused_resumed_listed_and_deleted(
    schedules: AsyncSchedules, kind: str
) -> None:
    put = await schedules.put(kind, a_job(kind, priority=2), cron="0 9 * * mon", tz="Asia/Kolkata")
    assert (put.name, put.cron, put.every, put.tz) == (kind, "0 9 * * mon", None, "Asia/Kolkata")
    assert (put.job.queue_type, put.job.priority, put.job.payload) == (kind, 2, {"text": "hello"})
    assert (put.job.requeue_limit, put.job.retry) == (10, RetryPolicy(delay=1_000, max=300_000, jitter=0.2))
    assert await schedules.get(kind) == put
    assert await schedules.pause(kind)
    paused = await schedules.get(kind)
    assert paused is not None
    assert (paused.paused, paused.next_at) == (True, None)
    (row,) = [row async for row in schedules.list(page=1) if row.name == kind]
    assert (row.queue_type, row.queue_id, row.paused, row.fired) == (kind, "q", True, 0)
    assert await schedules.resume(kind)
    assert await schedules.get(kind) == put
    assert await schedules.delete(kind)
    assert await schedules.get(kind) is None
    assert [await call(kind) for call in (schedules.pause, schedules.resume, schedules.delete)] == [False] * 3


async def test_each_slot_enqueues_a_job(client: AsyncClient, schedules: AsyncSchedules, kind: str) -> None:
    put = await schedules.put(kind, a_job(kind), every_ms=1_000)
    job = await client.dequeue(kind, wait_ms=5_000)
    assert job is not None
    assert job.job_id == f"{kind}@{put.next_at}"
    state = await schedules.get(kind)
    assert state is not None
    assert (state.last_at, state.last_status) == (put.next_at, "queued")
    assert await schedules.delete(kind)


async def test_a_schedule_needs_a_rate_or_says_that_it_comes_later(
    schedules: AsyncSchedules, kind: str
) -> None:
    job = EnqueueJob(queue_type=kind, queue_id="q", payload=1)
    with pytest.raises(errors.InvalidRequest, match=r"^job.interval: required"):
        await schedules.put(kind, job, every_ms=HOUR_MS)
    assert (await schedules.put(kind, job, every_ms=HOUR_MS, rate_later=True)).every == HOUR_MS
    assert await schedules.delete(kind)


async def test_what_a_schedule_may_not_have_is_refused(schedules: AsyncSchedules, kind: str) -> None:
    wrong: dict[str, dict[str, object]] = {
        "job_id": {"job_id": "1"},
        "delay": {"delay": 5},
        "at": {"at": 5},
    }
    for field, more in wrong.items():
        with pytest.raises(errors.InvalidRequest, match=rf"^job.{field}: "):
            await schedules.put(kind, a_job(kind, **more), every_ms=HOUR_MS)
    with pytest.raises(errors.InvalidRequest, match=r"^cron: required"):
        await schedules.put(kind, a_job(kind))
