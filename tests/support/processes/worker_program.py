"""A worker as a program of its own, for tests of signals.

Arguments: URL, queue type, "async" or "thread", "run" or "run_forever", seconds that each job takes. It prints the id
of each job that begins, and `ended` after the worker has returned.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time

from sharq_client import AsyncClient, RunningJob, Worker


def make_worker(client: AsyncClient, queue_type: str, way: str, job_s: float) -> Worker:
    worker = Worker(client, wait_ms=500, release_delay_ms=0)

    async def work(job: RunningJob) -> None:
        print(job.job_id, flush=True)
        await asyncio.sleep(job_s)

    def work_in_thread(job: RunningJob) -> None:
        print(job.job_id, flush=True)
        time.sleep(job_s)

    worker.handler(queue_type)(work if way == "async" else work_in_thread)
    return worker


async def run(url: str, queue_type: str, way: str, job_s: float) -> None:
    async with AsyncClient(url) as client:
        await make_worker(client, queue_type, way, job_s).run()


def main() -> None:
    url, queue_type, way, method, job_s = sys.argv[1:]
    logging.basicConfig(level=logging.INFO)
    # A shell in the background starts programs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if method == "run":
        asyncio.run(run(url, queue_type, way, float(job_s)))
    else:
        make_worker(AsyncClient(url), queue_type, way, float(job_s)).run_forever()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print("ended", flush=True)


if __name__ == "__main__":
    main()
