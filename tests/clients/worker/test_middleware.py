"""Middleware of a worker: it runs around every handler, and sees what the handler returns and raises."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sharq_client import AsyncClient, CallNext, Drop, EnqueueJob, JobResult, JobState, RunningJob, Worker
from tests.support.processes.servers import SharqServer
from tests.support.waits import until, until_answer


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


async def enqueue(client: AsyncClient, kind: str) -> None:
    await client.enqueue(EnqueueJob(queue_type=kind, queue_id="1", job_id="j", payload=None, interval=0))


@pytest.mark.parametrize("way", ["async", "thread", "batch", "thread batch"])
async def test_middleware_runs_in_order_around_every_kind_of_handler(
    client: AsyncClient, kind: str, way: str
) -> None:
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")
    steps: list[str] = []

    async def outer(job: Any, call_next: CallNext) -> object:
        steps.append(f"outer begins with {type(job).__name__}")
        trace.set("of outer")
        result = await call_next(job)
        steps.append(f"outer ends with {type(result).__name__}")
        return result

    worker = Worker(client, wait_ms=100, middleware=[outer])

    @worker.middleware
    async def inner(job: Any, call_next: CallNext) -> object:
        steps.append("inner begins")
        try:
            return await call_next(job)
        finally:
            steps.append("inner ends")

    def handle(work: Any) -> object:
        steps.append(f"handler, trace {trace.get()}")
        result = JobResult("done")
        return [result] if isinstance(work, list) else result

    async def handle_async(work: Any) -> object:
        return handle(work)

    handler: Any = handle if "thread" in way else handle_async
    if "batch" in way:
        worker.handler(kind, batch=5)(handler)
    else:
        worker.handler(kind)(handler)
    await enqueue(client, kind)
    async with worker:
        status = await until_answer(
            lambda: client.job(kind, "1", "j"), lambda s: s is not None and s.state is JobState.FINISHED
        )
    work, result = ("list", "list") if "batch" in way else ("RunningJob", "JobResult")
    assert steps == [
        f"outer begins with {work}",
        "inner begins",
        "handler, trace of outer",
        "inner ends",
        f"outer ends with {result}",
    ]
    assert status is not None and status.result == "done"


async def test_middleware_sees_the_error_of_a_handler_and_may_replace_it(
    client: AsyncClient, kind: str
) -> None:
    seen: list[BaseException] = []
    worker = Worker(client, wait_ms=100)

    @worker.middleware
    async def give_up(job: RunningJob, call_next: CallNext) -> object:
        try:
            return await call_next(job)
        except LookupError as error:
            seen.append(error)
            raise Drop("unknown") from error

    @worker.handler(kind)
    def fail(job: RunningJob) -> None:
        raise LookupError("no such number")

    await enqueue(client, kind)
    async with worker:
        await until_answer(
            lambda: client.job(kind, "1", "j"), lambda s: s is not None and s.state is JobState.FINISHED
        )
    assert [str(error) for error in seen] == ["no such number"]


async def test_middleware_that_fails_fails_the_job_and_the_handler_does_not_run(
    client: AsyncClient, kind: str
) -> None:
    ran: list[str] = []
    worker = Worker(client, wait_ms=100)

    @worker.middleware
    async def refuse(job: RunningJob, call_next: CallNext) -> object:
        raise PermissionError("not this customer")

    @worker.handler(kind)
    async def handle(job: RunningJob) -> None:
        ran.append(job.job_id)

    await enqueue(client, kind)
    async with worker:
        status = await until_answer(
            lambda: client.job(kind, "1", "j"), lambda s: s is not None and s.error is not None
        )
    assert status is not None and status.error == "PermissionError: not this customer"
    assert ran == []


async def test_middleware_may_call_a_handler_again(client: AsyncClient, kind: str) -> None:
    attempts: list[int] = []
    worker = Worker(client, wait_ms=100)

    @worker.middleware
    async def twice(job: RunningJob, call_next: CallNext) -> object:
        try:
            return await call_next(job)
        except ConnectionError:
            return await call_next(job)

    @worker.handler(kind)
    def fail_once(job: RunningJob) -> None:
        attempts.append(job.attempt)
        if len(attempts) == 1:
            raise ConnectionError

    await enqueue(client, kind)
    async with worker:
        await until(lambda: len(attempts) == 2)
        await until_answer(
            lambda: client.job(kind, "1", "j"), lambda s: s is not None and s.state is JobState.FINISHED
        )
    assert attempts == [1, 1]
