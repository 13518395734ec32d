"""Whole jobs over HTTP (enqueue, dequeue, finish) in batches of 1, 10, 100 and 1,000, and what they cost each tier."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import msgspec

from benchmarks import peers, targets
from benchmarks.bulk_load import Done
from benchmarks.cpu import CpuMeter
from benchmarks.errors import NotRun, Spoiled
from benchmarks.loads import run_load
from benchmarks.report import Cell, Grid, Peer, Report, Row
from benchmarks.servers import Server, Store, sharq_server, store
from benchmarks.spread import Spread, medians

_BATCHES = (1, 10, 100, 1_000)
_REFERENCE = 100
"""The batch at which the goal is judged."""
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
    bullmq, celery = _PeerRuns("BullMQ add + process"), _PeerRuns("Celery send + consume")
    for _ in range(rounds):
        with store(is_durable=True) as running, sharq_server(running.url) as server:
            _measure(server, running, _REFERENCE, 1, "warm")
            samples.append(
                {batch: _measure(server, running, batch, duration_s, f"b{batch}") for batch in _BATCHES}
            )
            version = running.version
        bullmq.add(peers.bullmq, 10_000 * duration_s)
        celery.add(peers.celery, 500 * duration_s)
    return _report(samples, [bullmq.as_peer(), celery.as_peer()], version, duration_s)


class _PeerRuns:
    """A peer's runs, one a round, each on a store of its own; once it cannot run, it is not tried again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rates: list[float] = []
        self._reason: str | None = None

    def add(self, measure: Callable[[str, int], peers.WholeJobs], jobs: int) -> None:
        """Run it once."""
        if self._reason is not None:
            return
        try:
            with store(is_durable=True) as running:
                self._rates.append(measure(running.socket, jobs).rate)
        except NotRun as error:
            self._reason = f"not run: {error}"

    def as_peer(self) -> Peer:
        """Return the median of whole jobs a second."""
        return Peer(self._name, self._reason or statistics.median(self._rates), is_same_run=True)


def _measure(server: Server, running: Store, batch: int, duration_s: float, word: str) -> _Sample:
    meter = CpuMeter(server.pid, running.pid)
    done = load(server.url, batch, duration_s, word)
    server_us, store_us = (spent_us / done.jobs for spent_us in meter.spent_us())
    return _Sample(done.jobs / done.duration_s, server_us, store_us)


def load(url: str, batch: int, duration_s: float, word: str) -> Done:
    """Run whole jobs through a server from another process and return the result; `word` begins their ids.

    Raises:
        Spoiled: it failed, or finished nothing.
    """
    arguments = [url, str(batch), str(_LOOPS), str(duration_s), word]
    done = msgspec.json.decode(run_load("benchmarks.bulk_load", arguments, duration_s + 60), type=Done)
    if not done.jobs:
        raise Spoiled(f"no job was finished in batches of {batch}")
    return done


def _report(samples: list[dict[int, _Sample]], others: list[Peer], version: str, duration_s: float) -> Report:
    rates = {batch: Spread.of([one[batch].rate for one in samples]) for batch in _BATCHES}
    rows = [
        targets.WHOLE_JOBS.row(rate)
        if batch == _REFERENCE
        else Row(f"whole jobs in batches of {batch:,}", "jobs/s", rate)
        for batch, rate in rates.items()
    ]
    rows += [
        Row(f"whole jobs in batches of {_REFERENCE}, beside a peer", "jobs/s", rates[_REFERENCE], peer=peer)
        for peer in others
    ]
    rows.append(_bullmq_row([one[_REFERENCE].rate for one in samples], others[0]))
    grid: list[tuple[Cell, ...]] = [
        (f"{batch:,}", *medians([one[batch] for one in samples])[1:]) for batch in _BATCHES
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
            "Peers run on a store of the same kind in the same rounds, in their own way: BullMQ adds in bulks of 1,000 "
            "and processes 100 at once, Celery sends one by one and consumes on 16 threads; neither has HTTP between, "
            "nor keeps a rate a customer. Their figure is of both steps one after the other.",
        ],
    )


def _bullmq_row(rates: list[float], bullmq: Peer) -> Row:
    if isinstance(bullmq.value, str):
        return targets.WHOLE_JOBS_OF_BULLMQ.row(bullmq.value)
    bullmq_rate = bullmq.value
    return targets.WHOLE_JOBS_OF_BULLMQ.row(Spread.of([rate / bullmq_rate for rate in rates]))
