"""The life of a job through the SDK, against a running server: its fields, failures, cancellation, change and lists."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from sharq_client import (
    DEFAULT_REQUEUE_LIMIT,
    DEFAULT_RETRY,
    Addressed,
    AsyncClient,
    DeadReason,
    EnqueueJob,
    JobChange,
    JobRef,
    JobState,
    JobStatus,
    LeasedJob,
    OnExpiry,
    QueueSettings,
    RetryPolicy,
    TypeSettings,
    errors,
)
from tests.support.network.lossy_path import path_to
from tests.support.processes.servers import SharqServer

LONG_MS = 600_000
POLICY = RetryPolicy(delay=50_000, factor=1.5, max=90_000, jitter=0.25)


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


def a_job(kind: str, job_id: str, queue_id: str = "1", payload: object = None, **more: object) -> EnqueueJob:
    job = EnqueueJob(queue_type=kind, queue_id=queue_id, job_id=job_id, payload=payload, interval=0)
    return msgspec.structs.replace(job, **more)


async def leased(client: AsyncClient, kind: str) -> LeasedJob:
    job = await client.dequeue(kind, wait_ms=5_000)
    assert job is not None
    return job


async def status_of(client: AsyncClient, kind: str, job_id: str) -> JobStatus:
    status = await client.job(kind, "1", job_id)
    assert status is not None
    return status


async def died(client: AsyncClient, kind: str, job_id: str, queue_id: str = "1", error: str = "no") -> None:
    """Enqueue a job that may fail once, and let it fail."""
    await client.enqueue(a_job(kind, job_id, queue_id, requeue_limit=0))
    await client.release(await leased(client, kind), error=error)


async def test_job_that_says_nothing_is_bounded_and_backs_off(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, "single"))
    await client.enqueue_many([a_job(kind, "bulk")])
    for job_id in ("single", "bulk"):
        status = await status_of(client, kind, job_id)
        assert (status.requeue_limit, status.retry) == (DEFAULT_REQUEUE_LIMIT, DEFAULT_RETRY)
    assert DEFAULT_REQUEUE_LIMIT == 10
    assert RetryPolicy(delay=1_000, factor=2, max=300_000, jitter=0.2) == DEFAULT_RETRY


@pytest.mark.parametrize("limit", [None, -1])
async def test_limit_and_backoff_can_be_turned_off(client: AsyncClient, kind: str, limit: int | None) -> None:
    await client.enqueue(a_job(kind, "single", requeue_limit=limit, retry=None))
    await client.enqueue_many([a_job(kind, "bulk", requeue_limit=limit, retry=None)])
    for job_id in ("single", "bulk"):
        status = await status_of(client, kind, job_id)
        assert (status.requeue_limit, status.retry) == (-1, None)


async def test_job_carries_its_life(client: AsyncClient, kind: str) -> None:
    now_ms = int(time.time() * 1000)
    fields: dict[str, Any] = {
        "at": now_ms + LONG_MS,
        "priority": 2,
        "expires_at": now_ms + 2 * LONG_MS,
        "on_expiry": OnExpiry.DROP,
        "retry": POLICY,
        "cost": 3,
        "requeue_limit": 4,
    }
    await client.enqueue(a_job(kind, "single", **fields))
    await client.enqueue_many([a_job(kind, "bulk", **fields)])
    for job_id in ("single", "bulk"):
        status = await status_of(client, kind, job_id)
        assert (status.state, status.delayed_until) == (JobState.DELAYED, now_ms + LONG_MS)
        assert (status.priority, status.cost, status.requeue_limit) == (2, 3, 4)
        assert (status.expires_at, status.on_expiry) == (now_ms + 2 * LONG_MS, OnExpiry.DROP)
        assert status.retry == POLICY


async def test_jobs_leave_by_priority_and_say_when_they_expire(client: AsyncClient, kind: str) -> None:
    await client.enqueue_many(
        [
            a_job(kind, "last", priority=9),
            a_job(kind, "usual"),
            a_job(kind, "first", priority=1, expires=LONG_MS),
        ]
    )
    jobs = await client.dequeue(kind, 3)
    assert [(job.job_id, job.priority) for job in jobs] == [("first", 1), ("usual", 5), ("last", 9)]
    assert jobs[0].expires_at == jobs[0].enqueued_at + LONG_MS
    assert jobs[1].expires_at is None


async def test_expired_jobs_are_dead_or_dropped(client: AsyncClient, kind: str) -> None:
    await client.control.set_queue(kind, "1", QueueSettings(interval=0))
    assert await client.pause(kind, "1")
    await client.enqueue_many(
        [
            a_job(kind, "kept", expires=1),
            a_job(kind, "dropped", expires=1, on_expiry=OnExpiry.DROP),
            a_job(kind, "live"),
        ]
    )
    await asyncio.sleep(0.01)
    assert await client.resume(kind, "1")
    assert (await leased(client, kind)).job_id == "live"
    kept, dropped = await status_of(client, kind, "kept"), await status_of(client, kind, "dropped")
    assert (kept.state, kept.reason, kept.attempt) == (JobState.DEAD, DeadReason.EXPIRED, 0)
    assert kept.dead_at is not None and kept.payload is None
    assert dropped.state is JobState.EXPIRED
    assert (await client.enqueue(a_job(kind, "dropped", repeat=True))).duplicate


async def test_fields_that_exclude_each_other_are_refused_by_name(client: AsyncClient, kind: str) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"at": 1, "delay": 1}, "at.*delay"),
        ({"expires": 1, "expires_at": 1}, "expires_at.*expires"),
        ({"expires": 1, "delay": 2}, "expires"),
    ]
    for fields, names in cases:
        with pytest.raises(errors.InvalidRequest, match=names):
            await client.enqueue(a_job(kind, "a", **fields))
    assert await client.job(kind, "1", "a") is None


async def test_release_keeps_its_error_and_waits_for_the_retry(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, "a", retry=POLICY))
    job = await leased(client, kind)
    await client.release(job, error="first")
    status = await status_of(client, kind, "a")
    assert (status.state, status.attempt) == (JobState.DELAYED, 1)
    assert (status.error, status.error_attempt) == ("first", 1)
    assert status.error_at is not None and status.delayed_until is not None
    assert 0.75 * 50_000 - 1 <= status.delayed_until - status.error_at <= 50_000


async def test_delay_of_a_release_wins_over_the_policy(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, "a", retry=POLICY))
    await client.release(await leased(client, kind), 0)
    assert await client.release_many([await leased(client, kind)], 0, error="second") == [None]
    job = await leased(client, kind)
    assert (job.attempt, (await status_of(client, kind, "a")).error) == (3, "second")
    await client.release(job, counts=False)
    assert (await leased(client, kind)).attempt == 3


async def test_bulk_release_has_an_error_for_each_job(client: AsyncClient, kind: str) -> None:
    await client.enqueue_many([a_job(kind, job_id, retry=POLICY) for job_id in ("a", "b", "c")])
    jobs = await client.dequeue(kind, 3)
    assert await client.release_many(jobs, error=["no a", None, "no c"]) == [None] * 3
    rows = [row async for row in client.jobs.in_queue(kind, "1", JobState.DELAYED)]
    assert [(row.job_id, row.error) for row in rows] == [("a", "no a"), ("b", None), ("c", "no c")]


async def test_dead_letter_has_its_reason_and_last_error(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, "a", requeue_limit=1, retry=None))
    await client.release(await leased(client, kind), error="first")
    await client.release(await leased(client, kind), error="x" * 5_000)
    (letter,) = [letter async for letter in client.dead(kind)]
    assert (letter.job_id, letter.reason, letter.attempt) == ("a", DeadReason.LIMIT, 2)
    assert (letter.error, letter.error_attempt) == ("x" * 2_048, 2)
    assert letter.error_at == letter.dead_at
    status = await status_of(client, kind, "a")
    assert (status.state, status.reason, status.error) == (JobState.DEAD, DeadReason.LIMIT, "x" * 2_048)


async def test_dead_letters_are_listed_by_queue_and_redriven_or_dropped_one_by_one(
    client: AsyncClient, kind: str
) -> None:
    for queue_id in ("1", "2"):
        for job_id in ("a", "b"):
            await died(client, kind, job_id, queue_id)
    letters = [letter async for letter in client.dead(kind, queue_id="2", page=1)]
    assert sorted((letter.queue_id, letter.job_id) for letter in letters) == [("2", "a"), ("2", "b")]
    await client.jobs.redrive(kind, "2", "a")
    with pytest.raises(errors.NotFound):
        await client.jobs.redrive(kind, "2", "a")
    await client.enqueue(a_job(kind, "b", "2"))
    with pytest.raises(errors.Duplicate):
        await client.jobs.redrive(kind, "2", "b")
    assert await client.jobs.drop_dead_letter(kind, "2", "b") is True
    assert await client.jobs.drop_dead_letter(kind, "2", "b") is False
    assert [letter async for letter in client.dead(kind, queue_id="2")] == []
    assert len([letter async for letter in client.dead(kind)]) == 2


async def test_cancel_says_which_state_the_job_was_in(client: AsyncClient, kind: str) -> None:
    await client.enqueue_many([a_job(kind, "queued"), a_job(kind, "delayed", delay=LONG_MS)])
    assert await client.jobs.cancel(kind, "1", "queued") is JobState.QUEUED
    assert await client.jobs.cancel(kind, "1", "delayed") is JobState.DELAYED
    await died(client, kind, "dead")
    assert await client.jobs.cancel(kind, "1", "dead") is JobState.DEAD
    for job_id in ("queued", "delayed", "dead"):
        assert await client.jobs.cancel(kind, "1", job_id) is JobState.CANCELLED
        status = await status_of(client, kind, job_id)
        assert (status.state, status.payload) == (JobState.CANCELLED, None)
        assert (await client.enqueue(a_job(kind, job_id, repeat=True))).duplicate
    assert await client.jobs.cancel(kind, "1", "unknown") is None
    assert await client.dequeue(kind) is None


async def test_leased_job_is_cancelled_by_force_only(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, "a"))
    job = await leased(client, kind)
    with pytest.raises(errors.Leased):
        await client.jobs.cancel(kind, "1", "a")
    await client.extend(job, LONG_MS)
    assert await client.jobs.cancel(kind, "1", "a", force=True) is JobState.LEASED
    with pytest.raises(errors.LeaseLost):
        await client.finish(job)
    with pytest.raises(errors.LeaseLost):
        await client.extend(job, LONG_MS)
    with pytest.raises(errors.LeaseLost):
        await client.release(job)


async def test_bulk_cancellation_answers_each_job(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, "leased"))
    job = await leased(client, kind)
    await client.enqueue(a_job(kind, "queued"))
    refs: list[Addressed] = [job, JobRef(kind, "1", "queued"), JobRef(kind, "1", "unknown")]
    held, queued, unknown = await client.jobs.cancel_many(refs)
    assert isinstance(held, errors.Leased) and isinstance(unknown, errors.NotFound)
    assert queued is JobState.QUEUED
    answers = await client.jobs.cancel_many(refs[:2], force=True)
    assert list(answers) == [JobState.LEASED, JobState.CANCELLED]
    assert answers.failed == 0


async def test_cancel_whose_answer_was_lost_is_done(server: SharqServer, kind: str) -> None:
    async with path_to(server.url) as path, AsyncClient(path.url) as client:
        await client.enqueue_many([a_job(kind, "a"), a_job(kind, "b")])
        path.answers_to_lose = 1
        assert await client.jobs.cancel(kind, "1", "a") is JobState.CANCELLED
        path.answers_to_lose = 1
        assert await client.jobs.cancel_many([JobRef(kind, "1", "b")]) == [JobState.CANCELLED]


async def test_change_whose_answer_was_lost_is_not_sent_again(server: SharqServer, kind: str) -> None:
    async with path_to(server.url) as path, AsyncClient(path.url) as client:
        await client.enqueue(a_job(kind, "a"))
        sent = path.requests
        path.answers_to_lose = 1
        with pytest.raises(errors.OutcomeUnknown):
            await client.jobs.change(kind, "1", "a", JobChange(priority=1))
        assert path.requests == sent + 1
        assert (await status_of(client, kind, "a")).priority == 1


async def test_waiting_jobs_of_a_prefix_are_cancelled(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, "spring-leased"))
    await leased(client, kind)
    await client.enqueue_many(
        [a_job(kind, f"spring-{n}", delay=n % 2 * LONG_MS, priority=1 + n % 9) for n in range(250)]
    )
    await client.enqueue_many([a_job(kind, "order-1"), a_job(kind, "spring-1", "2")])
    assert await client.jobs.cancel_matching(kind, "1", "spring-") == 250
    assert await client.jobs.cancel_matching(kind, "1", "spring-") == 0
    assert (await status_of(client, kind, "spring-17")).state is JobState.CANCELLED
    stats = await client.queue(kind, "1")
    assert stats is not None and (stats.queued, stats.delayed, stats.leased) == (1, 0, 1)
    assert await client.jobs.cancel_matching(kind, "1", "") == 1
    assert sorted([queue_id async for queue_id in client.queues(kind)]) == ["1", "2"]


async def test_waiting_job_is_changed(client: AsyncClient, kind: str) -> None:
    await client.enqueue_many([a_job(kind, "other"), a_job(kind, "a", expires=LONG_MS)])
    change = JobChange(payload={"n": 2}, priority=2, cost=7, expires=None)
    status = await client.jobs.change(kind, "1", "a", change)
    assert (status.state, status.payload, status.priority, status.cost) == (JobState.QUEUED, {"n": 2}, 2, 7)
    assert (status.expires_at, status.position) == (None, 1)
    status = await client.jobs.change(kind, "1", "a", JobChange(payload=None))
    assert (status.payload, status.priority) == (None, 2)
    status = await client.jobs.change(kind, "1", "a", JobChange(delay=LONG_MS, expires=2 * LONG_MS))
    assert status.state is JobState.DELAYED
    assert status.delayed_until is not None and status.expires_at is not None
    assert status.expires_at - status.delayed_until == LONG_MS
    status = await client.jobs.change(kind, "1", "a", JobChange(at=1))
    assert status.state is JobState.QUEUED


async def test_job_that_does_not_wait_is_not_changed(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, "a"))
    job = await leased(client, kind)
    with pytest.raises(errors.NotWaiting):
        await client.jobs.change(kind, "1", "a", JobChange(priority=1))
    await client.finish(job)
    with pytest.raises(errors.NotWaiting):
        await client.jobs.change(kind, "1", "a", JobChange(priority=1))
    with pytest.raises(errors.NotFound):
        await client.jobs.change(kind, "1", "unknown", JobChange(priority=1))
    await client.enqueue(a_job(kind, "b"))
    with pytest.raises(errors.InvalidRequest, match="priority"):
        await client.jobs.change(kind, "1", "b", JobChange(priority=10))


async def test_jobs_of_a_queue_are_listed_over_pages(client: AsyncClient, kind: str) -> None:
    await client.enqueue(a_job(kind, "held"))
    await leased(client, kind)
    await client.enqueue_many([a_job(kind, f"j{n}", payload=n, priority=9 - n) for n in range(5)])
    await client.enqueue_many([a_job(kind, f"d{n}", delay=LONG_MS) for n in range(3)])
    queued = [row async for row in client.jobs.in_queue(kind, "1", page=2)]
    assert [(row.job_id, row.payload, row.priority) for row in queued] == [
        (f"j{n}", n, 9 - n) for n in (4, 3, 2, 1, 0)
    ]
    delayed = [row async for row in client.jobs.in_queue(kind, "1", JobState.DELAYED, page=1)]
    assert [(row.job_id, row.state) for row in delayed] == [(f"d{n}", JobState.DELAYED) for n in range(3)]
    (held,) = [row async for row in client.jobs.in_queue(kind, "1", JobState.LEASED)]
    assert (held.job_id, held.attempt) == ("held", 1) and held.lease_expires_at is not None
    assert [row.job_id async for row in client.jobs.in_queue(kind, "1", prefix="j3")] == ["j3"]
    assert [row async for row in client.jobs.in_queue(kind, "unknown")] == []


async def test_queue_has_defaults_for_jobs_without_their_own(client: AsyncClient, kind: str) -> None:
    settings = QueueSettings(interval=0, retry=POLICY, expires=LONG_MS, on_expiry=OnExpiry.DROP)
    stats = await client.control.set_queue(kind, "1", settings)
    assert (stats.retry, stats.expires, stats.on_expiry) == (POLICY, LONG_MS, OnExpiry.DROP)
    await client.enqueue(a_job(kind, "a", retry=None))
    job = await leased(client, kind)
    assert job.expires_at == job.enqueued_at + LONG_MS
    await client.release(job)
    status = await status_of(client, kind, "a")
    assert (status.state, status.retry, status.on_expiry) == (JobState.DELAYED, None, OnExpiry.DROP)
    stats = await client.control.set_queue(kind, "1", QueueSettings(retry=None))
    assert (stats.retry, stats.expires) == (None, LONG_MS)
    stats = await client.control.set_queue(kind, "1", QueueSettings(expires=None, on_expiry=None))
    assert (stats.retry, stats.expires, stats.on_expiry) == (None, None, None)


async def test_gathered_type_has_defaults_for_its_queues(client: AsyncClient, kind: str) -> None:
    carrier = f"{kind}~a"
    stats = await client.control.set_type(
        carrier, TypeSettings(retry=POLICY, expires=LONG_MS, on_expiry=OnExpiry.DEAD)
    )
    assert (stats.retry, stats.expires, stats.on_expiry) == (POLICY, LONG_MS, OnExpiry.DEAD)
    await client.enqueue(a_job(carrier, "a", retry=None))
    await client.release(await leased(client, carrier))
    assert (await status_of(client, carrier, "a")).state is JobState.DELAYED
    stats = await client.control.set_type(carrier, TypeSettings(retry=None))
    assert (stats.retry, stats.expires) == (None, LONG_MS)
    assert (await client.control.clear_type(carrier)).expires is None
