"""Measures the cost of a dequeue for growing numbers of ready queues, which should stay constant.

Each size is a partition of one store, all loaded before anything is measured, and the sizes take many short turns,
so that what disturbs the machine disturbs all. Queues have no limit (interval 0), and those that are measured have a
job left each time, so that a leased queue goes to the end of the order and the number of ready queues stays. The
functions are called directly: no server, no HTTP.
"""

from __future__ import annotations

import math
import time

import msgspec

from benchmarks import peers, targets
from benchmarks.curve import Curve
from benchmarks.errors import NotRun, Spoiled
from benchmarks.report import Cell, Grid, Peer, Report, Row
from benchmarks.servers import Store, store, value_of
from benchmarks.spread import Spread, median, medians, percentile
from sharq_core.models import EnqueueStatus, NewJob
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys

_TYPE = "sms"
_PAYLOAD = b'{"message":"hello, world","to":"4912345"}'
_LEASE_US = 3_600_000_000
_BATCH = 100
_ORIGINAL_CALLS = 50
_BASE = 1_000
"""The size that the others are held against."""

_MILLION = 1_000_000
_TARGETS = {"1 job": targets.DEQUEUE_AT_A_MILLION, "100 jobs": targets.BATCH_AT_A_MILLION}


class _Plan(msgspec.Struct, frozen=True):
    """The numbers of one run.

    Attributes:
        sizes: numbers of ready queues.
        singles: calls a round with one job.
        batches: calls a round with 100 jobs.
        original_size: the number of ready queues at which the original's core is measured beside ours.
    """

    sizes: tuple[int, ...]
    rounds: int
    singles: int
    batches: int
    original_size: int

    @property
    def jobs(self) -> int:
        """Jobs leased from each size in all rounds."""
        return self.rounds * (self.singles + self.batches * _BATCH)


_FULL = _Plan(
    (100, 1_000, 10_000, 100_000, _MILLION), rounds=15, singles=600, batches=20, original_size=100_000
)
_QUICK = _Plan((100, 1_000, 10_000, 100_000), rounds=9, singles=300, batches=8, original_size=10_000)


class _Cost(msgspec.Struct, frozen=True):
    """The cost of one job: the store's CPU time, and the wall time of a whole call for its caller."""

    cpu_us: float
    call_p50_ms: float
    call_p99_ms: float


class _Round(msgspec.Struct, frozen=True):
    single: _Cost
    batch: _Cost


def run(is_quick: bool) -> Report:
    """Load every size, then measure them in turns."""
    plan = _QUICK if is_quick else _FULL
    functions = Functions(Keys("bench", len(plan.sizes)), Retention())
    with store(is_durable=False) as running:
        running.load_library()
        for partition, size in enumerate(plan.sizes):
            _load(running, functions, partition, size, plan.jobs)
        rounds = [_measure_sizes(running, functions, plan) for _ in range(plan.rounds)]
        _check(running, functions, plan)
        original = _original(running, plan.original_size)
        return _report(plan, rounds, original, running.version)


def _load(running: Store, functions: Functions, partition: int, size: int, leased: int) -> None:
    """Give every queue a job, and one more for each time that the `leased` leases will come round to it."""
    deepest = 1 + math.ceil(leased / size)
    for depth in range(deepest):
        visited = min(size, leased - (depth - 1) * size) if depth else size
        for first in range(0, visited, _BATCH * 10):
            chunk = range(first, min(first + _BATCH * 10, visited))
            _enqueue(running, functions, partition, depth, chunk)


def _enqueue(running: Store, functions: Functions, partition: int, depth: int, queues: range) -> None:
    calls = [
        functions.enqueue(partition, _TYPE, [_job(queue, depth) for queue in queues[first : first + _BATCH]])
        for first in range(0, len(queues), _BATCH)
    ]
    for answers in running.execute_all(calls):
        if any(answer.status is not EnqueueStatus.QUEUED for answer in answers):
            raise Spoiled("a job was not queued")


def _job(queue: int, depth: int) -> NewJob:
    # Names in the order of their age: jobs of one call have one time, and a tie goes by the name.
    return NewJob(_TYPE, f"q{queue:07d}", f"job-{depth}", _PAYLOAD, requeue_limit=-1, interval_us=0)


def _measure_sizes(running: Store, functions: Functions, plan: _Plan) -> list[_Round]:
    return [
        _Round(
            _measure(running, functions, partition, plan.singles, 1),
            _measure(running, functions, partition, plan.batches, _BATCH),
        )
        for partition in range(len(plan.sizes))
    ]


def _measure(running: Store, functions: Functions, partition: int, calls: int, count: int) -> _Cost:
    call = functions.dequeue(partition, _TYPE, count, _LEASE_US, b"\0" * 8)
    walls_ms, answers = [], []
    before_us = running.cpu_us
    for _ in range(calls):
        started_s = time.perf_counter()
        answers.append(running.execute(call))
        walls_ms.append((time.perf_counter() - started_s) * 1000)
    spent_us = running.cpu_us - before_us
    leased = sum(len(value_of(call, raw).jobs) for raw in answers)
    if leased != calls * count:
        raise Spoiled(f"{calls} dequeues of {count} gave {leased} jobs")
    return _Cost(spent_us / leased, percentile(walls_ms, 50), percentile(walls_ms, 99))


def _check(running: Store, functions: Functions, plan: _Plan) -> None:
    """Every queue is still ready, or the sizes were not what the report says."""
    for partition, size in enumerate(plan.sizes):
        due = _due(running, functions, partition)
        if due != size:
            raise Spoiled(f"{size} queues were ready at first and {due} at the end")


def _due(running: Store, functions: Functions, partition: int) -> int:
    call = functions.dequeue(partition, _TYPE, 1, _LEASE_US, b"\0" * 8)
    return value_of(call, running.execute(call)).due_before


def _original(running: Store, size: int) -> Peer:
    """On the same store, after all of ours."""
    try:
        value: float | str = peers.original_dequeue_ms(running.socket, size, _ORIGINAL_CALLS)
    except NotRun as error:
        value = f"not run: {error}"
    return Peer("original core", value, is_same_run=True)


def _report(plan: _Plan, rounds: list[list[_Round]], original: Peer, version: str) -> Report:
    base = plan.sizes.index(_BASE)
    rows = [
        _row(what, size, Spread.of([_cpu(one[index], what) / _cpu(one[base], what) for one in rounds]))
        for what in _TARGETS
        for index, size in enumerate(plan.sizes)
        if size > _BASE
    ]
    return Report(
        name="queues",
        question="Does a dequeue cost the same however many queues are ready? CPU time of the store, a job.",
        parameters={
            "store": f"{version}, in memory, over a UNIX socket",
            "payload": f"{len(_PAYLOAD)} bytes",
            "rounds": f"{plan.rounds}, each with {plan.singles} calls of 1 job and {plan.batches} of {_BATCH}",
        },
        rows=[*rows, _wall_row(plan, rounds, original)],
        grids=[_grid(plan, rounds)],
        curves=[_curve(plan, rounds)],
        notes=["The wall time holds the caller's own work and the way there and back."],
    )


def _cpu(one: _Round, what: str) -> float:
    return one.single.cpu_us if what == "1 job" else one.batch.cpu_us


def _row(what: str, size: int, ratio: Spread) -> Row:
    """All sizes have the goal of the largest."""
    target = _TARGETS[what]
    if size == _MILLION:
        return target.row(ratio)
    return Row(f"dequeue of {what} at {size:,} ready queues against {_BASE:,}", "x", ratio, target.goal)


def _wall_row(plan: _Plan, rounds: list[list[_Round]], original: Peer) -> Row:
    index = plan.sizes.index(plan.original_size)
    return Row(
        f"one dequeue at {plan.original_size:,} ready queues, wall",
        "ms",
        Spread.of([one[index].single.call_p50_ms for one in rounds]),
        peer=original,
    )


def _grid(plan: _Plan, rounds: list[list[_Round]]) -> Grid:
    columns = ("ready queues", "1 job: CPU µs", "p50 ms", "p99 ms", "100 jobs: CPU µs a job", "p50 ms a call")
    rows: list[tuple[Cell, ...]] = []
    for index, size in enumerate(plan.sizes):
        single = medians([one[index].single for one in rounds])
        batch = medians([one[index].batch for one in rounds])
        rows.append((f"{size:,}", *single, *batch[:2]))
    return Grid("By size (medians)", columns, rows)


def _curve(plan: _Plan, rounds: list[list[_Round]]) -> Curve:
    series = {
        f"dequeue of {what}": [
            (float(size), median(_cpu(one[index], what) for one in rounds))
            for index, size in enumerate(plan.sizes)
        ]
        for what in ("1 job", "100 jobs")
    }
    return Curve("Cost of a dequeue", "ready queues", "CPU time of the store, µs a job", series)
