"""The SDK's limits against a running server: fields of jobs and leases, operators' calls, and throttled handlers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from sharq_client import (
    AsyncClient,
    EnqueueJob,
    LeasedJob,
    Limit,
    Outcome,
    QueueSettings,
    Quota,
    Throttled,
    TypeSettings,
    Worker,
    errors,
)
from tests.support.processes.servers import ServerFactory, SharqServer

DEADLINE_S = 20.0


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


def a_job(kind: str, job_id: str, queue_id: str = "1", **fields: object) -> EnqueueJob:
    return EnqueueJob(queue_type=kind, queue_id=queue_id, job_id=job_id, payload=None, **fields)  # type: ignore[arg-type]


async def leased(client: AsyncClient, kind: str) -> LeasedJob:
    job = await client.dequeue(kind, wait_ms=5_000)
    assert job is not None
    return job


async def test_jobs_carry_their_limits(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, "a", rate="2/min", burst=1.5, cost=3, max_leased=4))
    stats = await client.queue(kind, "1")
    assert stats is not None
    assert (stats.interval, stats.rate, stats.burst, stats.max_leased) == (30_000, "2/min", 1.5, 4)
    assert (await leased(client, kind)).cost == 3


async def test_a_type_has_quotas_and_tells_what_is_used(client: AsyncClient, kind: str) -> None:
    carrier = f"{kind}~a"
    quotas = [
        Quota(quota=2, period="day", tz="America/New_York"),
        Quota(quota=50, period="hour", unit="cost"),
    ]
    stats = await client.control.set_type(carrier, TypeSettings(quotas=quotas))
    assert [(use.quota, use.period, use.tz, use.unit, use.used) for use in stats.quotas] == [
        (2, "day", "America/New_York", "job", 0),
        (50, "hour", "UTC", "cost", 0),
    ]
    for job_id in ("a", "b", "c"):
        await client.enqueue(a_job(carrier, job_id, interval=0, cost=5))
    for _ in range(2):
        await leased(client, carrier)
    assert await client.dequeue(carrier) is None
    stats = await client.control.type(carrier)
    assert [use.used for use in stats.quotas] == [2, 10]
    assert stats.blocked_by == "quota"
    resets_at_ms = stats.quotas[0].resets_at
    assert resets_at_ms is not None and stats.next_ready_in is not None
    assert abs(resets_at_ms - stats.next_ready_in - time.time() * 1000) < 60_000
    assert (await client.control.set_type(carrier, TypeSettings(quotas=None))).quotas == []


async def test_a_finish_and_a_release_report_cost_and_hold(client: AsyncClient, kind: str) -> None:
    for job_id in ("a", "b"):
        await client.enqueue(a_job(kind, job_id, interval=10_000, cost=2))
    await client.finish(await leased(client, kind), cost=5)
    stats = await client.queue(kind, "1")
    assert stats is not None and stats.next_ready_in is not None
    assert 40_000 < stats.next_ready_in <= 50_000
    await client.enqueue(a_job(kind, "c", "2", interval=0, requeue_limit=0))
    job = await leased(client, kind)
    await client.release(job, hold_ms=60_000, counts=False)
    await client.release(job, hold_ms=60_000, counts=False)
    stats = await client.queue(kind, "2")
    assert stats is not None and stats.held_until is not None
    assert (stats.queued, stats.dead, stats.blocked_by) == (1, 0, "hold")
    with pytest.raises(errors.InvalidRequest, match="hold_type"):
        await client.release(job, hold_type_ms=1)


async def test_a_bulk_finish_reports_the_cost_of_each_job(client: AsyncClient, kind: str) -> None:
    for job_id in ("a", "b", "c"):
        await client.enqueue(a_job(kind, job_id, job_id, rate="1/s", cost=3_600))
        await client.enqueue(a_job(kind, f"{job_id}2", job_id))
    jobs = await client.dequeue(kind, 3, wait_ms=1_000)
    assert await client.finish_many(jobs, costs=[1, None, 0]) == [None] * 3
    costs = {job.job_id: cost for job, cost in zip(jobs, [1, None, 0], strict=True)}
    waits = {job_id: stats.next_ready_in for job_id in costs if (stats := await client.queue(kind, job_id))}
    assert {job_id: (wait or 0) > 1_000 for job_id, wait in waits.items()} == {
        job_id: cost is None for job_id, cost in costs.items()
    }


async def test_a_rate_may_be_said_in_words(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, "a", interval=0))
    assert await client.set_interval(kind, "1", rate="40/s", burst=1.1)
    stats = await client.queue(kind, "1")
    assert stats is not None and (stats.interval, stats.burst) == (25, 1.1)


async def test_settings_are_set_cleared_or_left(client: AsyncClient, kind: str) -> None:
    stats = await client.control.set_queue(kind, "1", QueueSettings(rate="2/s", max_leased=3, weight=2))
    assert (stats.rate, stats.max_leased, stats.weight) == ("2/s", 3, 2)
    stats = await client.control.set_queue(kind, "1", QueueSettings(max_leased=None))
    assert (stats.rate, stats.max_leased, stats.weight) == ("2/s", None, 2)
    assert set(stats.settings) == {"interval", "weight"}


async def test_a_queue_is_held_and_resumed(client: AsyncClient, kind: str) -> None:
    assert not await client.control.hold(kind, "1", for_ms=1000)
    await client.enqueue(a_job(kind, "a", interval=0))
    assert await client.control.hold(kind, "1", for_ms=60_000)
    assert await client.dequeue(kind) is None
    assert await client.resume(kind, "1")
    assert (await leased(client, kind)).job_id == "a"
    with pytest.raises(errors.InvalidRequest, match="until"):
        await client.control.hold(kind, "1", until_ms=1)
    with pytest.raises(ValueError, match="one of the two"):
        await client.control.hold(kind, "1")


async def test_types_and_everything_are_paused_and_resumed(own_server: ServerFactory, kind: str) -> None:
    async with AsyncClient(own_server().url) as client:
        await client.enqueue(a_job(kind, "a", interval=0))
        await client.control.pause_type(kind)
        await client.control.pause_all()
        assert [row.blocked_by async for row in client.control.types()] == ["all_paused"]
        await client.control.resume_all()
        assert [row.blocked_by async for row in client.control.types()] == ["type_paused"]
        assert await client.dequeue(kind) is None
        await client.control.resume_type(kind)
        assert (await leased(client, kind)).job_id == "a"


async def test_queues_and_types_are_listed_over_pages(client: AsyncClient, kind: str) -> None:
    for queue_id in "abc":
        await client.enqueue(a_job(kind, "j", queue_id, rate="1/min"))
    await leased(client, kind)
    rows = [row async for row in client.control.queues(kind, page=1)]
    assert sorted((row.queue_id, row.rate) for row in rows) == [(queue_id, "1/min") for queue_id in "abc"]
    assert [row.queued for row in await client.control.top_queues(kind, "depth", limit=2)] == [1, 1]
    (row,) = [row async for row in client.control.types(page=1_000) if row.queue_type == kind]
    assert (row.queued, row.leased) == (2, 1)


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_throttled_job_comes_back_after_the_hold_and_its_attempt_does_not_count(
    client: AsyncClient, kind: str, is_async: bool
) -> None:
    seen: list[tuple[str, int, float]] = []
    reported: list[tuple[str, Outcome, object]] = []

    def handle(job: LeasedJob) -> None:
        seen.append((job.job_id, job.attempt, time.monotonic()))
        if len(seen) == 1:
            raise Throttled(0.5)

    async def handle_async(job: LeasedJob) -> None:
        handle(job)

    for job_id in ("a", "b"):
        await client.enqueue(a_job(kind, job_id, interval=0, requeue_limit=0, max_leased=1))
    worker = Worker(
        client,
        kind,
        handle_async if is_async else handle,
        wait_ms=100,
        on_reported=lambda job, outcome, error: reported.append((job.job_id, outcome, error)),
    )
    async with worker:
        deadline_s = time.monotonic() + DEADLINE_S
        while len(reported) < 3:
            assert time.monotonic() < deadline_s, (seen, reported)
            await asyncio.sleep(0.01)
    assert [(job_id, attempt) for job_id, attempt, _ in seen] == [("a", 1), ("a", 1), ("b", 1)]
    assert seen[1][2] - seen[0][2] > 0.45
    assert reported[0] == ("a", Outcome.RELEASE, None)


@pytest.mark.parametrize("retry_after", [-1, float("nan")])
def test_a_throttled_job_needs_a_time(retry_after: float) -> None:
    with pytest.raises(ValueError, match="retry_after"):
        Throttled(retry_after)


def test_a_longer_time_than_a_hold_may_have_counts_as_a_day() -> None:
    assert Throttled(10**9).hold_ms == 86_400_000


async def test_a_gathered_type_is_set_shown_and_cleared(client: AsyncClient, kind: str) -> None:
    carrier = f"{kind}~a"
    limits = [Limit(rate="4/s"), Limit(interval=500, burst=1.5, unit="cost")]
    stats = await client.control.set_type(carrier, TypeSettings(limits=limits, max_leased=3, hold=60_000))
    assert [(limit.rate, limit.interval, limit.burst, limit.unit) for limit in stats.limits] == [
        ("4/s", 250, 1, "job"),
        ("2/s", 500, 1.5, "cost"),
    ]
    await client.enqueue(a_job(carrier, "a", interval=0))
    stats = await client.control.set_type(carrier, TypeSettings(max_leased=None))
    assert (stats.max_leased, len(stats.limits), stats.queued, stats.queues) == (None, 2, 1, 1)
    assert stats.held_until is not None
    assert (await client.control.type(carrier)).blocked_by == "type_hold"
    assert (await client.control.clear_type(carrier)).limits == []
    assert (await leased(client, carrier)).job_id == "a"
    assert (await client.control.set_type(carrier, TypeSettings(limits=[Limit(rate="90/s")]))).warning
    with pytest.raises(errors.InvalidRequest, match="~"):
        await client.control.set_type(kind, TypeSettings(max_leased=1))


async def test_one_dequeue_leases_from_several_types(client: AsyncClient, kind: str) -> None:
    kinds = [f"{kind}~a", f"{kind}-b"]
    for each in kinds:
        await client.enqueue(a_job(each, "j", interval=0))
    jobs = [await client.dequeue(kinds), *await client.dequeue(kinds, 10, wait_ms=1_000)]
    assert [job.queue_type for job in jobs if job is not None] == kinds
    for job in jobs:
        assert job is not None
        await client.finish(job)
    assert await client.dequeue(kinds) is None
    with pytest.raises(errors.InvalidRequest):
        await client.dequeue([])


async def test_a_worker_serves_several_types(client: AsyncClient, kind: str) -> None:
    """One type has a plain function, another an async one; each gets its own jobs."""
    plain, awaited = f"{kind}~a", f"{kind}-b"
    seen: list[tuple[str, str, bool]] = []

    def in_thread(job: LeasedJob) -> None:
        seen.append(("plain", job.queue_type, threading.current_thread() is threading.main_thread()))

    async def on_loop(job: LeasedJob) -> None:
        seen.append(("awaited", job.queue_type, threading.current_thread() is threading.main_thread()))

    async with Worker(client, [plain, awaited], {plain: in_thread, awaited: on_loop}, wait_ms=2_000):
        await asyncio.sleep(0.1)
        for each in (plain, awaited):
            await client.enqueue(a_job(each, "j", interval=0))
        async with asyncio.timeout(DEADLINE_S):
            while len(seen) < 2:
                await asyncio.sleep(0.01)
    assert sorted(seen) == [("awaited", awaited, True), ("plain", plain, False)]
    for each in (plain, awaited):
        status = await client.job(each, "1", "j")
        assert status is not None and status.state == "finished"


async def test_a_worker_of_several_types_may_have_one_handler(client: AsyncClient, kind: str) -> None:
    kinds = [f"{kind}-a", f"{kind}-b"]
    seen: set[str] = set()

    async def handle(job: LeasedJob) -> None:
        seen.add(job.queue_type)

    for each in kinds:
        await client.enqueue(a_job(each, "j", interval=0))
    async with Worker(client, kinds, handle, wait_ms=500), asyncio.timeout(DEADLINE_S):
        while len(seen) < 2:
            await asyncio.sleep(0.01)
    with pytest.raises(ValueError, match="expected one for each"):
        Worker(client, kinds, {kinds[0]: handle})
    with pytest.raises(ValueError, match="empty"):
        Worker(client, [], handle)


async def test_a_throttled_handler_may_hold_the_whole_carrier(client: AsyncClient, kind: str) -> None:
    carrier = f"{kind}~a"

    async def handle(job: LeasedJob) -> None:
        raise Throttled(60, holds_type=True)

    for queue_id in ("1", "2"):
        await client.enqueue(a_job(carrier, "j", queue_id, interval=0))
    async with Worker(client, carrier, handle, concurrency=1, wait_ms=500), asyncio.timeout(DEADLINE_S):
        while (await client.control.type(carrier)).held_until is None:
            await asyncio.sleep(0.01)
    stats = await client.control.type(carrier)
    assert (stats.queued, stats.leased, stats.blocked_by) == (2, 0, "type_hold")


async def test_a_rate_that_is_not_kept_is_logged(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await client.set_interval(kind, "1", rate="500/s", pin=True)
    (record,) = [record for record in caplog.records if record.name.startswith("sharq_client.")]
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"queue {kind} 1: ")
    assert await client.set_interval(kind, "1", rate="5/s", burst=1.1)
    assert len([one for one in caplog.records if one.name.startswith("sharq_client.")]) == 1
