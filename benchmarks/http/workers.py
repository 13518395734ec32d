"""Measures the CPU time of a whole job in `sharq-server` with one process and with two workers, in alternating rounds.

All processes share this machine's cores, so the rates mean little: what is judged is the CPU time of server and store.
"""

from __future__ import annotations

import msgspec

from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Report
from benchmarks.figures.spread import Spread, median
from benchmarks.http import bulk
from benchmarks.load import wrk
from benchmarks.load.singles import INTERVAL_MS, PAYLOAD, QUEUES, enqueue_words, fill, leases
from benchmarks.processes.cpu import children_of, cpu_us
from benchmarks.processes.servers import Server, Store, sharq_server, store

_CONNECTIONS = 64
_BATCH = 100
_SPARE = 4
"""More jobs than were enqueued in the same time: on a busy machine a dequeue or finish may be many times as fast."""

_KINDS = tuple(targets.WORKERS_CPU)
_WORKERS = (1, 2)


class _Plan(msgspec.Struct, frozen=True):
    rounds: int
    duration_s: int


_FULL = _Plan(rounds=5, duration_s=4)
_QUICK = _Plan(rounds=3, duration_s=2)


class Cpu(msgspec.Struct, frozen=True):
    """CPU time in µs: of all processes of the server, and of its store."""

    server: float
    store: float

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.server - earlier.server, self.store - earlier.store)

    def __add__(self, more: Cpu) -> Cpu:
        return Cpu(self.server + more.server, self.store + more.store)

    def a_job(self, jobs: float) -> Cpu:
        """Return the cost of one job, from the cost of `jobs` jobs."""
        return Cpu(self.server / jobs, self.store / jobs)

    @property
    def whole(self) -> float:
        """All together."""
        return self.server + self.store


class _Running:
    """A server with its workers, and its store."""

    def __init__(self, server: Server, running: Store, workers: int) -> None:
        self.url = server.url
        self._pids = [server.pid, *(children_of(server.pid) if workers > 1 else ())]
        self._store_pid = running.pid

    @property
    def cpu(self) -> Cpu:
        """The CPU time since the start."""
        return Cpu(sum(map(cpu_us, self._pids)), cpu_us(self._store_pid))


Round = dict[int, dict[str, Cpu]]
"""The cost of a whole job by the number of workers and the kind of load."""


def run(is_quick: bool) -> Report:
    """Measure both in turns, each turn on fresh processes."""
    plan = _QUICK if is_quick else _FULL
    rounds = [
        {workers: _measure(workers, plan.duration_s) for workers in _WORKERS} for _ in range(plan.rounds)
    ]
    return report(rounds, plan.duration_s)


def report(rounds: list[Round], duration_s: float) -> Report:
    """Return the report of some rounds."""
    alone, beside = _WORKERS
    rows = [
        targets.WORKERS_CPU[kind].row(
            Spread.of([turn[beside][kind].whole / turn[alone][kind].whole for turn in rounds])
        )
        for kind in _KINDS
    ]
    return Report(
        name="workers",
        question="What does a whole job cost sharq-server with two workers, compared with one process?",
        parameters={
            "server": "sharq-server with workers 1 and 2, in alternating turns on fresh processes",
            "store": "Valkey with an append-only file written out each second, over a UNIX socket",
            "load": f"{duration_s:g} s a measurement; single calls by wrk, {_CONNECTIONS} connections; batches of "
            f"{_BATCH} by one process",
            "jobs": f"{QUEUES} queues, interval {INTERVAL_MS} ms, payload {len(PAYLOAD)} bytes; batches: 1,000 queues",
            "rounds": str(len(rounds)),
        },
        rows=rows,
        grids=[_grid(rounds)],
        notes=[
            "A whole job is an enqueue, a dequeue and a finish; with single calls, three requests.",
            "The server's time is that of all its processes together.",
        ],
    )


def _measure(workers: int, duration_s: int) -> dict[str, Cpu]:
    environ = {"SHARQ_SERVER_WORKERS": str(workers)}
    with store(is_durable=True) as running, sharq_server(running.url, environ) as server:
        whole = _Running(server, running, workers)
        bulk.load(server.url, _BATCH, 1, "warm")
        single = _measure_single(whole, duration_s)
        before = whole.cpu
        done = bulk.load(server.url, _BATCH, duration_s, "batch")
        return dict(zip(_KINDS, (single, (whole.cpu - before).a_job(done.jobs)), strict=True))


def _measure_single(whole: _Running, duration_s: int) -> Cpu:
    """Enqueues, dequeues and finishes one after the other; a job is one of each."""

    def load(script: str, *arguments: str) -> tuple[Cpu, float]:
        before = whole.cpu
        done = wrk.run(whole.url, script, _CONNECTIONS, duration_s, *arguments)
        return (whole.cpu - before).a_job(done.requests), done.rate

    enqueue, rate = load("enqueue", *enqueue_words("single"))
    enough = round(rate * duration_s * _SPARE) + 1_000
    fill(whole.url, "dequeue", enough)
    dequeue, _ = load("dequeue")
    fill(whole.url, "finish", 2 * enough)
    with leases(whole.url, enough) as file:
        finish, _ = load("finish", file)
    return enqueue + dequeue + finish


def _grid(rounds: list[Round]) -> Grid:
    rows: list[tuple[Cell, ...]] = [
        (
            kind,
            str(workers),
            median(turn[workers][kind].server for turn in rounds),
            median(turn[workers][kind].store for turn in rounds),
            median(turn[workers][kind].whole for turn in rounds),
        )
        for kind in _KINDS
        for workers in _WORKERS
    ]
    return Grid("CPU time (medians, µs a job)", ("load", "workers", "server", "store", "together"), rows)
