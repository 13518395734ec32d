"""Reads, changes and cancels single jobs over HTTP."""

from __future__ import annotations

import time

from tests.support.http.contract import Api, Document, Reply

HOUR_MS = 3_600_000


def now_ms() -> int:
    """Return the time of this machine, whose clock is the store's, too."""
    return time.time_ns() // 1_000_000


async def job(api: Api, kind: str, job_id: str, queue_id: str = "1") -> Document:
    """Return the state of a job, which exists."""
    reply = await api.get(f"/job/{kind}/{queue_id}/{job_id}/")
    assert reply.status == 200, reply.json
    return reply.json


async def change(api: Api, kind: str, job_id: str, **fields: object) -> Reply:
    return await api.call("PATCH", f"/job/{kind}/1/{job_id}/", fields)


async def cancel(api: Api, kind: str, job_id: str, query: str = "") -> Reply:
    return await api.delete(f"/job/{kind}/1/{job_id}/{query}")


async def ids(api: Api, kind: str, query: str = "") -> list[str]:
    """Return the ids of the jobs of a queue, over all pages."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = f"{query}&cursor={cursor}" if cursor else query
        reply = await api.get(f"/queue/{kind}/1/jobs/?{page}")
        assert reply.status == 200, reply.json
        found += [row["job_id"] for row in reply.json["jobs"]]
        cursor = reply.json["cursor"]
    return found


async def kill(api: Api, kind: str, job_id: str, queue_id: str = "1", **released: object) -> None:
    """Make a job a dead letter."""
    await api.enqueue(kind, queue_id, job_id=job_id, requeue_limit=0, priority=1)
    lease = (await api.lease(kind))["lease"]
    body = {"lease": lease, **released}
    assert (await api.post(f"/release/{kind}/{queue_id}/{job_id}/", body)).status == 200


async def dead(api: Api, kind: str, query: str = "") -> list[Document]:
    reply = await api.get(f"/dead/{kind}/?{query}")
    assert reply.status == 200, reply.json
    assert reply.json["cursor"] is None
    jobs: list[Document] = reply.json["jobs"]
    return jobs
