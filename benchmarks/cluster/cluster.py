"""Measures the cost of a job in each tier of a cluster of 1 to 3 shards and 1 or 2 routers, single and in batches.

All processes share this machine's cores, so the rates mean little. The CPU time for each job shows the need of each
tier on its own machines, and the tier that saturates first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

import msgspec

from benchmarks.cluster.cost_model import fit, most_parts
from benchmarks.cluster.counts import Counting, Counts
from benchmarks.figures import targets
from benchmarks.figures.curve import Curve
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread, median, medians
from benchmarks.http import bulk
from benchmarks.load import wrk
from benchmarks.load.singles import INTERVAL_MS, PAYLOAD, QUEUES, enqueue_words, fill, leases
from benchmarks.processes.busy import BusyMeter, typical
from benchmarks.processes.clusters import Cluster, Tiers, cluster

T = TypeVar("T")

_CONNECTIONS = 64
"""The connections of each router for single calls: the load grows with the processes, so that each keeps its share."""
_BATCH = 100
_SPARE = 1.5
"""More jobs than were enqueued in the same time: a dequeue or finish is not three times as fast as an enqueue."""
_KINDS = ("single calls", f"batches of {_BATCH}")
_US = 1e6
_PREDICTED = (10, 100, 1_000)
_SHARDS_A_PRIMARY = 2


class ProcessCounts(msgspec.Struct, frozen=True):
    """The number of processes in each tier."""

    routers: int
    shards: int

    def __str__(self) -> str:
        return f"{_count(self.routers, 'router')}, {_count(self.shards, 'shard')}"


class _Plan(msgspec.Struct, frozen=True):
    topologies: tuple[ProcessCounts, ...]
    rounds: int
    duration_s: int


_ALL = tuple(ProcessCounts(routers, shards) for routers in (1, 2) for shards in (1, 2, 3))
_FULL = _Plan(_ALL, rounds=3, duration_s=4)
_QUICK = _Plan((ProcessCounts(1, 1), ProcessCounts(2, 1), ProcessCounts(2, 3)), rounds=1, duration_s=1)


class Cost(msgspec.Struct, frozen=True):
    """The cost of a whole job: what is done for it and CPU time in each tier, and whole jobs a second on this machine.

    Attributes:
        busy: shares of a core of all processes of a tier together.
    """

    counts: Counts
    rate: float
    busy: dict[str, float] = {}

    @property
    def tiers(self) -> Tiers:
        """The CPU time in each tier, µs."""
        return self.counts.tiers


class Sample(msgspec.Struct, frozen=True):
    """One round of one topology: single calls, and batches."""

    single: Cost
    batch: Cost


def run(is_quick: bool) -> Report:
    """Measure the topologies in turns, each round on fresh processes."""
    plan = _QUICK if is_quick else _FULL
    rounds = [
        {topology: _measure(topology, plan.duration_s) for topology in plan.topologies}
        for _ in range(plan.rounds)
    ]
    return report(rounds, plan.duration_s)


def predicted_rate(topology: ProcessCounts, tiers: Tiers) -> tuple[float, str]:
    """Whole jobs a second with a core for each router, each shard and the store; and the tier that is full first.

    Args:
        tiers: CPU time a job.
    """
    limits = {
        "routers": topology.routers * _US / tiers.router,
        "shards": topology.shards * _US / tiers.shard,
        "store": _US / tiers.store,
    }
    first = min(limits, key=lambda name: limits[name])
    return limits[first], first


def report(rounds: list[dict[ProcessCounts, Sample]], duration_s: float) -> Report:
    """Return the report of some rounds of the same topologies."""
    topologies = list(rounds[0])
    rows = [_goal_row(rounds, kind) for kind in _KINDS]
    rows += [
        Row(f"{kind}: CPU time of all tiers, {topology}", "µs a job", Spread.of(totals))
        for kind in _KINDS
        for topology in topologies
        for totals in [[_total(_of(turn[topology], kind).tiers) for turn in rounds]]
    ]
    return Report(
        name="cluster",
        question="What does a whole job cost routers, shards and store, and what does that predict for more of them?",
        parameters={
            "processes": "by sharq-cluster: routers, shards and one store with an append-only file, over TCP",
            "load": f"one process a router, {duration_s:g} s a measurement, {len(rounds)} rounds; single calls by wrk, "
            f"{_CONNECTIONS} connections a router",
            "jobs": f"{QUEUES} queues, interval {INTERVAL_MS} ms, payload {len(PAYLOAD)} bytes; batches: 1,000 queues",
        },
        rows=rows,
        grids=[
            *(_grid(rounds, kind) for kind in _KINDS),
            *(_counts_grid(rounds, kind) for kind in _KINDS),
            *_model_grids(rounds),
        ],
        curves=[_curve(rounds, kind) for kind in _KINDS],
        notes=[
            "A whole job is an enqueue, a dequeue and a finish; with single calls, three requests.",
            "The prediction: each router, each shard and the one store node has a core of its own, and a job costs "
            "what it costs here. More primaries of a Redis Cluster carry as much more as there are.",
            "Where cores are shared, calls gather into larger batches than on idle ones, which makes them cheaper: the "
            "prediction holds for tiers that are busy.",
        ],
    )


def _measure(topology: ProcessCounts, duration_s: int) -> Sample:
    with cluster(topology.routers, topology.shards) as running:
        _side_by_side(running, lambda url, name: bulk.load(url, _BATCH, 1, f"warm{name}"))
        single = _measure_single(running, duration_s)
        meter = _meter(running)
        counting = Counting(running)
        done = _side_by_side(running, lambda url, name: bulk.load(url, _BATCH, duration_s, f"batch{name}"))
        spent = counting.spent()
        busy = meter.shares()
    jobs = sum(load.jobs for load in done)
    return Sample(single, Cost(spent.a_job(jobs), jobs / max(load.duration_s for load in done), busy))


def _measure_single(running: Cluster, duration_s: int) -> Cost:
    """Enqueues, dequeues and finishes one after the other; a job is one of each."""

    def load(script: str, arguments: Callable[[str], Sequence[str]]) -> Cost:
        meter, counting = _meter(running), Counting(running)
        done = _side_by_side(
            running, lambda url, name: wrk.run(url, script, _CONNECTIONS, duration_s, *arguments(name))
        )
        requests = sum(summary.requests for summary in done)
        spent = counting.spent().a_job(requests)
        return Cost(spent, sum(summary.rate for summary in done), meter.shares())

    enqueue = load("enqueue", lambda name: enqueue_words(f"single{name}"))
    enough = round(enqueue.rate * duration_s * _SPARE) + 1_000
    fill(running.routers[0].url, "dequeue", enough)
    dequeue = load("dequeue", lambda name: ())
    fill(running.routers[0].url, "finish", 2 * enough)
    with ExitStack() as stack:
        files = [stack.enter_context(leases(router.url, enough)) for router in running.routers]
        finish = load("finish", lambda name: (files[int(name)],))
    rate = 1 / (1 / enqueue.rate + 1 / dequeue.rate + 1 / finish.rate)
    busy = typical([enqueue.busy, dequeue.busy, finish.busy])
    return Cost(enqueue.counts + dequeue.counts + finish.counts, rate, busy)


def _meter(running: Cluster) -> BusyMeter:
    groups = {"routers": running.routers, "shards": running.shards, "store": running.stores}
    return BusyMeter({name: [server.pid for server in servers] for name, servers in groups.items()})


def _side_by_side(running: Cluster, load: Callable[[str, str], T]) -> list[T]:
    """Put a load on every router at once, told the router's URL and its number from 0 on."""
    with ThreadPoolExecutor(len(running.routers)) as threads:
        futures = [
            threads.submit(load, router.url, str(number)) for number, router in enumerate(running.routers)
        ]
        return [future.result() for future in futures]


def _grid(rounds: list[dict[ProcessCounts, Sample]], kind: str) -> Grid:
    columns = (
        "processes",
        "router µs",
        "shard µs",
        "store µs",
        "jobs/s here",
        "predicted jobs/s",
        "full first",
    )
    rows: list[tuple[Cell, ...]] = []
    for topology in rounds[0]:
        tiers = _median(rounds, topology, kind)
        rate = median(_of(turn[topology], kind).rate for turn in rounds)
        predicted, first = predicted_rate(topology, tiers)
        rows.append((str(topology), tiers.router, tiers.shard, tiers.store, rate, predicted, first))
    return Grid(f"{kind.capitalize()}: a whole job (medians)", columns, rows)


def _goal_row(rounds: list[dict[ProcessCounts, Sample]], kind: str) -> Row:
    """Return the largest cluster's cost against the smallest's, of each round."""
    small, large = ProcessCounts(1, 1), ProcessCounts(2, 3)
    ratios = [_of(turn[large], kind).counts.cpu_us / _of(turn[small], kind).counts.cpu_us for turn in rounds]
    busy = typical([_of(turn[large], kind).busy for turn in rounds])
    return targets.CLUSTER_COSTS[kind].row(Spread.of(ratios), busy=busy)


def _counts_grid(rounds: list[dict[ProcessCounts, Sample]], kind: str) -> Grid:
    columns = ("processes", "requests", "frames", "pipelines", "calls of the store")
    rows: list[tuple[Cell, ...]] = [
        (
            str(topology),
            *(
                median(getattr(_of(turn[topology], kind).counts, field) for turn in rounds)
                for field in ("requests", "frames", "pipelines", "calls")
            ),
        )
        for topology in rounds[0]
    ]
    return Grid(f"{kind.capitalize()}: what is done for a whole job (medians)", columns, rows)


def _model_grids(rounds: list[dict[ProcessCounts, Sample]]) -> list[Grid]:
    """Return the fit of the CPU time by the counts, over all rounds, topologies and kinds of calls; and its bounds."""
    samples = [_of(sample, kind).counts for turn in rounds for sample in turn.values() for kind in _KINDS]
    model = fit(samples)
    rows: list[tuple[Cell, ...]] = [(name, cost_us) for name, cost_us in model.costs_us.items()]
    bounds: list[tuple[Cell, ...]] = [
        (
            f"{shards:,}",
            f"{shards // _SHARDS_A_PRIMARY:,}",
            *(
                model.predict_us(most_parts(batch, shards, shards // _SHARDS_A_PRIMARY))
                for batch in (1, _BATCH)
            ),
        )
        for shards in _PREDICTED
    ]
    return [
        Grid(f"Model: CPU time, µs each (mean error {model.error:.0%})", ("of", "µs"), rows),
        Grid(
            "Predicted CPU time of a job on a Redis Cluster, at most (no two requests share a frame or a pipeline)",
            ("shards", "primaries", "single calls µs", f"batches of {_BATCH} µs"),
            bounds,
        ),
    ]


def _curve(rounds: list[dict[ProcessCounts, Sample]], kind: str) -> Curve:
    """Return the curve with the most routers that were measured."""
    most = max(topology.routers for topology in rounds[0])
    topologies = [topology for topology in rounds[0] if topology.routers == most]
    series = {
        tier: [
            (float(topology.shards), float(getattr(_median(rounds, topology, kind), tier)))
            for topology in topologies
        ]
        for tier in Tiers.__struct_fields__
    }
    title = f"Cost of a whole job, {kind}, {_count(most, 'router')}"
    return Curve(title, "shards", "CPU time, µs a job", series, is_log=False)


def _median(rounds: list[dict[ProcessCounts, Sample]], topology: ProcessCounts, kind: str) -> Tiers:
    costs = [_of(turn[topology], kind).tiers for turn in rounds]
    return Tiers(*medians(costs))


def _of(sample: Sample, kind: str) -> Cost:
    return sample.single if kind == _KINDS[0] else sample.batch


def _total(tiers: Tiers) -> float:
    return tiers.router + tiers.shard + tiers.store


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
