"""Measures the costs of gathered types for benchmarks/rates/caps.py, in CPU time of the store.

A cap that nothing reaches is compared with a plain type, and a dequeue with few queues with one that has ever more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Row
from benchmarks.figures.spread import Spread, median
from benchmarks.processes.servers import Store
from benchmarks.processes.servers import store as running_store
from sharq_core.limits import Limit, LimitUnit, TypeSettings
from sharq_core.models import FinishJob, NewJob
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.limit_calls import TypeCalls

_BATCH = 100
_QUEUES = 1_000
_PAYLOAD = b'"' + b"x" * 98 + b'"'
_LEASE_US = 3_600_000_000
_INTERVAL_US = 1
"""The interval of queues and caps whose limits are kept and that nothing reaches."""

_BURST = 1_000.0
_PLAIN, _CAPPED = "sms", "sms~a"
_SIZES = (10, 1_000, 100_000)


class Costs(msgspec.Struct, frozen=True):
    """The costs of leases under a cap, for the report of caps."""

    rows: list[Row]
    grids: list[Grid]
    parameters: dict[str, str]
    notes: list[str]


class _Plan(msgspec.Struct, frozen=True):
    """batches: of 100 jobs a round and type; calls: dequeues of one job a round and size."""

    rounds: int
    batches: int
    calls: int


class _Round(msgspec.Struct, frozen=True):
    """CPU time of the store: of a whole job of each type, and of a dequeue of one job by the number of queues."""

    plain_us: float
    capped_us: float
    dequeue_us: dict[int, float]


def measure(is_quick: bool) -> Costs:
    """Measure in turns on one store."""
    plan = _Plan(rounds=7, batches=30, calls=150) if is_quick else _Plan(rounds=15, batches=100, calls=400)
    with running_store(is_durable=False) as store:
        store.load_library()
        load = _Load(store, plan)
        rounds = [load.measure(number) for number in range(plan.rounds)]
    return _costs(plan, rounds)


class _Load:
    def __init__(self, store: Store, plan: _Plan) -> None:
        self._store = store
        self._plan = plan
        keys = Keys("caps", 1)
        self._functions = Functions(keys, Retention())
        limits = [Limit(LimitUnit.JOB, _INTERVAL_US, _BURST)]
        for queue_type in (_CAPPED, *map(_of_size, _SIZES)):
            store.execute(TypeCalls(keys).set_type(0, queue_type, TypeSettings(limits=limits)))
        for size in _SIZES:
            self._fill(size)

    def measure(self, number: int) -> _Round:
        """Measure each type and size once, in the other order each time."""
        whole = {}
        for queue_type in (_PLAIN, _CAPPED) if number % 2 else (_CAPPED, _PLAIN):
            whole[queue_type] = self._whole_jobs(queue_type, number)
        sizes = _SIZES if number % 2 else _SIZES[::-1]
        return _Round(whole[_PLAIN], whole[_CAPPED], {size: self._dequeues(size) for size in sizes})

    def _whole_jobs(self, queue_type: str, round_number: int) -> float:
        jobs = [
            NewJob(queue_type, f"q{number % _QUEUES}", f"{round_number}-{number}", _PAYLOAD, -1, _INTERVAL_US)
            for number in range(self._plan.batches * _BATCH)
        ]
        before_us = self._store.cpu_us
        for first in range(0, len(jobs), _BATCH):
            self._run(self._functions.enqueue(0, queue_type, jobs[first : first + _BATCH]))
        for _ in range(self._plan.batches):
            leased = self._dequeue(queue_type, _BATCH)
            ends = [FinishJob(queue_type, job.queue_id, job.job_id, job.lease) for job in leased]
            self._run(self._functions.finish(0, queue_type, ends))
        return (self._store.cpu_us - before_us) / len(jobs)

    def _dequeues(self, size: int) -> float:
        before_us = self._store.cpu_us
        for _ in range(self._plan.calls):
            self._dequeue(_of_size(size), 1)
        return (self._store.cpu_us - before_us) / self._plan.calls

    def _dequeue(self, queue_type: str, count: int) -> Sequence[Any]:
        reply = self._run(self._functions.dequeue(0, queue_type, count, _LEASE_US, b"\0" * 8))
        if len(reply.jobs) != count:
            raise Spoiled(f"a dequeue of {count} gave {len(reply.jobs)} jobs of {queue_type}")
        return list(reply.jobs)

    def _fill(self, size: int) -> None:
        """Give every queue a job, and one more for each time that the measured leases come round to it."""
        leases = self._plan.rounds * self._plan.calls
        for depth in range(1 + math.ceil(leases / size)):
            for first in range(0, size, _BATCH):
                queues = range(first, min(first + _BATCH, size))
                jobs = [
                    NewJob(_of_size(size), f"q{queue:07d}", f"job-{depth}", _PAYLOAD, -1, 0)
                    for queue in queues
                ]
                self._run(self._functions.enqueue(0, _of_size(size), jobs))

    def _run(self, call: Any) -> Any:
        return self._store.execute_all([call])[0]


def _of_size(size: int) -> str:
    return f"queues~{size}"


def _costs(plan: _Plan, rounds: list[_Round]) -> Costs:
    small, large = _SIZES[0], _SIZES[-1]
    sizes: list[tuple[Cell, ...]] = [
        (f"{size:,}", median(turn.dequeue_us[size] for turn in rounds)) for size in _SIZES
    ]
    return Costs(
        rows=[
            targets.CAP_UNREACHED.row(Spread.of([turn.plain_us / turn.capped_us for turn in rounds])),
            targets.CAP_QUEUES.row(
                Spread.of([turn.dequeue_us[large] / turn.dequeue_us[small] for turn in rounds])
            ),
            Row("store CPU of a whole job, plain type", "µs", Spread.of([turn.plain_us for turn in rounds])),
            Row(
                "store CPU of a whole job, unreached cap",
                "µs",
                Spread.of([turn.capped_us for turn in rounds]),
            ),
        ],
        grids=[
            Grid("A dequeue of one job of a gathered type with a cap (medians)", ("queues", "CPU µs"), sizes)
        ],
        parameters={
            "costs": f"{plan.rounds} rounds of {plan.batches * _BATCH:,} jobs of each type in batches of {_BATCH} over "
            f"{_QUEUES:,} queues, and of {plan.calls} dequeues for each number of queues",
        },
        notes=[
            "Jobs/s with an unreached cap are those that one core of the store can do, the inverse of its CPU time a "
            "job, with both types on one partition."
        ],
    )
