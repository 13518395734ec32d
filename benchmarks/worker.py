"""The client's worker with handlers that do nothing, beside raw aiohttp doing the same calls on the same server."""

from __future__ import annotations

import msgspec

from benchmarks import targets, worker_load
from benchmarks.errors import Spoiled
from benchmarks.jobs import enqueue
from benchmarks.loads import run_load
from benchmarks.report import Report, Row
from benchmarks.servers import sharq_server, store
from benchmarks.spread import Spread
from sharq_client import EnqueueJob

_WAYS = {
    "raw": "raw aiohttp: lease 100, finish 100",
    "async": "worker, async handler",
    "batch": "worker, async handler of batches of 100",
    "thread": f"worker, plain function in {worker_load.THREADS} threads",
}
_QUEUES = 1_000
_TIMEOUT_S = 300


def run(is_quick: bool) -> Report:
    """Measure the ways in turns, each with as many jobs, on one server."""
    rounds, jobs = (3, 10_000) if is_quick else (9, 30_000)
    rates: dict[str, list[float]] = {way: [] for way in _WAYS}
    with store(is_durable=True) as running, sharq_server(running.url) as server:
        for number in range(rounds):
            for way in _WAYS:
                rates[way].append(_measure(server.url, f"{way}-{number}", jobs, way))
        version = running.version
    return _report(rates, version, rounds, jobs)


def _measure(url: str, queue_type: str, jobs: int, way: str) -> float:
    """Return the jobs a second that a process of its own leases and finishes."""
    enqueue(url, [_job(queue_type, number) for number in range(jobs)])
    arguments = [url, queue_type, str(jobs), way]
    done = msgspec.json.decode(
        run_load("benchmarks.worker_load", arguments, _TIMEOUT_S), type=worker_load.Done
    )
    if done.jobs != jobs:
        raise Spoiled(f"{way}: {done.jobs} jobs were finished instead of {jobs}")
    return done.jobs / done.duration_s


def _job(queue_type: str, number: int) -> EnqueueJob:
    payload = msgspec.Raw(b'{"message":"hello, world","to":"4912345678"}')
    return EnqueueJob(
        queue_type=queue_type,
        queue_id=f"q{number % _QUEUES}",
        job_id=f"j{number}",
        payload=payload,
        interval=1,
    )


def _report(rates: dict[str, list[float]], version: str, rounds: int, jobs: int) -> Report:
    rows = [Row(_WAYS[way], "jobs/s", Spread.of(values)) for way, values in rates.items()]
    return Report(
        name="worker",
        question="How fast is the client's worker, beside raw aiohttp doing the same calls?",
        parameters={
            "server": "one sharq-server: router and shard in one process",
            "store": f"{version}, append-only file written out each second, over a UNIX socket",
            "jobs": f"{jobs:,} a measurement, in {_QUEUES:,} queues, interval 1 ms; all wait before it begins",
            "raw": f"{worker_load.RAW_LOOPS} loops in one process, asyncio",
            "worker": f"one process, asyncio, concurrency {worker_load.CONCURRENCY} (threads: {worker_load.THREADS})",
            "rounds": f"{rounds}, the ways in turns",
        },
        rows=[targets.WORKER_OF_RAW.row(_ratio(rates, "async")), *rows],
        notes=["The ratio is that of each round's worker to the raw calls of the same round."],
    )


def _ratio(rates: dict[str, list[float]], way: str) -> Spread:
    return Spread.of([rate / raw for rate, raw in zip(rates[way], rates["raw"], strict=True)])
