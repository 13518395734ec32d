"""Fills and empties queues before and between measurements, by the client's bulk calls.

Nothing is measured here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from benchmarks.errors import Spoiled
from sharq_client import AsyncClient, EnqueueJob, LeasedJob
from sharq_client.errors import SharqError

_CALL = 1_000
_AT_ONCE = 4


def enqueue(url: str, jobs: Sequence[EnqueueJob]) -> None:
    """Queue jobs.

    Raises:
        Spoiled: one was refused.
    """
    asyncio.run(_enqueue(url, jobs))


def lease(url: str, queue_type: str, count: int, lease_ms: float) -> list[LeasedJob]:
    """Lease `count` jobs of a type.

    Raises:
        Spoiled: fewer were ready, or a call failed.
    """
    return asyncio.run(_lease(url, queue_type, count, lease_ms))


def drop(url: str, queue_type: str, queue_id: str) -> None:
    """Drop what is left in a queue."""
    asyncio.run(_drop(url, queue_type, queue_id))


async def _drop(url: str, queue_type: str, queue_id: str) -> None:
    async with AsyncClient(url, timeout_s=60, retries=0) as client:
        await client.delete_queue(queue_type, queue_id, purge_all=True)


async def _enqueue(url: str, jobs: Sequence[EnqueueJob]) -> None:
    calls = iter([jobs[first : first + _CALL] for first in range(0, len(jobs), _CALL)])
    async with AsyncClient(url, timeout_s=60, retries=0) as client:
        await asyncio.gather(*(_send(client, calls) for _ in range(_AT_ONCE)))


async def _send(client: AsyncClient, calls: Iterator[Sequence[EnqueueJob]]) -> None:
    """Send a share of the calls, one after another."""
    for jobs in calls:
        for answer in await client.enqueue_many(jobs):
            if isinstance(answer, SharqError):
                raise Spoiled(f"a job was refused: {answer}")


async def _lease(url: str, queue_type: str, count: int, lease_ms: float) -> list[LeasedJob]:
    jobs: list[LeasedJob] = []
    async with AsyncClient(url, timeout_s=60, retries=0) as client:
        while len(jobs) < count:
            wanted = min(_CALL, count - len(jobs))
            try:
                leased = await client.dequeue(queue_type, wanted, wait_ms=1_000, lease_ms=lease_ms)
            except SharqError as error:
                raise Spoiled(f"a dequeue failed: {error}") from error
            if not leased:
                raise Spoiled(f"{len(jobs)} jobs were ready and not {count}")
            jobs += leased
    return jobs
