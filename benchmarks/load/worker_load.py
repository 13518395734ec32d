"""The load of the worker benchmark: jobs that wait already are leased and finished, and nothing is done for them.

Run as a program: URL, queue type, jobs to finish, and how: "raw" (aiohttp alone: loops that lease 100 jobs and finish
them), or by the client's worker with a handler that does nothing: "async", "batch" or "thread". Prints the number of
jobs, the seconds from the first request to the last answer, and the CPU time of this process.
"""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp
import msgspec

from benchmarks.load.load_client import open_session, send_bulk
from sharq_client import AsyncClient, LeasedJob, Outcome, RunningJob, Worker
from sharq_client.errors import SharqError

BATCH = 100
RAW_LOOPS = 4
CONCURRENCY = 400
THREADS = 16
_LEASE_MS = 600_000
_TIMEOUT_S = 60


class WorkerRun(msgspec.Struct, frozen=True):
    """The result of a run: the number of finished jobs, the time that they took, and the CPU time of this process."""

    jobs: int
    duration_s: float
    cpu_s: float


class _Lease(msgspec.Struct, frozen=True):
    queue_id: str
    job_id: str
    lease: str
    queue_type: str = ""


class _Leases(msgspec.Struct, frozen=True):
    jobs: list[_Lease]


_LEASES = msgspec.json.Decoder(_Leases)


async def run_raw(url: str, queue_type: str, jobs: int) -> WorkerRun:
    """Lease and finish jobs with aiohttp and msgspec alone."""
    finished = 0

    async def loop(session: aiohttp.ClientSession) -> None:
        nonlocal finished
        while finished < jobs:
            path = f"/dequeue/?type={queue_type}&count={BATCH}&lease={_LEASE_MS}"
            async with session.post(url + path) as answer:
                content = await answer.read()
                if answer.status == 404:
                    return
                answer.raise_for_status()
            leases = _LEASES.decode(content)
            await send_bulk(session, url, "finish", leases)
            finished += len(leases.jobs)

    async with open_session(_TIMEOUT_S) as session:
        started_s, cpu_s = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(RAW_LOOPS):
                group.create_task(loop(session))
        return WorkerRun(finished, time.perf_counter() - started_s, time.process_time() - cpu_s)


async def run_worker(url: str, queue_type: str, jobs: int, way: str) -> WorkerRun:
    """Lease and finish jobs with the client's worker.

    Raises:
        SharqError: a job could not be finished.
    """
    finished = 0
    ended_s = 0.0
    failures: list[SharqError] = []

    def on_reported(job: LeasedJob, outcome: Outcome, error: SharqError | None) -> None:
        nonlocal finished, ended_s
        if error is not None:
            failures.append(error)
            worker.stop()
        finished += 1
        if finished == jobs:
            ended_s = time.perf_counter()
            worker.stop()

    async def do_nothing(job: RunningJob) -> None: ...
    async def do_nothing_for_many(jobs: list[RunningJob]) -> None: ...
    def do_nothing_in_a_thread(job: RunningJob) -> None: ...

    async with AsyncClient(url, timeout_s=_TIMEOUT_S, retries=0) as client:
        worker = Worker(
            client,
            concurrency={"async": CONCURRENCY, "batch": CONCURRENCY // BATCH, "thread": THREADS}[way],
            batch=BATCH,
            lease_ms=_LEASE_MS,
            wait_ms=100,
            on_reported=on_reported,
        )
        if way == "batch":
            worker.handler(queue_type, batch=BATCH)(do_nothing_for_many)
        else:
            worker.handler(queue_type)(do_nothing if way == "async" else do_nothing_in_a_thread)
        started_s, cpu_s = time.perf_counter(), time.process_time()
        await worker.run()
        cpu_s = time.process_time() - cpu_s
    if failures:
        raise failures[0]
    return WorkerRun(finished, ended_s - started_s, cpu_s)


if __name__ == "__main__":
    url_, queue_type_, jobs_, way_ = sys.argv[1:]
    if way_ == "raw":
        done = asyncio.run(run_raw(url_, queue_type_, int(jobs_)))
    else:
        done = asyncio.run(run_worker(url_, queue_type_, int(jobs_), way_))
    print(msgspec.json.encode(done).decode())
