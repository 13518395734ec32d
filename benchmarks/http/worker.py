"""The client's worker with handlers that do nothing, beside raw aiohttp doing the same calls on the same server."""

from __future__ import annotations

import statistics

import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread, medians
from benchmarks.load import worker_load
from benchmarks.load.jobs import enqueue
from benchmarks.load.programs import run_load
from benchmarks.processes.servers import sharq_server, store
from sharq_client import EnqueueJob

_WAYS = {
    "raw": "raw aiohttp: lease 100, finish 100",
    "async": "worker, async handler",
    "batch": "worker, async handler of batches of 100",
    "thread": f"worker, plain function in {worker_load.THREADS} threads",
}
_QUEUES = 1_000
_TIMEOUT_S = 300


class _Sample(msgspec.Struct, frozen=True):
    """Jobs a second, and CPU time of the client's process a job."""

    rate: float
    cpu_us: float


def run(is_quick: bool) -> Report:
    """Measure the ways in turns, each with as many jobs, on one server."""
    rounds, jobs = (3, 10_000) if is_quick else (9, 30_000)
    samples: dict[str, list[_Sample]] = {way: [] for way in _WAYS}
    with store(is_durable=True) as running, sharq_server(running.url) as server:
        for number in range(rounds):
            for way in _WAYS:
                samples[way].append(_measure(server.url, f"{way}-{number}", jobs, way))
        version = running.version
    return _report(samples, version, rounds, jobs)


def _measure(url: str, queue_type: str, jobs: int, way: str) -> _Sample:
    """Let a process of its own lease and finish jobs that wait already."""
    enqueue(url, [_job(queue_type, number) for number in range(jobs)])
    arguments = [url, queue_type, str(jobs), way]
    answer = run_load("benchmarks.load.worker_load", arguments, _TIMEOUT_S)
    done = msgspec.json.decode(answer, type=worker_load.WorkerRun)
    if done.jobs != jobs:
        raise Spoiled(f"{way}: {done.jobs} jobs were finished instead of {jobs}")
    return _Sample(done.jobs / done.duration_s, done.cpu_s / done.jobs * 1e6)


def _job(queue_type: str, number: int) -> EnqueueJob:
    payload = msgspec.Raw(b'{"message":"hello, world","to":"4912345678"}')
    return EnqueueJob(
        queue_type=queue_type,
        queue_id=f"q{number % _QUEUES}",
        job_id=f"j{number}",
        payload=payload,
        interval=1,
    )


def _report(samples: dict[str, list[_Sample]], version: str, rounds: int, jobs: int) -> Report:
    rates = {way: [sample.rate for sample in each] for way, each in samples.items()}
    ratios = [rate / raw for rate, raw in zip(rates["async"], rates["raw"], strict=True)]
    of_medians = statistics.median(rates["async"]) / statistics.median(rates["raw"])
    cpu: list[tuple[Cell, ...]] = [(_WAYS[way], *medians(each)[1:]) for way, each in samples.items()]
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
        rows=[
            targets.WORKER_OF_RAW.row(Spread.of(ratios)),
            *(Row(_WAYS[way], "jobs/s", Spread.of(each)) for way, each in rates.items()),
        ],
        grids=[Grid("CPU time of the client's process (medians, µs a job)", ("way", "CPU"), cpu)],
        notes=[
            "The ratio is that of each round's worker to the raw calls of the same round. The ratio of both medians is "
            f"{of_medians:.3f}.",
            "Handlers in threads are leased as many at a time as there are threads, so that their calls are smaller.",
        ],
    )
