"""A dialer, as a program of its own: `python -m examples.voice.dialer TRUNK_URL`. SIGTERM ends it in good order.

Any number of them may run. The lease of a job is its call: the worker extends it for as long as the handler runs, and
if this process dies, the lease ends soon and frees the channel for the next call.
"""

from __future__ import annotations

import asyncio
import os
import sys

import aiohttp

from sharq_client import AsyncClient, Retry, RunningJob, Throttled, Worker

QUEUE_TYPE = "calls~trunk1"
LEASE_S = 2
"""Shorter than a call, so that little time is lost if a dialer dies."""

ENGAGED_S = 0.8
"""The time after which an engaged number is called again."""


async def main(trunk_url: str) -> None:
    """Dial until SIGTERM."""
    async with AsyncClient() as client, aiohttp.ClientSession() as http:
        worker = Worker(client, concurrency=50, lease_ms=LEASE_S * 1000, wait_ms=500)

        @worker.handler(QUEUE_TYPE)
        async def dial(job: RunningJob) -> None:
            call = {
                "name": job.job_id,
                "dialer": os.getpid(),
                "seconds": job.payload["seconds"],
                "engaged": job.payload["engaged_once"] and job.attempt == 1,
            }
            async with http.post(trunk_url, json=call) as answer:
                if answer.status == 486:
                    raise Retry(ENGAGED_S, "486 Busy Here")
                if answer.status in {429, 503}:  # somebody else uses the trunk, too
                    raise Throttled(1, holds_type=True)
                answer.raise_for_status()

        await worker.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
