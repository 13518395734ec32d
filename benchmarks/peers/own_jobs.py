"""Adds or processes jobs with this project's own clients, for the comparison of systems.

Run as a program: URL, client, step, number of jobs. The client is "raw" (aiohttp and msgspec alone, 100 jobs a call) or
"sdk" (`enqueue_many` and the worker); the step is "add" or "process". Prints a StepDone as JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec

from benchmarks.load import load_client
from benchmarks.load.bulk_load import BulkLoad
from benchmarks.load.load_client import open_session
from benchmarks.load.worker_load import run_raw, run_worker
from benchmarks.peers.queue_systems import StepDone
from sharq_client import AsyncClient, EnqueueJob

BATCH = 100
LOOPS = 8
QUEUES = 1_000
_TYPE = "sms"
_INTERVAL_MS = 1
_TIMEOUT_S = 60


async def add_raw(url: str, jobs: int) -> StepDone:
    """Enqueue by loops of bulk calls."""
    async with open_session(_TIMEOUT_S) as session:
        load = BulkLoad(session, url, BATCH, "raw")
        calls = iter(range(0, jobs, BATCH))

        async def loop() -> None:
            for _ in calls:
                await load.enqueue()

        started_s, cpu_s = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(LOOPS):
                group.create_task(loop())
        return StepDone(jobs, time.perf_counter() - started_s, time.process_time() - cpu_s)


async def add_by_client(url: str, jobs: int) -> StepDone:
    """Enqueue by the client of the SDK, as a stream."""
    async with AsyncClient(url, timeout_s=_TIMEOUT_S, retries=0) as client:
        started_s, cpu_s = time.perf_counter(), time.process_time()
        summary = await client.enqueue_many(_job(number) for number in range(jobs))
        cpu_s = time.process_time() - cpu_s
    if summary.queued != jobs:
        raise RuntimeError(f"{summary.queued} of {jobs} jobs were queued")
    return StepDone(jobs, time.perf_counter() - started_s, cpu_s)


async def process(url: str, client: str, jobs: int) -> StepDone:
    """Lease and finish all jobs."""
    done = await (run_raw(url, _TYPE, jobs) if client == "raw" else run_worker(url, _TYPE, jobs, "async"))
    if done.jobs != jobs:
        raise RuntimeError(f"{done.jobs} of {jobs} jobs were finished")
    return StepDone(done.jobs, done.duration_s, done.cpu_s)


def _job(number: int) -> EnqueueJob:
    payload = msgspec.Raw(b'{"message":"hello, world","to":"4912345678"}')
    return EnqueueJob(
        queue_type=_TYPE,
        queue_id=f"q{number % QUEUES}",
        payload=payload,
        job_id=f"sdk-{number}",
        interval=_INTERVAL_MS,
    )


if __name__ == "__main__":
    url_, client_, step_, jobs_ = sys.argv[1:]
    if step_ == "process":
        work = process(url_, client_, int(jobs_))
    else:
        work = (add_raw if client_ == "raw" else add_by_client)(url_, int(jobs_))
    outcome = load_client.run(work) if client_ == "raw" else asyncio.run(work)
    print(msgspec.json.encode(outcome).decode())
