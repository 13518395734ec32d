"""The worker when something beside a handler fails: a middleware, a callback, or the report of an outcome."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator

import pytest

from sharq_client import (
    AsyncClient,
    CallNext,
    EnqueueJob,
    JobState,
    JobStatus,
    LeasedJob,
    RunningJob,
    Throttled,
    Worker,
)
from tests.support.processes.servers import SharqServer
from tests.support.waits import until_answer


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


async def enqueue(client: AsyncClient, kind: str, count: int = 1) -> None:
    await client.enqueue_many(
        [
            EnqueueJob(queue_type=kind, queue_id=f"q{n}", job_id=f"j{n}", payload=n, interval=0)
            for n in range(count)
        ]
    )


async def status_of(client: AsyncClient, kind: str, number: int = 0) -> JobStatus:
    status = await client.job(kind, f"q{number}", f"j{number}")
    assert status is not None
    return status


@pytest.mark.parametrize("place", ["middleware", "awaitable"])
async def test_exit_beside_a_handler_fails_its_job_and_no_other(
    client: AsyncClient, kind: str, place: str
) -> None:
    worker = Worker(client, wait_ms=100, release_delay_ms=3_600_000)

    async def leave(job: RunningJob) -> None:
        if job.job_id == "j0":
            raise SystemExit(3)

    @worker.middleware
    async def check(job: RunningJob, call_next: CallNext) -> object:
        if place == "middleware":
            await leave(job)
        return await call_next(job)

    @worker.handler(kind)
    def promise(job: RunningJob) -> object:
        return leave(job) if place == "awaitable" else None

    await enqueue(client, kind, 2)
    async with worker:
        failed = await until_answer(lambda: status_of(client, kind), lambda s: s.error is not None)
        await until_answer(lambda: status_of(client, kind, 1), lambda s: s.state is JobState.FINISHED)
    raised_by = "a middleware" if place == "middleware" else "the handler"
    assert failed.error == f"RuntimeError: {raised_by} raised SystemExit"


async def test_callback_that_fails_is_logged_and_all_jobs_are_reported(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def tell(job: LeasedJob, *_: object) -> None:
        raise LookupError(job.job_id)

    worker = Worker(client, wait_ms=100, on_reported=tell)

    @worker.handler(kind)
    async def succeed(job: RunningJob) -> None:
        """Do nothing."""

    await enqueue(client, kind, 3)
    async with worker:
        for number in range(3):
            await until_answer(
                functools.partial(status_of, client, kind, number), lambda s: s.state is JobState.FINISHED
            )
    assert caplog.text.count("on_reported_failed") == 3


@pytest.mark.parametrize("throttled", [Throttled(600, holds_type=True), Throttled(600, cap="no name")])
async def test_hold_that_the_server_refuses_holds_the_queue(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture, throttled: Throttled
) -> None:
    worker = Worker(client, wait_ms=100)

    @worker.handler(kind)
    async def wait(job: RunningJob) -> None:
        raise throttled

    await enqueue(client, kind)
    async with worker:
        await until_answer(
            lambda: client.queue(kind, "q0"), lambda q: q is not None and q.blocked_by == "hold"
        )
    status = await status_of(client, kind)
    assert (status.state, status.attempt) == (JobState.QUEUED, 0)
    assert "details_left_out" in caplog.text
