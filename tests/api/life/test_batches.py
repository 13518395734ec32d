"""Batches through the SDK and over HTTP, against a running server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest

from sharq_client import AsyncClient, BatchStatus, DeadRef, EnqueueJob, LeasedJob, errors
from tests.support.http.contract import Api, Server
from tests.support.processes.servers import SharqServer

BATCH = "spring.2026"
NONE = BatchStatus(queued=0, delayed=0, leased=0, finished=0, dead=0, cancelled=0, total=0)


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


def member(
    kind: str, job_id: str, queue_id: str = "1", batch: str | None = BATCH, **more: object
) -> EnqueueJob:
    job = EnqueueJob(queue_type=kind, queue_id=queue_id, job_id=job_id, payload={}, interval=0, batch=batch)
    return msgspec.structs.replace(job, **more)


async def leased(client: AsyncClient, kind: str) -> LeasedJob:
    job = await client.dequeue(kind, wait_ms=5_000)
    assert job is not None
    return job


async def has(client: AsyncClient, kind: str, **numbers: int) -> bool:
    """Return True if the batch has these numbers and no others."""
    status = await client.jobs.batch(kind, BATCH)
    return status == msgspec.structs.replace(NONE, **numbers)


async def test_a_batch_shows_how_far_its_jobs_are(client: AsyncClient, kind: str) -> None:
    assert await client.jobs.batch(kind, BATCH) is None
    await client.enqueue_many(
        [member(kind, "1"), member(kind, "2", "other"), member(kind, "3", delay=60_000)]
    )
    await client.enqueue(member(kind, "4", requeue_limit=0))
    await client.enqueue(member(kind, "plain", batch=None, delay=60_000))
    assert await has(client, kind, queued=3, delayed=1, total=4)
    jobs = {job.job_id: job for job in [await leased(client, kind) for _ in range(3)]}
    await client.finish(jobs["1"])
    await client.release(jobs["4"], error="no")
    assert await has(client, kind, delayed=1, leased=1, finished=1, dead=1, total=4)
    status = await client.job(kind, "1", "3")
    plain = await client.job(kind, "1", "plain")
    assert status and plain and (status.batch, plain.batch) == (BATCH, None)
    await client.jobs.redrive(kind, "1", "4")
    assert await has(client, kind, queued=1, delayed=1, leased=1, finished=1, total=4)


async def test_a_cancelled_batch_gives_no_job_and_takes_none(client: AsyncClient, kind: str) -> None:
    await client.enqueue_many([member(kind, str(number), f"q{number % 7}") for number in range(250)])
    held = await leased(client, kind)
    await client.enqueue(member(kind, "dead", "dead", requeue_limit=0))
    assert await client.jobs.cancel_batch(kind, BATCH) == 250
    assert await client.jobs.cancel_batch(kind, BATCH) == 0
    assert await client.dequeue(kind) is None
    await client.finish(held)
    assert await has(client, kind, finished=1, cancelled=250, total=251)
    with pytest.raises(errors.BatchCancelled, match=r"^batch: "):
        await client.enqueue(member(kind, "late"))
    (answer, other) = await client.enqueue_many([member(kind, "late"), member(kind, "late", batch="autumn")])
    assert isinstance(answer, errors.BatchCancelled)
    assert not isinstance(other, errors.SharqError)


async def test_a_dead_letter_of_a_cancelled_batch_is_not_redriven(client: AsyncClient, kind: str) -> None:
    await client.enqueue(member(kind, "1", requeue_limit=0))
    await client.release(await leased(client, kind), error="no")
    assert await client.jobs.cancel_batch(kind, BATCH) == 0
    with pytest.raises(errors.BatchCancelled):
        await client.jobs.redrive(kind, "1", "1")
    (answer,) = await client.redrive_many(kind, [DeadRef("1", "1")])
    assert isinstance(answer, errors.BatchCancelled)
    assert await has(client, kind, dead=1, total=1)


async def test_cancellation_of_an_unknown_batch_is_not_found(client: AsyncClient, kind: str) -> None:
    with pytest.raises(errors.NotFound, match=r"^batch: "):
        await client.jobs.cancel_batch(kind, "unknown")
    assert await client.jobs.batch(kind, "unknown") is None


async def test_bad_batches_are_refused_by_name(
    server: Server, http: aiohttp.ClientSession, kind: str
) -> None:
    api = await Api.open(server.url, http)
    for bad in ("", "a b", "x" * 101, 7, "ä"):
        answer = await api.post(f"/enqueue/{kind}/1/", {"payload": 1, "interval": 0, "batch": bad})
        assert (answer.status, answer.json["message"].partition(":")[0]) == (400, "batch")
    bad_paths = [
        await api.get(f"/batch/{kind}/{'x' * 101}/"),
        await api.post(f"/batch/{kind}/a%20b/cancel/"),
    ]
    for answer in bad_paths:
        assert (answer.status, answer.json["message"].partition(":")[0]) == (400, "batch")
    assert (await api.get(f"/batch/{kind}/b/?limit=1")).status == 400
    assert (await api.get(f"/batch/{kind}/b/")).status == 404
