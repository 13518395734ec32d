"""Failed attempts of a handler: their errors, the waits between them, and the end of a job that always fails."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator

import msgspec
import pytest

from sharq_client import AsyncClient, DeadReason, EnqueueJob, JobState, LeasedJob, RetryPolicy, Worker
from sharq_client.bodies import LeaseBody
from sharq_client.bulk import MAX_BYTES_A_CALL, calls
from sharq_client.worker.outcomes import text_of
from tests.support.processes.servers import SharqServer
from tests.support.waits import until


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


def a_job(kind: str, job_id: str = "j", **more: object) -> EnqueueJob:
    job = EnqueueJob(queue_type=kind, queue_id="1", job_id=job_id, payload=None, interval=0)
    return msgspec.structs.replace(job, **more)


class Unspeakable(Exception):
    """An error whose message cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no message")


async def test_jobs_that_always_fail_are_tried_ever_more_rarely_and_end_as_dead_letters(
    client: AsyncClient, kind: str
) -> None:
    started_s: dict[str, list[float]] = defaultdict(list)

    async def fail(job: LeasedJob) -> None:
        started_s[job.job_id].append(time.monotonic())
        raise ConnectionError(f"486 busy here, try {job.attempt}")

    policy = RetryPolicy(delay=200, factor=2, max=500)
    poison = [a_job(kind, f"p{n}", requeue_limit=3, retry=policy) for n in range(5)]
    await client.enqueue_many(poison)
    async with Worker(client, kind, fail, wait_ms=500):
        async with asyncio.timeout(60):
            while len(letters := [letter async for letter in client.dead(kind)]) < len(poison):
                await asyncio.sleep(0.05)
        assert await client.dequeue(kind, wait_ms=600) is None
    assert {job_id: len(times) for job_id, times in started_s.items()} == {f"p{n}": 4 for n in range(5)}
    for times in started_s.values():
        waits_s = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert [wait_s > least_s for wait_s, least_s in zip(waits_s, (0.2, 0.4, 0.5), strict=True)] == [
            True
        ] * 3
    for letter in letters:
        assert (letter.reason, letter.attempt, letter.error_attempt) == (DeadReason.LIMIT, 4, 4)
        assert letter.error == "ConnectionError: 486 busy here, try 4"


@pytest.mark.parametrize("is_async", [True, False])
async def test_error_of_a_handler_is_kept_and_the_default_policy_decides(
    client: AsyncClient, kind: str, is_async: bool
) -> None:
    def fail(job: LeasedJob) -> None:
        raise LookupError("no such number")

    async def fail_async(job: LeasedJob) -> None:
        fail(job)

    await client.enqueue(a_job(kind))
    async with Worker(client, kind, fail_async if is_async else fail, wait_ms=100):
        async with asyncio.timeout(60):
            while (status := await client.job(kind, "1", "j")) is None or status.error is None:
                await asyncio.sleep(0.01)
    assert (status.state, status.error, status.error_attempt) == (
        JobState.DELAYED,
        "LookupError: no such number",
        1,
    )
    assert status.delayed_until is not None and status.error_at is not None
    assert 799 <= status.delayed_until - status.error_at <= 1_000


async def test_job_without_a_policy_comes_back_after_a_second(client: AsyncClient, kind: str) -> None:
    async def fail(job: LeasedJob) -> None:
        raise LookupError

    await client.enqueue(a_job(kind, retry=None))
    async with Worker(client, kind, fail, wait_ms=100):
        async with asyncio.timeout(60):
            while (status := await client.job(kind, "1", "j")) is None or status.error_at is None:
                await asyncio.sleep(0.01)
    assert status.delayed_until is not None
    assert 999 <= status.delayed_until - status.error_at <= 1_001


async def test_delay_of_the_worker_wins_over_the_policy(client: AsyncClient, kind: str) -> None:
    attempts: list[int] = []

    async def fail_twice(job: LeasedJob) -> None:
        attempts.append(job.attempt)
        if job.attempt < 3:
            raise LookupError

    await client.enqueue(a_job(kind, retry=RetryPolicy(delay=3_600_000)))
    async with Worker(client, kind, fail_twice, wait_ms=100, release_delay_ms=0):
        await until(lambda: attempts == [1, 2, 3])


async def test_interrupted_attempt_keeps_the_error_before_it(client: AsyncClient, kind: str) -> None:
    started = asyncio.Event()

    async def fail_then_hang(job: LeasedJob) -> None:
        if job.attempt == 1:
            raise LookupError("first")
        started.set()
        await asyncio.Event().wait()

    await client.enqueue(a_job(kind))
    async with Worker(client, kind, fail_then_hang, wait_ms=100, release_delay_ms=0, stop_timeout_s=0.2):
        await started.wait()
    status = await client.job(kind, "1", "j")
    assert status is not None
    assert (status.state, status.attempt, status.error) == (JobState.QUEUED, 2, "LookupError: first")


async def test_job_that_arrives_during_the_stop_does_not_lose_an_attempt(
    client: AsyncClient, kind: str
) -> None:
    started: list[str] = []

    async def work(job: LeasedJob) -> None:
        started.append(job.job_id)

    async with Worker(client, kind, work, wait_ms=10_000) as worker:
        await client.enqueue(a_job(kind, "first"))
        await until(lambda: len(started) == 1)
        worker.stop()
        await client.enqueue(a_job(kind, "second", requeue_limit=0))
    status = await client.job(kind, "1", "second")
    assert started == ["first"]
    assert status is not None and (status.state, status.attempt, status.error) == (JobState.QUEUED, 0, None)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("bad"), "ValueError: bad"),
        (ValueError(), "ValueError"),
        (KeyError("a"), "KeyError: 'a'"),
        (Unspeakable(), "Unspeakable: its message raised RuntimeError"),
        (OSError("a\udcffb"), "OSError: a?b"),
        (ValueError("\u20ac" * 1_000), "ValueError: " + "\u20ac" * 678),
    ],
)
def test_text_of_an_error_fits_the_server(error: Exception, text: str) -> None:
    assert text_of(error) == text
    assert len(text.encode()) <= 2_048


def test_long_errors_are_split_by_bytes() -> None:
    bodies = [LeaseBody("t", "q", "j", "lease", error="\x00" * 2_048) for _ in range(1_000)]
    split = list(calls(bodies))
    assert sum(map(len, split)) == 1_000
    assert max(len(msgspec.json.encode(call)) for call in split) <= MAX_BYTES_A_CALL
