"""The Python client and its worker: results, progress, and waiting for the end of a job."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from sharq_client import (
    AsyncClient,
    EnqueueJob,
    JobResult,
    JobState,
    JobStatus,
    LeasedJob,
    RunningJob,
    Worker,
)
from sharq_client.aio import jobs as client_jobs
from sharq_client.bodies import LeaseBody
from sharq_client.bulk import MAX_BYTES_A_CALL, calls
from sharq_client.errors import TooLarge
from sharq_client.json_values import NotJson
from tests.support.processes.servers import ServerFactory, SharqServer
from tests.support.stopwatch import Stopwatch
from tests.support.waits import until


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


async def leased(client: AsyncClient, kind: str, job_id: str = "a") -> LeasedJob:
    await client.enqueue(EnqueueJob(queue_type=kind, queue_id="q", job_id=job_id, payload=1, interval=0))
    job = await client.dequeue(kind, wait_ms=5000)
    assert job is not None
    return job


async def status_of(client: AsyncClient, kind: str, job_id: str = "a") -> JobStatus:
    status = await client.job(kind, "q", job_id)
    assert status is not None
    return status


async def enqueue(client: AsyncClient, kind: str, *job_ids: str) -> None:
    await client.enqueue_many(
        [
            EnqueueJob(queue_type=kind, queue_id="q", job_id=job_id, payload=1, interval=0)
            for job_id in job_ids
        ]
    )


async def test_a_finish_with_a_result_says_that_it_is_kept(client: AsyncClient, kind: str) -> None:
    assert await client.finish(await leased(client, kind, "a"), result={"sent": 2}) is True
    assert await client.finish(await leased(client, kind, "b"), result=msgspec.Raw(b"[1,2]")) is True
    assert await client.finish(await leased(client, kind, "c")) is None
    assert await client.finish(await leased(client, kind, "d"), result=None) is True
    found = [await status_of(client, kind, job_id) for job_id in "abcd"]
    assert [status.result for status in found] == [{"sent": 2}, [1, 2], None, None]
    assert [bytes(status.result_json) for status in found[2:]] == [b"", b"null"]


async def test_a_finish_says_that_there_was_no_room(own_server: ServerFactory, kind: str) -> None:
    async with AsyncClient(own_server(environ={"SHARQ_SHARQ_RESULTS_BYTES": "0"}).url) as client:
        assert await client.finish(await leased(client, kind), result=1) is False
        assert (await status_of(client, kind)).state is JobState.FINISHED


async def test_a_result_that_is_too_long_is_refused(client: AsyncClient, kind: str) -> None:
    job = await leased(client, kind)
    with pytest.raises(TooLarge, match="result: 16385 bytes"):
        await client.finish(job, result="x" * 16_383)
    assert (await status_of(client, kind)).state is JobState.LEASED


async def test_an_extend_reports_progress(client: AsyncClient, kind: str) -> None:
    job = await leased(client, kind)
    await client.extend(job, 60_000, progress={"done": 5})
    status = await status_of(client, kind)
    assert status.progress == {"done": 5}
    assert abs((status.progress_at or 0) - time.time() * 1000) < 5_000
    assert list(await client.extend_many([job], 60_000, progress=[6])) == [None]
    assert (await status_of(client, kind)).progress == 6


async def test_a_wait_returns_when_the_job_has_ended(client: AsyncClient, kind: str) -> None:
    job = await leased(client, kind)
    wait = asyncio.create_task(client.jobs.wait(kind, "q", "a"))
    await asyncio.sleep(0.2)
    assert not wait.done()
    await client.finish(job, result="done")
    status = await wait
    assert status is not None and (status.state, status.result, status.has_ended) == (
        JobState.FINISHED,
        "done",
        True,
    )


async def test_a_wait_goes_on_over_several_requests_until_its_timeout(
    client: AsyncClient, kind: str, monkeypatch: pytest.MonkeyPatch, stopwatch: Stopwatch
) -> None:
    monkeypatch.setattr(client_jobs, "MAX_WAIT_MS", 300)
    await leased(client, kind)
    stopwatch.start()
    status = await client.jobs.wait(kind, "q", "a", timeout_s=0.8)
    assert stopwatch.elapsed_s >= 0.8
    stopwatch.assert_within(3)
    assert status is not None and (status.state, status.has_ended) == (JobState.LEASED, False)
    assert await client.jobs.wait(kind, "q", "unknown") is None


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_handler_returns_a_result_and_reports_progress(
    client: AsyncClient, kind: str, is_async: bool
) -> None:
    seen: list[Any] = []

    async def handle(job: RunningJob) -> JobResult:
        job.progress({"step": 1})
        job.progress({"step": 2})
        while not seen:
            await asyncio.sleep(0.02)
        return JobResult({"id": job.job_id})

    def handle_in_thread(job: RunningJob) -> JobResult:
        job.progress({"step": 2})
        while not seen:
            time.sleep(0.02)
        return JobResult({"id": job.job_id})

    await enqueue(client, kind, "a")
    async with Worker(client, kind, handle if is_async else handle_in_thread, wait_ms=100):

        async def progress() -> bool:
            return bool((await status_of(client, kind)).progress == {"step": 2})

        while not await progress():
            await asyncio.sleep(0.02)
        seen.append(True)
    assert (await status_of(client, kind)).result == {"id": "a"}


async def test_what_is_no_result_is_ignored_as_ever(client: AsyncClient, kind: str) -> None:
    returned = [None, {"not": "sent"}, object(), "x" * 20_000]

    async def handle(job: LeasedJob) -> object:
        return returned[int(job.job_id)]

    await enqueue(client, kind, "0", "1", "2", "3")
    done: list[str] = []
    async with Worker(client, kind, handle, wait_ms=100, on_reported=lambda job, *_: done.append(job.job_id)):
        await until(lambda: len(done) == 4)
    for job_id in "0123":
        status = await status_of(client, kind, job_id)
        assert (status.state, bytes(status.result_json)) == (JobState.FINISHED, b"")


async def test_a_result_that_cannot_be_sent_does_not_fail_the_job(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The work is done: it must not be done again because of its result."""
    nested: list[object] = []
    for _ in range(600):  # the server takes 500
        nested = [nested]
    results = [
        JobResult("x" * 16_383),
        JobResult(object()),
        JobResult(msgspec.Raw(b"oops")),
        JobResult(nested),
    ]

    def handle(job: LeasedJob) -> JobResult:
        return results[int(job.job_id)]

    await enqueue(client, kind, "0", "1", "2", "3")
    done: list[tuple[str, str, object]] = []
    with caplog.at_level(logging.ERROR, "sharq.worker"):
        async with Worker(
            client,
            kind,
            handle,
            wait_ms=100,
            on_reported=lambda job, outcome, error: done.append((job.job_id, outcome, error)),
        ):
            await until(lambda: len(done) == 4)
    assert sorted(done, key=lambda row: row[0]) == [(number, "finish", None) for number in "0123"]
    assert sum("result_left_out" in record.message for record in caplog.records) == 3
    assert sum("details_left_out" in record.message for record in caplog.records) == 1
    assert "xxx" not in caplog.text


async def test_progress_extends_the_lease(client: AsyncClient, kind: str) -> None:
    """A job that reports progress is not extended by the heartbeat as well, and its lease does not end."""
    attempts: list[int] = []

    async def handle(job: RunningJob) -> None:
        attempts.append(job.attempt)
        for step in range(20):
            job.progress(step)
            await asyncio.sleep(0.1)

    await enqueue(client, kind, "a")
    done: list[object] = []
    async with Worker(
        client, kind, handle, lease_ms=1_000, wait_ms=100, on_reported=lambda *row: done.append(row[2])
    ):
        await until(lambda: bool(done))
    assert (attempts, done) == ([1], [None])


async def test_progress_that_the_server_refuses_does_not_end_the_lease(
    client: AsyncClient, kind: str
) -> None:
    attempts: list[int] = []
    nested: list[object] = []
    for _ in range(505):  # the server takes 500, in 1 KiB
        nested = [nested]

    async def handle(job: RunningJob) -> None:
        attempts.append(job.attempt)
        job.progress(nested)
        await asyncio.sleep(2)

    entry = EnqueueJob(queue_type=kind, queue_id="q", job_id="a", payload=1, interval=0, retry=None)
    await client.enqueue(entry)
    done: list[object] = []
    async with Worker(
        client, kind, handle, lease_ms=1_000, wait_ms=100, on_reported=lambda *row: done.append(row[2])
    ):
        await until(lambda: bool(done))
    assert (attempts, done) == ([1], [None])


@pytest.mark.parametrize(
    ("value", "error"), [("x" * 1023, ValueError), (object(), TypeError), (msgspec.Raw(b"oops"), NotJson)]
)
async def test_progress_that_cannot_be_sent_is_raised_in_the_handler(
    client: AsyncClient, kind: str, value: object, error: type[Exception]
) -> None:
    raised: list[type[BaseException]] = []

    async def handle(job: RunningJob) -> None:
        try:
            job.progress(value)
        except (ValueError, TypeError) as failure:
            raised.append(type(failure))

    await enqueue(client, kind, "a")
    async with Worker(client, kind, handle, wait_ms=100):
        await until(lambda: len(raised) == 1)
    assert raised == [error]
    assert (await status_of(client, kind)).state is JobState.FINISHED


async def test_progress_after_the_end_of_the_handler_is_ignored(client: AsyncClient, kind: str) -> None:
    kept: list[RunningJob] = []

    async def handle(job: RunningJob) -> None:
        kept.append(job)

    await enqueue(client, kind, "a")
    done: list[object] = []
    async with Worker(client, kind, handle, wait_ms=100, on_reported=lambda *row: done.append(row[2])):
        await until(lambda: bool(done))
        kept[0].progress(1)
        await asyncio.sleep(0.4)
    status = await status_of(client, kind)
    assert (status.state, bytes(status.progress_json)) == (JobState.FINISHED, b"")


def test_results_count_toward_the_bytes_of_a_call() -> None:
    text = msgspec.Raw(b'"' + b"x" * 16_000 + b'"')
    bodies = [LeaseBody("t", "q", str(number), result=text) for number in range(900)]
    parts = list(calls(bodies))
    assert len(parts) == 2
    assert all(sum(len(memoryview(text)) for _ in part) <= MAX_BYTES_A_CALL for part in parts)
