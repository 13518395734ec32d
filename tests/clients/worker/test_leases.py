"""The extensions of leases while handlers run: what the server refuses is told once, and not asked for again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from sharq_client import AsyncClient, EnqueueJob, JobState, RunningJob, Worker
from sharq_client.aio.connections import AiohttpConnections
from tests.support.processes.servers import SharqServer
from tests.support.waits import until


class CountedExtensions(AiohttpConnections):
    """Connections that count the extensions of each job."""

    def __init__(self) -> None:
        super().__init__()
        self.of_job: Counter[str] = Counter()

    async def exchange(
        self, method: str, url: str, data: bytes | None, *arguments: Any, **more: Any
    ) -> tuple[int, bytes]:
        if "/extend/" in url:
            self.of_job.update(job["job_id"] for job in msgspec.json.decode(data or b"")["jobs"])
        return await super().exchange(method, url, data, *arguments, **more)


@pytest.fixture
async def extensions(server: SharqServer) -> CountedExtensions:
    return CountedExtensions()


@pytest.fixture
async def client(server: SharqServer, extensions: CountedExtensions) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url, connections=extensions) as opened:
        yield opened


async def enqueue(client: AsyncClient, kind: str, *job_ids: str) -> None:
    await client.enqueue_many(
        [
            EnqueueJob(
                queue_type=kind, queue_id="1", job_id=job_id, payload=None, interval=0, requeue_limit=0
            )
            for job_id in job_ids
        ]
    )


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the jobs and errors of the extensions that the log says failed."""
    return [
        line.split("job_id=")[1] for line in caplog.messages if line.startswith("extend_failed queue_type=")
    ]


async def test_extension_that_is_wrong_is_tried_and_told_once(
    client: AsyncClient, kind: str, extensions: CountedExtensions, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = asyncio.Event()

    async def work(job: RunningJob) -> None:
        if job.job_id == "wrong":
            msgspec.structs.force_setattr(job, "queue_id", "no such")
        await may_end.wait()

    await enqueue(client, kind, "wrong", "right")
    async with Worker(client, kind, work, concurrency=2, lease_ms=400, wait_ms=100):
        await until(lambda: extensions.of_job["right"] >= 4)
        tries = extensions.of_job["wrong"]
        may_end.set()
    assert tries == 1
    assert told(caplog) == ["wrong error=invalid_request"]


async def test_lost_lease_is_tried_and_told_once(
    client: AsyncClient, kind: str, extensions: CountedExtensions, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = asyncio.Event()

    async def work(job: RunningJob) -> None:
        if job.job_id == "lost":
            await client.jobs.cancel(kind, "1", "lost", force=True)
        await may_end.wait()

    await enqueue(client, kind, "lost", "right")
    async with Worker(client, kind, work, concurrency=2, lease_ms=400, wait_ms=100):
        await until(lambda: extensions.of_job["right"] >= 4)
        tries = extensions.of_job["lost"]
        may_end.set()
    assert tries == 1
    assert told(caplog) == ["lost error=lease_lost"]


async def test_progress_that_is_refused_is_told_once_and_leaves_the_lease_as_it_is(
    client: AsyncClient, kind: str, extensions: CountedExtensions, caplog: pytest.LogCaptureFixture
) -> None:
    too_deep = msgspec.Raw(b"[" * 505 + b"]" * 505)  # the server takes 500 levels
    attempts: list[int] = []

    async def work(job: RunningJob) -> None:
        attempts.append(job.attempt)
        while extensions.of_job["deep"] < 4:
            job.progress(too_deep)
            await asyncio.sleep(0.01)

    await enqueue(client, kind, "deep")
    async with Worker(client, kind, work, lease_ms=60_000, wait_ms=100) as worker:
        await until(lambda: extensions.of_job["deep"] >= 4)
        worker.stop()
    assert told(caplog) == ["deep error=invalid_request"]
    status = await client.job(kind, "1", "deep")
    assert status is not None and (status.state, attempts) == (JobState.FINISHED, [1])
