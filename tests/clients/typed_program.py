"""A program that uses the clients, for test_typing.py: it is checked with strict types, and does not run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from sharq_client import (
    Answers,
    AsyncClient,
    Client,
    ClusterState,
    DeadLetter,
    EnqueueAnswers,
    Enqueued,
    EnqueueJob,
    EnqueueProgress,
    EnqueueStopped,
    EnqueueSummary,
    JobState,
    JobStatus,
    LeasedJob,
    LeasedJobs,
    QueueFull,
    QueueRow,
    QueueStats,
    SharqError,
    TypeSettings,
    Unavailable,
)


def lines() -> Iterator[EnqueueJob]:
    """Yield jobs, as from a file."""
    for number in range(10):
        yield EnqueueJob(queue_type="sms", queue_id="acme", job_id=f"order-{number}", payload={"n": number})


async def incoming() -> AsyncIterator[dict[str, object]]:
    """Yield jobs as mappings, as from a socket."""
    yield {"queue_type": "sms", "queue_id": "acme", "payload": 1}


def report(progress: EnqueueProgress) -> None:
    """Print the progress."""
    print(progress.sent, progress.failed, progress.resume_at)


def use(client: Client) -> None:
    """Use the sync client."""
    try:
        assert_type(client.enqueue({"queue_type": "sms", "queue_id": "acme", "payload": 1}), Enqueued)
        assert_type(client.enqueue_many(list(lines())), EnqueueAnswers)
        assert_type(client.enqueue_many(lines(), in_flight=8, on_progress=report), EnqueueSummary)
    except QueueFull as full:
        assert_type(full.queue_length, int)
    except EnqueueStopped as stopped:
        assert_type(stopped.resume_at, int)
        assert_type(stopped.summary, EnqueueSummary)
        for index, job_id, error in stopped.summary.failures:
            print(index + 1, job_id.upper(), error.code)
    except Unavailable as error:
        assert_type(error.perhaps_done, bool)
    assert_type(client.dequeue("sms", wait_ms=100), LeasedJob | None)
    jobs = client.dequeue(["sms", "calls"], 10)
    assert_type(jobs, LeasedJobs)
    assert_type(client.finish_many(jobs), Answers[SharqError | None])
    client.finish({"queue_type": "sms", "queue_id": "acme", "job_id": "order-1"})
    assert_type(client.jobs.cancel("sms", "acme", "order-1"), JobState | None)
    assert_type(client.jobs.wait("sms", "acme", "order-1"), JobStatus | None)
    assert_type(client.control.set_queue("sms", "acme", {"rate": "40/s"}), QueueStats)
    assert_type(client.control.cluster(), ClusterState)
    client.control.set_type("sms~a", TypeSettings(max_leased=10))
    for row in client.control.queues("sms"):
        assert_type(row, QueueRow)
    for letter in client.dead("sms"):
        assert_type(letter, DeadLetter)


async def use_async(client: AsyncClient) -> None:
    """Use the async client."""
    assert_type(await client.enqueue_many(list(lines())), EnqueueAnswers)
    assert_type(await client.enqueue_many(lines()), EnqueueSummary)
    assert_type(await client.enqueue_many(incoming(), repeat=True), EnqueueSummary)
    assert_type(await client.dequeue("sms"), LeasedJob | None)
    assert_type(await client.dequeue("sms", 10), LeasedJobs)
    async for row in client.control.queues("sms"):
        assert_type(row, QueueRow)


async def main() -> None:
    """Open both clients."""
    with Client("http://127.0.0.1:8080", token="secret") as client:
        use(client)
    async with AsyncClient(["http://a:8080", "http://b:8080"], ca="ca.pem") as async_client:
        await use_async(async_client)
