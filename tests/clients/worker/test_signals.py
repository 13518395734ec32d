"""The stop of a worker by signals: gracefully at the first one, at once at the second."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sharq_client import AsyncClient, EnqueueJob, JobState, RunningJob, Worker
from sharq_client.worker import run
from tests.support.network.lossy_path import path_to
from tests.support.processes.servers import SharqProcess, SharqServer
from tests.support.stopwatch import Stopwatch
from tests.support.waits import until

ROOT = Path(__file__).parents[3]

Program = Callable[..., SharqProcess]


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


@pytest.fixture
def program(server: SharqServer, tmp_path: Path, kind: str) -> Iterator[Program]:
    """program(way, method, job_s=...): a running worker; it is killed at the end of the test if it still runs."""
    with ExitStack() as running:

        def start(way: str, method: str, job_s: float) -> SharqProcess:
            words = [server.url, kind, way, method, str(job_s)]
            process = SharqProcess(
                "tests.support.processes.worker_program",
                tmp_path,
                "worker",
                0,
                words,
                {"PYTHONPATH": str(ROOT)},
            )
            process.launch()
            running.callback(lambda: process.kill() if process.is_running else None)
            return process

        yield start


async def enqueue(client: AsyncClient, kind: str, job_id: str) -> None:
    await client.enqueue(EnqueueJob(queue_type=kind, queue_id="1", job_id=job_id, payload=None, interval=0))


@pytest.mark.parametrize(
    ("number", "way", "method"),
    [
        (signal.SIGTERM, "async", "run"),
        (signal.SIGINT, "async", "run_forever"),
        (signal.SIGTERM, "thread", "run_forever"),
        (signal.SIGHUP, "async", "run_forever"),
    ],
)
async def test_signal_lets_the_worker_finish_its_jobs(
    client: AsyncClient, kind: str, program: Program, number: signal.Signals, way: str, method: str
) -> None:
    worker = program(way, method, 0.5)
    await enqueue(client, kind, "a-job")
    await until(lambda: "a-job" in worker.log)
    worker.signal(number)
    assert await asyncio.to_thread(worker.wait) == 0
    assert worker.log.splitlines()[-1] == "ended"
    assert f"worker_stopping signal={number.name}" in worker.log
    status = await client.job(kind, "1", "a-job")
    assert status is not None and status.state is JobState.FINISHED


async def test_second_signal_ends_the_worker_at_once_and_its_jobs_are_released(
    client: AsyncClient, kind: str, program: Program
) -> None:
    worker = program("async", "run_forever", 600)
    await enqueue(client, kind, "a-job")
    await until(lambda: "a-job" in worker.log)
    worker.signal(signal.SIGTERM)
    await until(lambda: "worker_stopping" in worker.log)
    worker.signal(signal.SIGINT)
    assert await asyncio.to_thread(worker.wait) == 0
    assert "worker_aborting signal=SIGINT" in worker.log
    status = await client.job(kind, "1", "a-job")
    assert status is not None and (status.state, status.attempt) == (JobState.QUEUED, 1)


async def test_hangups_after_the_first_signal_let_the_jobs_end(
    client: AsyncClient, kind: str, program: Program
) -> None:
    """A terminal that is closed sends two of them: the kernel's and the shell's."""
    worker = program("async", "run_forever", 1.0)
    await enqueue(client, kind, "a-job")
    await until(lambda: "a-job" in worker.log)
    for _ in range(3):
        worker.signal(signal.SIGHUP)
        await asyncio.sleep(0.1)
    assert await asyncio.to_thread(worker.wait) == 0
    assert worker.log.count("worker_stopping signal=SIGHUP") == 1
    assert "worker_aborting" not in worker.log
    status = await client.job(kind, "1", "a-job")
    assert status is not None and status.state is JobState.FINISHED


async def test_signal_stops_all_workers_of_a_process_and_the_handlers_before_are_put_back(
    client: AsyncClient, kind: str
) -> None:
    seen: list[int] = []
    started: list[str] = []

    def earlier(number: int, frame: object) -> None:
        seen.append(number)

    async def work(job: RunningJob) -> None:
        started.append(job.job_id)
        await asyncio.sleep(0.1)

    before = signal.signal(signal.SIGTERM, earlier)
    try:
        workers = [Worker(client, kind, work, concurrency=1, wait_ms=500) for _ in range(2)]
        running = [asyncio.create_task(worker.run()) for worker in workers]
        await enqueue(client, kind, "first")
        await until(lambda: len(started) == 1)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*running), 30)
        assert seen == []
        assert signal.getsignal(signal.SIGTERM) is earlier
    finally:
        signal.signal(signal.SIGTERM, before)
    status = await client.job(kind, "1", "first")
    assert status is not None and status.state is JobState.FINISHED


async def test_worker_leaves_signals_alone_where_it_shall_not_or_cannot_handle_them(
    client: AsyncClient, server: SharqServer, kind: str
) -> None:
    async def work(job: RunningJob) -> None: ...

    before = signal.getsignal(signal.SIGTERM)
    workers = [Worker(client, kind, work, handle_signals=False, wait_ms=100), Worker(client, kind, work)]
    running = asyncio.create_task(workers[0].run())
    async with workers[1]:
        await asyncio.sleep(0)
        assert signal.getsignal(signal.SIGTERM) is before
    workers[0].stop()
    await running

    async def run_elsewhere() -> None:
        async with AsyncClient(server.url) as other:
            worker = Worker(other, kind, work, wait_ms=100)
            asyncio.get_running_loop().call_later(0.05, worker.stop)
            await worker.run()

    thread = threading.Thread(target=asyncio.run, args=[run_elsewhere()])
    thread.start()
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()
    assert signal.getsignal(signal.SIGTERM) is before


async def test_abort_leaves_the_job_of_a_thread_to_its_lease(
    client: AsyncClient, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    started, may_end = threading.Event(), threading.Event()

    def work(job: RunningJob) -> None:
        started.set()
        may_end.wait(60)

    await enqueue(client, kind, "a-job")
    worker = Worker(client, kind, work, wait_ms=500)
    running = asyncio.create_task(worker.run())
    await until(started.is_set)
    worker.abort()
    await asyncio.wait_for(running, 30)
    may_end.set()
    status = await client.job(kind, "1", "a-job")
    assert status is not None and status.state is JobState.LEASED
    assert "job_abandoned job_id=a-job" in caplog.text


async def test_abort_does_not_wait_for_reports_that_nobody_takes(
    server: SharqServer, client: AsyncClient, kind: str, monkeypatch: pytest.MonkeyPatch, stopwatch: Stopwatch
) -> None:
    monkeypatch.setattr(run, "ABORT_REPORT_S", 0.2)
    started, may_end = asyncio.Event(), asyncio.Event()

    async def work(job: RunningJob) -> None:
        started.set()
        await may_end.wait()

    async with path_to(server.url) as path, AsyncClient(path.url, retries=0) as through:
        worker = Worker(through, kind, work, wait_ms=100)
        running = asyncio.create_task(worker.run())
        await enqueue(client, kind, "a-job")
        await started.wait()
        await path.shut()
        may_end.set()
        worker.stop()
        await asyncio.sleep(0.1)
        assert not running.done()
        stopwatch.start()
        worker.abort()
        await running
        stopwatch.assert_within(5)
        await path.open()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="handlers start one by one from Python 3.12 on")
async def test_jobs_whose_handlers_take_long_before_they_wait_are_released_by_an_abort(
    client: AsyncClient, kind: str
) -> None:
    started: list[str] = []
    worker = Worker(client, concurrency=50, wait_ms=500)

    @worker.handler(kind)
    async def work(job: RunningJob) -> None:
        started.append(job.job_id)
        time.sleep(0.06)  # noqa: ASYNC251 - it is what this test is about
        if len(started) == 2:
            asyncio.get_running_loop().call_soon(worker.abort)

    jobs = [
        EnqueueJob(queue_type=kind, queue_id="1", job_id=f"j{n}", payload=None, interval=0) for n in range(20)
    ]
    await client.enqueue_many(jobs)
    await asyncio.wait_for(worker.run(), 30)
    statuses = [await client.job(kind, "1", f"j{n}") for n in range(20)]
    states = [status.state for status in statuses if status is not None]
    assert len(started) < 5
    assert states.count(JobState.FINISHED) == len(started)
    assert states.count(JobState.QUEUED) == 20 - len(started)


@pytest.mark.parametrize("way", ["thread", "signal handler"])
async def test_stop_may_be_called_from_a_thread_and_from_a_signal_handler(
    client: AsyncClient, kind: str, way: str
) -> None:
    worker = Worker(client, wait_ms=100, concurrency=1, handle_signals=False)
    done = threading.Event()

    @worker.handler(kind)
    def work(job: RunningJob) -> None:
        if way == "thread":
            worker.stop()
        else:
            os.kill(os.getpid(), signal.SIGUSR1)
        done.wait(1)

    before = signal.signal(signal.SIGUSR1, lambda *_: worker.stop())
    try:
        await enqueue(client, kind, "a-job")
        await asyncio.wait_for(worker.run(), 20)
    finally:
        signal.signal(signal.SIGUSR1, before)
    status = await client.job(kind, "1", "a-job")
    assert status is not None and status.state is JobState.FINISHED
