"""The functions alone: CPU time of the store for a whole job, in batches of 100 that fall on few or many partitions.

This is the limit of everything above it. No server, no HTTP; the spreads take turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread, medians
from benchmarks.load.yardsticks import set_us
from benchmarks.processes.servers import Store
from benchmarks.processes.servers import store as running_store
from sharq_core.models import FinishJob, LeasedJob, NewJob
from sharq_core.partitions import partition_of
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys

J = TypeVar("J", NewJob, FinishJob)

_TYPE = "sms"
_QUEUES = 1_000
_BATCH = 100
_PAYLOAD = b'"' + b"x" * 98 + b'"'
_LEASE_US = 3_600_000_000
_INTERVAL_US = 1
"""A limit that is kept and that no queue reaches."""

_TARGETS = {8: targets.STORE_ON_8, 64: targets.STORE_ON_64}


class _Plan(msgspec.Struct, frozen=True):
    """batches: of 100 jobs, a round and spread."""

    rounds: int
    batches: int
    spreads: tuple[int, ...] = (1, 8, 64)


class _Cost(msgspec.Struct, frozen=True):
    """CPU time of the store a job."""

    enqueue_us: float
    dequeue_us: float
    finish_us: float

    @property
    def whole_us(self) -> float:
        """All three."""
        return self.enqueue_us + self.dequeue_us + self.finish_us


def run(is_quick: bool) -> Report:
    """Measure each spread in every round."""
    plan = _Plan(rounds=5, batches=40) if is_quick else _Plan(rounds=9, batches=200)
    with running_store(is_durable=False) as store:
        store.load_library()
        deployments = {spread: _Deployment(store, spread) for spread in plan.spreads}
        sets_us: list[float] = []
        rounds: list[dict[int, _Cost]] = []
        for number in range(plan.rounds):
            sets_us.append(set_us(store))
            rounds.append(
                {
                    spread: deployment.measure(number, plan.batches)
                    for spread, deployment in deployments.items()
                }
            )
        return _report(plan, rounds, sets_us, store.version)


class _Deployment:
    """One prefix of the store, with its number of partitions."""

    def __init__(self, store: Store, partitions: int) -> None:
        self._store = store
        self._partitions = partitions
        self._functions = Functions(Keys(f"bench{partitions}", partitions), Retention())

    def measure(self, round_number: int, batches: int) -> _Cost:
        """Enqueue, dequeue and finish that many batches."""
        jobs = [_job(round_number, number) for number in range(batches * _BATCH)]
        chunks = [jobs[first : first + _BATCH] for first in range(0, len(jobs), _BATCH)]
        enqueue_us, _ = self._spend([self._enqueues(chunk) for chunk in chunks])
        dequeue_us, replies = self._spend([self._dequeues() for _ in chunks])
        leased = [job for reply in replies for job in reply.jobs]
        leased += self._drain(len(jobs) - len(leased))
        finishes = [self._finishes(leased[first : first + _BATCH]) for first in range(0, len(leased), _BATCH)]
        finish_us, _ = self._spend(finishes)
        taken = sum(len(reply.jobs) for reply in replies)
        return _Cost(enqueue_us / len(jobs), dequeue_us / taken, finish_us / len(jobs))

    def _spend(self, batches: Sequence[Sequence[FunctionCall[Any]]]) -> tuple[float, list[Any]]:
        """Run batches, each as one pipeline, and return the store's CPU time in µs and the values."""
        before_us = self._store.cpu_us
        values = [value for calls in batches for value in self._store.execute_all(calls)]
        return self._store.cpu_us - before_us, values

    def _enqueues(self, jobs: Sequence[NewJob]) -> list[FunctionCall[Any]]:
        return [
            self._functions.enqueue(partition, _TYPE, group)
            for partition, group in self._by_partition(jobs).items()
        ]

    def _dequeues(self) -> list[FunctionCall[Any]]:
        """Return dequeues of equal shares, as a shard's index makes them if all partitions are equally due."""
        share, more = divmod(_BATCH, self._partitions)
        counts = [share + (partition < more) for partition in range(self._partitions)]
        return [
            self._functions.dequeue(partition, _TYPE, count, _LEASE_US, b"\0" * 8)
            for partition, count in enumerate(counts)
            if count
        ]

    def _drain(self, missing: int) -> list[LeasedJob]:
        """Finish the jobs that equal shares left over, because partitions hold different numbers of jobs."""
        left: list[LeasedJob] = []
        for partition in range(self._partitions):
            while len(left) < missing:
                call = self._functions.dequeue(partition, _TYPE, _BATCH, _LEASE_US, b"\0" * 8)
                jobs = self._store.execute_all([call])[0].jobs
                left += jobs
                if not jobs:
                    break
        if len(left) != missing:
            raise Spoiled(f"{missing} jobs were left and {len(left)} came")
        return left

    def _finishes(self, jobs: Sequence[LeasedJob]) -> list[FunctionCall[Any]]:
        ends = [FinishJob(_TYPE, job.queue_id, job.job_id, job.lease) for job in jobs]
        return [
            self._functions.finish(partition, _TYPE, group)
            for partition, group in self._by_partition(ends).items()
        ]

    def _by_partition(self, jobs: Sequence[J]) -> dict[int, list[J]]:
        groups: dict[int, list[J]] = {}
        for job in jobs:
            groups.setdefault(partition_of(_TYPE, job.queue_id, self._partitions), []).append(job)
        return groups


def _job(round_number: int, number: int) -> NewJob:
    queue_id, job_id = f"q{number % _QUEUES}", f"job-{round_number}-{number}"
    return NewJob(_TYPE, queue_id, job_id, _PAYLOAD, requeue_limit=-1, interval_us=_INTERVAL_US)


def _report(plan: _Plan, rounds: list[dict[int, _Cost]], sets_us: list[float], version: str) -> Report:
    rows = [_row(spread, [turn[spread].whole_us for turn in rounds], sets_us) for spread in plan.spreads]
    rows += [
        Row(
            f"whole job, batches of {_BATCH} on {spread} partitions, CPU time",
            "µs",
            Spread.of([turn[spread].whole_us for turn in rounds]),
        )
        for spread in plan.spreads
    ]
    rows.append(Row("SET of 100 bytes, in a pipeline of 100", "µs", Spread.of(sets_us)))
    grid: list[tuple[Cell, ...]] = [
        (str(spread), *medians([turn[spread] for turn in rounds])) for spread in plan.spreads
    ]
    return Report(
        name="store",
        question="How much CPU time does the store spend on a whole job: enqueue, dequeue and finish?",
        parameters={
            "store": f"{version}, in memory, over a UNIX socket",
            "jobs": f"{plan.batches * _BATCH:,} a round and spread, {_QUEUES:,} queues, payload {len(_PAYLOAD)} bytes",
            "rounds": str(plan.rounds),
        },
        rows=rows,
        grids=[
            Grid("By partitions (medians, µs a job)", ("partitions", "enqueue", "dequeue", "finish"), grid)
        ],
        notes=[
            "A batch is one joint call for all its partitions, as a shard sends it to one server; a dequeue asks every "
            "partition for an equal share. On a Redis Cluster it is one call a partition."
        ],
    )


def _row(spread: int, whole_us: Sequence[float], sets_us: Sequence[float]) -> Row:
    """Return the cost in SETs of the same round, which is the goal's unit."""
    sets = Spread.of([job_us / set_us for job_us, set_us in zip(whole_us, sets_us, strict=True)])
    if spread in _TARGETS:
        return _TARGETS[spread].row(sets)
    return Row(f"whole job, batches of {_BATCH} on {spread} partition", "SETs", sets)
