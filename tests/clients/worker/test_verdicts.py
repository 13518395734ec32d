"""The outcomes of jobs as handlers decide them: Retry, Drop, Throttled, a result; and those of the jobs of a batch."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sharq_client import (
    AsyncClient,
    Drop,
    EnqueueJob,
    JobResult,
    JobState,
    JobStatus,
    Outcome,
    Retry,
    RunningJob,
    Throttled,
    Worker,
)
from tests.support.processes.servers import SharqServer
from tests.support.waits import until, until_answer


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


async def enqueue(client: AsyncClient, kind: str, count: int = 1, **more: Any) -> None:
    jobs = [
        EnqueueJob(queue_type=kind, queue_id=f"q{n}", job_id=f"j{n}", payload=n, interval=0, **more)
        for n in range(count)
    ]
    await client.enqueue_many(jobs)


async def status_of(client: AsyncClient, kind: str, number: int = 0) -> JobStatus:
    status = await client.job(kind, f"q{number}", f"j{number}")
    assert status is not None
    return status


async def test_retry_comes_back_after_its_delay_and_the_attempt_counts(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(client, wait_ms=100, release_delay_ms=0)

    @worker.handler(kind)
    async def ask_again(job: RunningJob) -> None:
        raise Retry(3600) from ConnectionError("busy")

    caplog.set_level(logging.INFO, "sharq.worker")
    await enqueue(client, kind)
    async with worker:
        status = await until_answer(lambda: status_of(client, kind), lambda s: s.error is not None)
    assert (status.state, status.attempt, status.error) == (JobState.DELAYED, 1, "ConnectionError: busy")
    assert status.delayed_until is not None and status.error_at is not None
    assert 3_599_000 <= status.delayed_until - status.error_at <= 3_601_000
    assert "job_retried" in caplog.text and "job_failed" not in caplog.text


@pytest.mark.parametrize("in_thread", [True, False])
async def test_handler_that_exits_fails_its_job_and_no_other(
    client: AsyncClient, kind: str, in_thread: bool
) -> None:
    worker = Worker(client, wait_ms=100, release_delay_ms=3_600_000)

    def leave(job: RunningJob) -> None:
        if job.job_id == "j0":
            raise SystemExit(3)

    async def leave_on_loop(job: RunningJob) -> None:
        leave(job)

    worker.handler(kind)(leave if in_thread else leave_on_loop)
    await enqueue(client, kind, 2)
    async with worker:
        failed = await until_answer(lambda: status_of(client, kind), lambda s: s.error is not None)
        await until_answer(lambda: status_of(client, kind, 1), lambda s: s.state is JobState.FINISHED)
    assert (failed.state, failed.error) == (JobState.DELAYED, "RuntimeError: the handler raised SystemExit")


async def test_retry_past_the_requeue_limit_is_a_dead_letter_with_its_reason(
    client: AsyncClient, kind: str
) -> None:
    attempts: list[int] = []
    worker = Worker(client, wait_ms=100)

    @worker.handler(kind)
    def ask_again(job: RunningJob) -> None:
        attempts.append(job.attempt)
        raise Retry(0, "the line is busy")

    await enqueue(client, kind, requeue_limit=2)
    async with worker:
        status = await until_answer(lambda: status_of(client, kind), lambda s: s.state is JobState.DEAD)
    assert attempts == [1, 2, 3]
    assert status.error == "the line is busy"


@pytest.mark.parametrize("is_returned", [False, True])
async def test_dropped_job_is_finished_and_never_comes_again(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture, is_returned: bool
) -> None:
    reported: list[Outcome] = []
    worker = Worker(client, wait_ms=100, on_reported=lambda job, outcome, error: reported.append(outcome))

    @worker.handler(kind)
    async def give_up(job: RunningJob) -> object:
        if is_returned:
            return Drop("no such number")
        raise Drop("no such number")

    await enqueue(client, kind)
    async with worker:
        await until(lambda: len(reported) == 1)
    assert reported == [Outcome.FINISH]
    assert (await status_of(client, kind)).state is JobState.FINISHED
    assert [letter async for letter in client.dead(kind)] == []
    assert (
        f"job_dropped queue_type={kind} queue_id=q0 job_id=j0 attempt=1 reason=no such number" in caplog.text
    )


async def test_returned_throttle_holds_the_queue_and_the_attempt_does_not_count(
    client: AsyncClient, kind: str
) -> None:
    worker = Worker(client, wait_ms=100)

    @worker.handler(kind)
    async def busy(job: RunningJob) -> Throttled:
        return Throttled(60)

    await enqueue(client, kind)
    async with worker:
        stats = await until_answer(
            lambda: client.queue(kind, "q0"), lambda s: s is not None and s.held_until is not None
        )
    assert stats is not None
    assert (await status_of(client, kind)).attempt == 0


@pytest.mark.parametrize("seconds", [-1, float("nan")])
@pytest.mark.parametrize("verdict", [Retry, Throttled])
def test_time_that_is_none_is_refused(verdict: type[Exception], seconds: float) -> None:
    with pytest.raises(ValueError, match="expected 0 seconds or more"):
        verdict(seconds)


def test_long_times_are_cut_to_what_the_server_takes() -> None:
    assert Retry(1e12).delay_ms == 365 * 24 * 3600 * 1000
    assert Throttled(1e12).hold_ms == 24 * 3600 * 1000


@pytest.mark.parametrize("is_async", [True, False])
async def test_batch_handler_gets_the_jobs_that_are_ready_and_all_are_finished(
    client: AsyncClient, kind: str, is_async: bool
) -> None:
    sizes: list[int] = []
    seen: set[object] = set()
    worker = Worker(client, concurrency=1, wait_ms=100)

    def handle(jobs: list[RunningJob]) -> None:
        assert (threading.current_thread() is threading.main_thread()) is is_async
        sizes.append(len(jobs))
        seen.update(job.payload for job in jobs)

    async def handle_async(jobs: list[RunningJob]) -> None:
        handle(jobs)

    worker.handler(kind, batch=20)(handle_async if is_async else handle)
    await enqueue(client, kind, 50)
    async with worker:
        await until(lambda: len(seen) == 50)
    assert max(sizes) == 20
    assert {(await status_of(client, kind, n)).state for n in range(50)} == {JobState.FINISHED}


async def test_each_job_of_a_batch_has_the_outcome_that_the_handler_returned_for_it(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: list[object] = [
        JobResult({"sent": True}), None, Retry(3600, "later"), Drop("no such number"), ValueError("bad"), "a text",
    ]  # fmt: skip
    reported: list[str] = []
    worker = Worker(client, wait_ms=500, on_reported=lambda job, *_: reported.append(job.job_id))

    @worker.handler(kind, batch=10)
    async def handle(jobs: list[RunningJob]) -> list[object]:
        return [outcomes[job.payload] for job in jobs]

    await enqueue(client, kind, len(outcomes))
    async with worker:
        await until(lambda: len(reported) >= len(outcomes))
    statuses = [await status_of(client, kind, n) for n in range(len(outcomes))]
    assert [status.state for status in statuses] == [
        JobState.FINISHED, JobState.FINISHED, JobState.DELAYED, JobState.FINISHED, JobState.DELAYED,
        JobState.FINISHED,
    ]  # fmt: skip
    assert statuses[0].result == {"sent": True}
    assert [status.error for status in statuses] == [None, None, "later", None, "ValueError: bad", None]
    assert "job_dropped" in caplog.text


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        ([None], "TypeError: batch handler: expected None, or a list with the outcome of each of the 3 jobs, "
         "got a list of 1"),
        (JobResult(1), "TypeError: batch handler: expected None, or a list with the outcome of each of the 3 jobs, "
         "got a JobResult"),
        (LookupError("all"), "LookupError: all"),
    ],
)  # fmt: skip
async def test_batch_that_fails_as_a_whole_releases_each_of_its_jobs(
    client: AsyncClient, kind: str, returned: object, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Jobs of one queue without a rate come in one batch.
    jobs = [
        EnqueueJob(queue_type=kind, queue_id="q", job_id=f"j{n}", payload=n, interval=0) for n in range(3)
    ]
    await client.enqueue_many(jobs)
    worker = Worker(client, wait_ms=100)

    @worker.handler(kind, batch=3)
    async def fail(jobs: list[RunningJob]) -> object:
        if isinstance(returned, Exception):
            raise returned
        return returned

    async with worker:
        for number in range(3):
            status = await until_answer(
                functools.partial(client.job, kind, "q", f"j{number}"), lambda s: s is not None and s.error
            )
            assert status is not None
            assert (status.state, status.error, status.attempt) == (JobState.DELAYED, error, 1)
    assert caplog.text.count("Traceback (most recent call last)") <= 1


async def test_leases_of_a_batch_are_extended(client: AsyncClient, kind: str) -> None:
    batches: list[list[int]] = []
    may_end = asyncio.Event()
    worker = Worker(client, lease_ms=1_000, wait_ms=100)

    @worker.handler(kind, batch=10)
    async def work_long(jobs: list[RunningJob]) -> None:
        batches.append([job.attempt for job in jobs])
        jobs[0].progress("half")
        await may_end.wait()

    await enqueue(client, kind, 4)
    async with worker:
        await until(lambda: sum(map(len, batches)) == 4)
        # Two lease times and a half: without a heartbeat the jobs would come back, to this worker or to this poll.
        assert await client.dequeue(kind, wait_ms=2_500) is None
        may_end.set()
    assert {attempt for batch in batches for attempt in batch} == {1}
    assert {(await status_of(client, kind, n)).state for n in range(4)} == {JobState.FINISHED}


async def test_batch_handler_and_others_work_side_by_side_within_their_limits(
    client: AsyncClient, kind: str
) -> None:
    running = {"single": 0, "batch": 0}
    most = dict(running)
    both = {way: asyncio.Event() for way in running}
    done: list[str] = []
    worker = Worker(client, concurrency=2, wait_ms=100)

    async def work(way: str, jobs: list[RunningJob]) -> None:
        running[way] += 1
        most[way] = max(most[way], running[way])
        # The first call stays until there is a second one, and a third one would be seen.
        if running[way] == 2:
            both[way].set()
        await asyncio.wait_for(both[way].wait(), 30)
        await asyncio.sleep(0)
        running[way] -= 1
        done.extend(job.job_id for job in jobs)

    @worker.handler(kind)
    async def one(job: RunningJob) -> None:
        await work("single", [job])

    @worker.handler(f"{kind}b", batch=5)
    async def many(jobs: list[RunningJob]) -> None:
        await work("batch", jobs)

    await enqueue(client, kind, 20)
    await enqueue(client, f"{kind}b", 30)
    async with worker:
        await until(lambda: len(done) == 50)
    assert most == {"single": 2, "batch": 2}


@pytest.mark.parametrize("in_batch", [True, False])
async def test_a_cost_needs_no_result(client: AsyncClient, kind: str, in_batch: bool) -> None:
    worker = Worker(client, wait_ms=100)

    async def use_one(job: RunningJob) -> JobResult:
        return JobResult(cost=1) if job.job_id == "j0" else JobResult("said", cost=2)

    async def use_many(jobs: list[RunningJob]) -> list[object]:
        return [await use_one(job) for job in jobs]

    worker.handler(kind, batch=2)(use_many) if in_batch else worker.handler(kind)(use_one)
    await enqueue(client, kind, 2, cost=1_000)
    async with worker:
        for n in range(2):
            await until_answer(
                functools.partial(status_of, client, kind, n), lambda s: s.state is JobState.FINISHED
            )
    assert [(await status_of(client, kind, n)).result for n in range(2)] == [None, "said"]


async def test_the_cost_that_a_handler_reports_frees_the_rate(client: AsyncClient, kind: str) -> None:
    """Lease two jobs that reserve an hour each: the second one comes at once, because the first one took a second."""

    async def use_less(job: RunningJob) -> JobResult:
        return JobResult(cost=1)

    job = {"queue_type": kind, "queue_id": "q0", "payload": None, "rate": "1/s", "cost": 3_600}
    await client.enqueue_many([{**job, "job_id": f"j{n}"} for n in range(2)])
    ended: list[str] = []
    worker = Worker(
        client, kind, use_less, wait_ms=100, on_reported=lambda job, outcome, error: ended.append(job.job_id)
    )
    async with worker:
        await until(lambda: ended == ["j0", "j1"])


@pytest.mark.parametrize("cost", [-1, 1_000_001, 1.5])
def test_a_cost_that_no_job_can_have_is_refused(cost: int) -> None:
    with pytest.raises(ValueError, match="cost: expected a whole number from 0 to 1,000,000, got"):
        JobResult(cost=cost)


def test_a_time_or_an_option_that_is_no_number_is_named() -> None:
    bad: Any = "5"
    with pytest.raises(ValueError, match="after: expected a number of seconds, got '5'"):
        Retry(bad)
    with pytest.raises(ValueError, match="retry_after: expected a number of seconds, got '5'"):
        Throttled(bad)
    with pytest.raises(ValueError, match="concurrency: expected a whole number, got '5'"):
        Worker(AsyncClient("http://127.0.0.1:1"), concurrency=bad)
    fraction: Any = 1.5
    with pytest.raises(ValueError, match=r"concurrency: expected a whole number, got 1\.5"):
        Worker(AsyncClient("http://127.0.0.1:1"), concurrency=fraction)
