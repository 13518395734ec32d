"""Measures the cost of a dequeue for growing numbers of ready queues, which should stay constant.

Each case is a partition of one store, all loaded before anything is measured, and the cases take many short turns,
so that what disturbs the machine disturbs all. Queues have no limit (interval 0), and those that are measured have a
job left each time, so that a leased queue goes to the end of the order and the number of ready queues stays. The
functions are called directly: no server, no HTTP.

The full form has ten millions of queues, and as many in 100,000 types, whose dequeues take the types in turn. It needs
about 12 GB of memory.
"""

from __future__ import annotations

import math
import time
from collections import Counter

import msgspec

from benchmarks.errors import NotRun, Spoiled
from benchmarks.figures import targets
from benchmarks.figures.curve import Curve
from benchmarks.figures.report import Cell, Grid, Peer, Report, Row
from benchmarks.figures.spread import Spread, median, medians, percentile
from benchmarks.peers.original import original_dequeue_ms
from benchmarks.processes.servers import Store, store, value_of
from sharq_core.models import EnqueueStatus, NewJob
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys

_PAYLOAD = b'{"message":"hello, world","to":"4912345"}'
_LEASE_US = 3_600_000_000
_BATCH = 100
_ORIGINAL_CALLS = 50
_BASE = 1_000
"""The size that the others are held against."""

_WHAT = ("1 job", "100 jobs")


class _Case(msgspec.Struct, frozen=True):
    """A number of ready queues, in one type or as many in each of several types."""

    queues: int
    types: int = 1

    @property
    def name(self) -> str:
        """The words of the report."""
        return f"{self.queues:,} ready queues" + (f" of {self.types:,} types" if self.types > 1 else "")

    def type_of(self, number: int) -> str:
        """Return the type of a queue, or of a call, by its number."""
        return f"sms{number % self.types}"


class _Plan(msgspec.Struct, frozen=True):
    """The numbers of one run.

    Attributes:
        cases: what is measured, in the order of their partitions.
        singles: calls a round with one job.
        batches: calls a round with 100 jobs.
        original_size: the number of ready queues at which the original's core is measured beside ours; None for none.
    """

    cases: tuple[_Case, ...]
    rounds: int
    singles: int
    batches: int
    original_size: int | None


_NORMAL = _Plan(
    (_Case(100), _Case(1_000), _Case(10_000), _Case(100_000), _Case(1_000_000)),
    rounds=15,
    singles=600,
    batches=20,
    original_size=100_000,
)
_QUICK = _Plan(
    (_Case(100), _Case(1_000), _Case(10_000), _Case(100_000)),
    rounds=9,
    singles=300,
    batches=8,
    original_size=10_000,
)


def _full(part: int) -> _Plan:
    many = 10_000_000 // part
    return _Plan(
        (_Case(_BASE), _Case(many // 10), _Case(many), _Case(many, types=100_000 // part)),
        rounds=15,
        singles=600,
        batches=20,
        original_size=None,
    )


class _Cost(msgspec.Struct, frozen=True):
    """The cost of one job: the store's CPU time, and the wall time of a whole call for its caller."""

    cpu_us: float
    call_p50_ms: float
    call_p99_ms: float


class _Round(msgspec.Struct, frozen=True):
    single: _Cost
    batch: _Cost


def run(is_quick: bool) -> Report:
    """Load every case, then measure them in turns."""
    return _run(_QUICK if is_quick else _NORMAL)


def run_full(part: int) -> Report:
    """Do the same with ten millions of queues, or a part of them."""
    return _run(_full(part))


def _run(plan: _Plan) -> Report:
    functions = Functions(Keys("bench", len(plan.cases)), Retention())
    with store(is_durable=False) as running:
        running.load_library()
        for partition, case in enumerate(plan.cases):
            _load(running, functions, partition, case, plan)
        rounds = [_measure_cases(running, functions, plan, number) for number in range(plan.rounds)]
        _check(running, functions, plan)
        original = None if plan.original_size is None else _original(running, plan.original_size)
        return _report(plan, rounds, original, running.version)


def _load(running: Store, functions: Functions, partition: int, case: _Case, plan: _Plan) -> None:
    """Give every queue a job, and one more for each time that the leases will come round to it."""
    _enqueue(running, functions, partition, case, 0, range(case.queues))
    for number, leased in _leases(case, plan).items():
        queues = range(number, case.queues, case.types)
        deepest = math.ceil(leased / len(queues))
        for depth in range(1, 1 + deepest):
            visited = queues[: leased - (depth - 1) * len(queues)]
            _enqueue(running, functions, partition, case, depth, visited)
        # A batch of all queues of a type leaves them in the order of their names, so that the first are leased again.
        if case.types > 1:
            _enqueue(running, functions, partition, case, deepest + 1, queues[: leased % len(queues)])


def _leases(case: _Case, plan: _Plan) -> Counter[int]:
    """Return the number of jobs that all rounds lease from each type."""
    leases: Counter[int] = Counter()
    for calls, jobs in ((plan.singles, 1), (plan.batches, _BATCH)):
        for turn in range(plan.rounds * calls):
            leases[turn % case.types] += jobs
    return leases


def _enqueue(
    running: Store, functions: Functions, partition: int, case: _Case, depth: int, queues: range
) -> None:
    """Queue a job in each of some queues."""
    for first in range(0, len(queues), _BATCH * 10):
        by_type: dict[str, list[NewJob]] = {}
        for queue in queues[first : first + _BATCH * 10]:
            by_type.setdefault(case.type_of(queue), []).append(_job(case.type_of(queue), queue, depth))
        calls = [
            functions.enqueue(partition, queue_type, jobs[start : start + _BATCH])
            for queue_type, jobs in by_type.items()
            for start in range(0, len(jobs), _BATCH)
        ]
        for answers in running.execute_all(calls):
            if any(answer.status is not EnqueueStatus.QUEUED for answer in answers):
                raise Spoiled("a job was not queued")


def _job(queue_type: str, queue: int, depth: int) -> NewJob:
    # Names in the order of their age: jobs of one call have one time, and a tie goes by the name.
    return NewJob(queue_type, f"q{queue:08d}", f"job-{depth}", _PAYLOAD, requeue_limit=-1, interval_us=0)


def _measure_cases(running: Store, functions: Functions, plan: _Plan, number: int) -> list[_Round]:
    """Measure each case once; the calls of later rounds go to the types behind those of the rounds before."""
    return [
        _Round(
            _measure(running, functions, partition, case, 1, _turns(number, plan.singles)),
            _measure(running, functions, partition, case, _BATCH, _turns(number, plan.batches)),
        )
        for partition, case in enumerate(plan.cases)
    ]


def _turns(round_number: int, calls: int) -> range:
    return range(round_number * calls, (round_number + 1) * calls)


def _measure(
    running: Store, functions: Functions, partition: int, case: _Case, count: int, turns: range
) -> _Cost:
    calls = [functions.dequeue(partition, case.type_of(turn), count, _LEASE_US, b"\0" * 8) for turn in turns]
    walls_ms, answers = [], []
    before_us = running.cpu_us
    for call in calls:
        started_s = time.perf_counter()
        answers.append(running.execute(call))
        walls_ms.append((time.perf_counter() - started_s) * 1000)
    spent_us = running.cpu_us - before_us
    leased = sum(len(value_of(call, raw).jobs) for call, raw in zip(calls, answers, strict=True))
    if leased != len(calls) * count:
        raise Spoiled(f"{len(calls)} dequeues of {count} gave {leased} jobs")
    return _Cost(spent_us / leased, percentile(walls_ms, 50), percentile(walls_ms, 99))


def _check(running: Store, functions: Functions, plan: _Plan) -> None:
    """Check that every queue of one type is still ready; otherwise the cases were not what the report says."""
    for partition, case in enumerate(plan.cases):
        due = _due(running, functions, partition, case)
        if due != case.queues // case.types:
            raise Spoiled(f"{case.queues // case.types} queues were ready at first and {due} at the end")


def _due(running: Store, functions: Functions, partition: int, case: _Case) -> int:
    call = functions.dequeue(partition, case.type_of(0), 1, _LEASE_US, b"\0" * 8)
    return value_of(call, running.execute(call)).due_before


def _original(running: Store, size: int) -> Peer:
    """On the same store, after all of ours."""
    try:
        value: float | str = original_dequeue_ms(running.socket, size, _ORIGINAL_CALLS)
    except NotRun as error:
        value = f"not run: {error}"
    return Peer("original core", value, is_same_run=True)


def _report(plan: _Plan, rounds: list[list[_Round]], original: Peer | None, version: str) -> Report:
    base = plan.cases.index(_Case(_BASE))
    rows = [
        _row(what, case, Spread.of([_cpu(turn[index], what) / _cpu(turn[base], what) for turn in rounds]))
        for what in _WHAT
        for index, case in enumerate(plan.cases)
        if case.queues > _BASE
    ]
    return Report(
        name="queues",
        question="Does a dequeue cost the same however many queues are ready? CPU time of the store, a job.",
        parameters={
            "store": f"{version}, in memory, over a UNIX socket",
            "payload": f"{len(_PAYLOAD)} bytes",
            "rounds": f"{plan.rounds}, each with {plan.singles} calls of 1 job and {plan.batches} of {_BATCH}",
        },
        rows=[*rows, *([] if original is None else [_wall_row(plan, rounds, original)])],
        grids=[_grid(plan, rounds)],
        curves=[_curve(plan, rounds)],
        notes=["The wall time holds the caller's own work and the way there and back."],
    )


def _cpu(turn: _Round, what: str) -> float:
    return turn.single.cpu_us if what == "1 job" else turn.batch.cpu_us


def _row(what: str, case: _Case, ratio: Spread) -> Row:
    """Return a case's row; all have the same goal."""
    target = targets.DEQUEUES.get((what, case.name))
    if target is not None:
        return target.row(ratio)
    goal = next(iter(targets.DEQUEUES.values())).goal
    return Row(f"dequeue of {what} at {case.name} against {_BASE:,}", "x", ratio, goal)


def _wall_row(plan: _Plan, rounds: list[list[_Round]], original: Peer) -> Row:
    size = plan.original_size or _BASE
    index = plan.cases.index(_Case(size))
    return Row(
        f"one dequeue at {size:,} ready queues, wall",
        "ms",
        Spread.of([turn[index].single.call_p50_ms for turn in rounds]),
        peer=original,
    )


def _grid(plan: _Plan, rounds: list[list[_Round]]) -> Grid:
    columns = ("ready queues", "1 job: CPU µs", "p50 ms", "p99 ms", "100 jobs: CPU µs a job", "p50 ms a call")
    rows: list[tuple[Cell, ...]] = []
    for index, case in enumerate(plan.cases):
        single = medians([turn[index].single for turn in rounds])
        batch = medians([turn[index].batch for turn in rounds])
        rows.append((case.name, *single, *batch[:2]))
    return Grid("By case (medians)", columns, rows)


def _curve(plan: _Plan, rounds: list[list[_Round]]) -> Curve:
    series = {
        f"dequeue of {what}": [
            (float(case.queues), median(_cpu(turn[index], what) for turn in rounds))
            for index, case in enumerate(plan.cases)
            if case.types == 1
        ]
        for what in _WHAT
    }
    return Curve("Cost of a dequeue", "ready queues", "CPU time of the store, µs a job", series)
