"""Whole jobs over HTTP (enqueue, dequeue, finish) in batches of 1, 10, 100 and 1,000, and what they cost each tier."""

from __future__ import annotations

import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread, medians
from benchmarks.load.bulk_load import BulkRun
from benchmarks.load.programs import run_load
from benchmarks.processes.cpu import CpuMeter
from benchmarks.processes.servers import Server, Store, sharq_server, store

_BATCHES = (1, 10, 100, 1_000)
_WARM_UP = 100
_LOOPS = 8


class _Sample(msgspec.Struct, frozen=True):
    """Whole jobs a second, and CPU time a job of server and store."""

    rate: float
    server_us: float
    store_us: float


def run(is_quick: bool) -> Report:
    """Measure the batches in turns, each round on fresh processes."""
    rounds, duration_s = (3, 2) if is_quick else (5, 8)
    samples: list[dict[int, _Sample]] = []
    for _ in range(rounds):
        with store(is_durable=True) as running, sharq_server(running.url) as server:
            _measure(server, running, _WARM_UP, 1, "warm")
            samples.append(
                {batch: _measure(server, running, batch, duration_s, f"b{batch}") for batch in _BATCHES}
            )
            version = running.version
    return _report(samples, version, duration_s)


def _measure(server: Server, running: Store, batch: int, duration_s: float, prefix: str) -> _Sample:
    meter = CpuMeter(server.pid, running.pid)
    done = load(server.url, batch, duration_s, prefix)
    server_us, store_us = (spent_us / done.jobs for spent_us in meter.spent_us())
    return _Sample(done.jobs / done.duration_s, server_us, store_us)


def load(url: str, batch: int, duration_s: float, prefix: str) -> BulkRun:
    """Run whole jobs through a server from another process and return the result; their ids begin with `prefix`.

    Raises:
        Spoiled: it failed, or finished nothing.
    """
    arguments = [url, str(batch), str(_LOOPS), str(duration_s), prefix]
    done = msgspec.json.decode(
        run_load("benchmarks.load.bulk_load", arguments, duration_s + 60), type=BulkRun
    )
    if not done.jobs:
        raise Spoiled(f"no job was finished in batches of {batch}")
    return done


def _report(samples: list[dict[int, _Sample]], version: str, duration_s: float) -> Report:
    rows = [
        Row(
            f"whole jobs in batches of {batch:,}", "jobs/s", Spread.of([turn[batch].rate for turn in samples])
        )
        for batch in _BATCHES
    ]
    grid: list[tuple[Cell, ...]] = [
        (f"{batch:,}", *medians([turn[batch] for turn in samples])[1:]) for batch in _BATCHES
    ]
    return Report(
        name="bulk",
        question="How many whole jobs a second go through HTTP in batches, and what do they cost each tier?",
        parameters={
            "server": "one sharq-server: router and shard in one process",
            "store": f"{version}, append-only file written out each second, over a UNIX socket",
            "load": f"one process, {_LOOPS} loops of enqueue, dequeue and finish, {duration_s:g} s a measurement",
            "queues": "1,000, interval 1 ms: limits are on and none is reached",
            "rounds": str(len(samples)),
        },
        rows=rows,
        grids=[Grid("CPU time (medians, µs a job)", ("batch", "server", "store"), grid)],
        notes=[
            "The server's time is that of router and shard together.",
            "Other systems beside ours are in the benchmark `systems`.",
        ],
    )
