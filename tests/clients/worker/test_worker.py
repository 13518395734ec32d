"""The worker of the SDK against a running server: jobs that end, raise, run long, or meet a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sharq_client import AsyncClient, EnqueueJob, LeasedJob, Outcome, Worker, errors
from sharq_client.aio.connections import AiohttpConnections
from sharq_client.answers import JobState
from sharq_client.worker import lanes
from tests.support.network.lossy_path import path_to
from tests.support.processes.servers import SharqServer
from tests.support.waits import until


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


def a_job(kind: str, queue_id: str = "1", payload: object = None, job_id: str | None = None) -> EnqueueJob:
    return EnqueueJob(queue_type=kind, queue_id=queue_id, payload=payload, job_id=job_id, interval=0)


async def test_worker_finishes_every_job_and_never_runs_more_than_it_may(
    client: AsyncClient, kind: str
) -> None:
    running: set[str] = set()
    most = 0
    seen: list[object] = []

    async def handle(job: LeasedJob) -> None:
        nonlocal most
        running.add(job.job_id)
        most = max(most, len(running))
        await asyncio.sleep(0.002)
        running.discard(job.job_id)
        seen.append(job.payload)

    await client.enqueue_many([a_job(kind, str(n % 7), payload=n) for n in range(200)])
    async with Worker(client, kind, handle, concurrency=8, wait_ms=100):
        await until(lambda: len(seen) == 200)
    assert sorted(map(str, seen)) == sorted(map(str, range(200)))
    assert 1 < most <= 8
    assert [queue_id async for queue_id in client.queues(kind)] == []


async def test_job_whose_handler_raises_comes_back(client: AsyncClient, kind: str) -> None:
    attempts: list[int] = []

    async def fail_once(job: LeasedJob) -> None:
        attempts.append(job.attempt)
        if job.attempt == 1:
            raise LookupError(job.job_id)

    made = await client.enqueue(a_job(kind))
    async with Worker(client, kind, fail_once, wait_ms=100, release_delay_ms=0):
        await until(lambda: attempts == [1, 2])
    status = await client.job(kind, "1", made.job_id)
    assert status is not None and status.state is JobState.FINISHED


async def test_lease_of_a_long_job_is_extended(client: AsyncClient, kind: str) -> None:
    attempts: list[int] = []
    may_end = asyncio.Event()

    async def work_long(job: LeasedJob) -> None:
        attempts.append(job.attempt)
        await may_end.wait()

    made = await client.enqueue(a_job(kind))
    async with Worker(client, kind, work_long, lease_ms=1_000, wait_ms=100):
        await until(lambda: attempts == [1])
        # Two lease times and a half: without a heartbeat the job would come back, to this worker or to this poll.
        assert await client.dequeue(kind, wait_ms=2_500) is None
        may_end.set()
    status = await client.job(kind, "1", made.job_id)
    assert attempts == [1]
    assert status is not None and status.state is JobState.FINISHED


async def test_stop_finishes_what_is_in_hand_and_leases_nothing_more(client: AsyncClient, kind: str) -> None:
    started, may_end = asyncio.Event(), asyncio.Event()

    async def work(job: LeasedJob) -> None:
        started.set()
        await may_end.wait()

    await client.enqueue_many([a_job(kind, job_id="first"), a_job(kind, job_id="second")])
    worker = Worker(client, kind, work, concurrency=1, wait_ms=100)
    running = asyncio.create_task(worker.run())
    await started.wait()
    worker.stop()
    may_end.set()
    await running
    first, second = await client.job(kind, "1", "first"), await client.job(kind, "1", "second")
    assert first is not None and first.state is JobState.FINISHED
    assert second is not None and (second.state, second.attempt) == (JobState.QUEUED, 0)


async def test_job_that_arrives_after_the_stop_is_released_unstarted(client: AsyncClient, kind: str) -> None:
    started: list[str] = []

    async def work(job: LeasedJob) -> None:
        started.append(job.job_id)

    async with Worker(client, kind, work, wait_ms=10_000) as worker:
        await client.enqueue(a_job(kind))
        await until(lambda: len(started) == 1)
        worker.stop()
        made = await client.enqueue(a_job(kind))
    status = await client.job(kind, "1", made.job_id)
    assert len(started) == 1
    assert status is not None and status.state in {JobState.QUEUED, JobState.DELAYED}


async def test_handler_that_outlasts_the_stop_is_cancelled_and_its_job_released(
    client: AsyncClient, kind: str
) -> None:
    started = asyncio.Event()

    async def never_end(job: LeasedJob) -> None:
        started.set()
        await asyncio.Event().wait()

    made = await client.enqueue(a_job(kind))
    async with Worker(client, kind, never_end, wait_ms=100, release_delay_ms=0, stop_timeout_s=0.2):
        await started.wait()
    status = await client.job(kind, "1", made.job_id)
    assert status is not None and (status.state, status.attempt) == (JobState.QUEUED, 1)


async def test_worker_goes_on_when_the_server_was_away(
    server: SharqServer, client: AsyncClient, kind: str
) -> None:
    seen: list[object] = []

    async def handle(job: LeasedJob) -> None:
        seen.append(job.payload)

    async with (
        path_to(server.url) as path,
        AsyncClient(path.url, retries=0) as away,
        Worker(away, kind, handle, wait_ms=1_000),
    ):
        await client.enqueue(a_job(kind, payload="before"))
        await until(lambda: "before" in seen)
        await path.shut()
        await client.enqueue(a_job(kind, payload="while"))
        await path.open()
        await until(lambda: "while" in seen)


async def test_worker_ends_with_the_error_when_repeating_cannot_help(client: AsyncClient) -> None:
    async def handle(job: LeasedJob) -> None:
        raise AssertionError("nothing can be leased")

    with pytest.raises(errors.InvalidRequest):
        await Worker(client, "..", handle).run()


async def test_worker_is_told_when_its_finish_was_too_late(client: AsyncClient, kind: str) -> None:
    may_end = asyncio.Event()
    held: list[LeasedJob] = []
    reported: list[tuple[Outcome, object]] = []

    async def work(job: LeasedJob) -> None:
        held.append(job)
        await may_end.wait()

    def on_reported(job: LeasedJob, outcome: Outcome, error: errors.SharqError | None) -> None:
        reported.append((outcome, type(error)))

    await client.enqueue(a_job(kind))
    async with Worker(client, kind, work, concurrency=1, wait_ms=100, on_reported=on_reported):
        await until(lambda: len(held) == 1)
        await client.release(held[0])
        newer = await client.dequeue(kind, wait_ms=5_000)
        assert newer is not None and newer.attempt == 2
        may_end.set()
        await until(lambda: len(reported) == 1)
    assert reported == [(Outcome.FINISH, errors.LeaseLost)]
    await client.finish(newer)


class SlowReports(AiohttpConnections):
    """Connections on which reports of outcomes wait for a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def exchange(self, method: str, url: str, *arguments: Any, **more: Any) -> tuple[int, bytes]:
        if "/finish/" in url:
            await self.gate.wait()
        return await super().exchange(method, url, *arguments, **more)


async def test_next_job_starts_before_the_last_one_is_reported_up_to_a_bound(
    server: SharqServer, client: AsyncClient, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "MAX_UNREPORTED", 3)
    started: list[str] = []

    async def work(job: LeasedJob) -> None:
        started.append(job.job_id)

    connections = SlowReports()
    await client.enqueue_many([a_job(kind, job_id=f"j{n}") for n in range(8)])
    async with (
        AsyncClient(server.url, connections=connections) as slow,
        Worker(slow, kind, work, concurrency=1, wait_ms=100),
    ):
        await until(lambda: len(started) == 3)
        await asyncio.sleep(0.3)
        assert len(started) == 3
        connections.gate.set()
        await until(lambda: len(started) == 8)
    statuses = [await client.job(kind, "1", f"j{n}") for n in range(8)]
    assert {status.state for status in statuses if status is not None} == {JobState.FINISHED}
