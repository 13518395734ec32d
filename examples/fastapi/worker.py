"""The worker: it makes the reports. Run it with `sharq worker examples.fastapi.worker:worker`."""

from __future__ import annotations

import asyncio

from sharq_client import AsyncClient, JobResult, RunningJob, Worker

STEPS = 3


async def make_report(job: RunningJob) -> JobResult:
    """Make a report in a few steps, each of which takes a moment."""
    for step in range(STEPS):
        job.progress({"done": step, "of": STEPS})
        await asyncio.sleep(0.1)  # a real one asks a database
    month = job.payload["month"]
    return JobResult({"file": f"{job.queue_id}-{month}.csv", "rows": 9_000})


def make_worker(sharq: AsyncClient) -> Worker:
    """Return the worker of a server. A test hands in the client of its FakeSharq."""
    return Worker(sharq, "reports", make_report, concurrency=20)


worker = make_worker(AsyncClient())
