"""The Prometheus endpoint of a worker."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sharq_client import AsyncClient, Drop, EnqueueJob, Retry, RunningJob, Throttled, Worker, errors
from tests.support.network.lossy_path import path_to
from tests.support.ports import free_port
from tests.support.processes.servers import SharqServer
from tests.support.waits import until

LABELS = ("queue_type", "outcome")


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


async def scrape(http: aiohttp.ClientSession, port: int) -> dict[tuple[str, ...], float]:
    """Return the value of each sample by its name, its queue type and its outcome, as far as it has them."""
    async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
        text = await answer.text()
    return {
        (sample.name, *(sample.labels[name] for name in LABELS if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_jobs_are_counted_by_type_and_outcome(
    client: AsyncClient, kind: str, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    done: list[str] = []
    may_end = asyncio.Event()
    worker = Worker(
        client, wait_ms=100, metrics_port=port, on_reported=lambda job, *_: done.append(job.job_id)
    )

    @worker.handler(kind)
    async def handle(job: RunningJob) -> None:
        verdicts = {"retry": Retry(60), "throttled": Throttled(60), "drop": Drop("no"), "fail": LookupError()}
        if job.payload in verdicts:
            raise verdicts[job.payload]

    @worker.handler(f"{kind}b", batch=5)
    async def handle_many(jobs: list[RunningJob]) -> None:
        await may_end.wait()

    words = ["ok", "ok", "retry", "throttled", "drop", "fail"]
    jobs = [
        EnqueueJob(queue_type=kind, queue_id=f"q{n}", payload=word, interval=0)
        for n, word in enumerate(words)
    ]
    jobs += [EnqueueJob(queue_type=f"{kind}b", queue_id="1", payload=n, interval=0) for n in range(3)]
    await client.enqueue_many(jobs)
    async with worker:
        await until(lambda: len(done) == len(words))
        while (during := await scrape(http, port))["sharq_worker_jobs_in_flight", f"{kind}b"] < 3:
            await asyncio.sleep(0.01)
        may_end.set()
        await until(lambda: len(done) == len(jobs))
        after = await scrape(http, port)
    assert {
        labels[1]: value
        for (name, *labels), value in after.items()
        if name == "sharq_worker_jobs_total" and labels[0] == kind
    } == {
        "finished": 2, "failed": 1, "retried": 1, "throttled": 1, "dropped": 1, "stopped": 0, "abandoned": 0,
    }  # fmt: skip
    assert after["sharq_worker_jobs_total", f"{kind}b", "finished"] == 3
    assert after["sharq_worker_handler_seconds_count", kind] == len(words)
    assert 0 < after["sharq_worker_handler_seconds_sum", kind] < 60
    assert (
        during["sharq_worker_jobs_in_flight", kind] == after["sharq_worker_jobs_in_flight", f"{kind}b"] == 0
    )
    assert after["sharq_worker_leases_lost_total", kind] == 0
    assert after["sharq_worker_dequeue_failures_total",] == 0
    assert after["process_cpu_seconds_total",] > 0
    with pytest.raises(aiohttp.ClientConnectorError):
        await scrape(http, port)


async def test_lost_leases_and_failed_dequeues_are_counted(
    server: SharqServer, client: AsyncClient, kind: str, http: aiohttp.ClientSession
) -> None:
    port = free_port()
    held: list[RunningJob] = []
    errors_: list[object] = []
    may_end = asyncio.Event()

    async def work(job: RunningJob) -> None:
        held.append(job)
        await may_end.wait()

    async with (
        path_to(server.url) as path,
        AsyncClient(path.url, retries=0) as through,
        Worker(
            through, kind, work, concurrency=1, wait_ms=100, metrics_port=port,
            on_reported=lambda job, outcome, error: errors_.append(type(error)),
        ),
    ):  # fmt: skip
        await until(lambda: is_listening(port))
        await path.shut()
        while (await scrape(http, port))["sharq_worker_dequeue_failures_total",] == 0:
            await asyncio.sleep(0.01)
        await path.open()
        await client.enqueue(EnqueueJob(queue_type=kind, queue_id="1", payload=None, interval=0))
        await until(lambda: len(held) == 1)
        await client.release(held[0])
        newer = await client.dequeue(kind, wait_ms=5_000)
        assert newer is not None
        may_end.set()
        await until(lambda: len(errors_) == 1)
        assert (await scrape(http, port))["sharq_worker_leases_lost_total", kind] == 1
    assert errors_ == [errors.LeaseLost]


async def test_port_that_is_taken_is_named(client: AsyncClient, kind: str) -> None:
    async def work(job: RunningJob) -> None: ...

    port = free_port()
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    async with taken:
        with pytest.raises(OSError, match=f"metrics_port: 127.0.0.1:{port}: Address already in use"):
            await Worker(client, kind, work, metrics_port=port).run()


@pytest.mark.parametrize(
    ("library", "extra", "use"),
    [
        ("prometheus_client", "metrics", "Worker(AsyncClient(), metrics_port=9000)"),
        ("watchfiles", "reload", "import sharq_client.worker.reload"),
    ],
)
def test_missing_extra_is_named(library: str, extra: str, use: str) -> None:
    program = (
        f"import sys; sys.modules[{library!r}] = None; from sharq_client import AsyncClient, Worker; {use}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: ")
    assert f"pip install 'sharq-client[{extra}]'" in done.stderr.splitlines()[-1]
