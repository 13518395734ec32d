"""Measures what many expired jobs, and a cancellation of many, cost the jobs behind them and the dequeues of others.

The jobs are put into the store directly. What is measured goes over HTTP to one sharq-server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TypeAlias

import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread, percentile
from benchmarks.life import life_steps
from benchmarks.life.bench import LEASE_MS, OTHER_QUEUES, OTHERS_PER_S, SLOW_US, Bench
from benchmarks.life.life_steps import Steps, batch, campaign, expired_jobs
from benchmarks.load import load_client
from benchmarks.load.load_client import open_session
from benchmarks.processes.cpu import CpuMeter
from benchmarks.processes.servers import sharq_server, store
from sharq_core.logs.plurals import counted
from sharq_core.partitions import DEFAULT_PARTITIONS, partition_of

_TYPE, _QUEUE = "sms", "many"
_PLACE = partition_of(_TYPE, _QUEUE, DEFAULT_PARTITIONS)
_PREFIX = "campaign7-"
_BATCH, _BATCH_QUEUES = "campaign7", (1, 5_000)
_PROBE = 10_000
"""Jobs that are put in first to learn how long that takes."""

_FILL_SLACK = 1.5
_MARGIN_S = 5.0
"""The factor and the time by which putting in the jobs that expire may take longer than the probe says. The time is
also for the store, which rewrites its file then.
"""

_TIMEOUT_S = 120.0


class _Plan(msgspec.Struct, frozen=True):
    """The numbers of one run.

    Attributes:
        expired: numbers of expired jobs.
        cancelled: the number of jobs that a cancellation by prefix ends.
        steps: the number of jobs whose single steps are measured.
        quiet_s: the time in which others are measured alone.
    """

    rounds: int
    expired: tuple[int, ...]
    cancelled: int
    steps: int
    quiet_s: float


_FULL = _Plan(rounds=3, expired=(100_000, 1_000_000), cancelled=200_000, steps=50_000, quiet_s=4)
_QUICK = _Plan(rounds=3, expired=(100_000,), cancelled=100_000, steps=20_000, quiet_s=3)


class _Outcome(msgspec.Struct, frozen=True):
    """The outcome of one clearing.

    Attributes:
        seconds: until it was done.
        calls_ms: the calls of the store that took longer than SLOW_US, in ms of wall time.
        quiet_ms, beside_ms: how long each dequeue of others took before it and beside it.
        server_s, store_s: CPU time in `seconds`, that of the others included.
        rewrites: how often the store rewrote its file in `seconds`.
    """

    seconds: float
    calls_ms: list[float]
    quiet_ms: list[float]
    beside_ms: list[float]
    server_s: float
    store_s: float
    rewrites: int

    @property
    def longest_ms(self) -> float:
        """The longest call of the store."""
        return max(self.calls_ms, default=SLOW_US / 1000)

    @property
    def ratio(self) -> float:
        """The p99 of others beside it over that before it."""
        return percentile(self.beside_ms, 99) / percentile(self.quiet_ms, 99)


def run(is_quick: bool) -> Report:
    """Measure each clearing on servers of its own, and then the single steps."""
    plan = _QUICK if is_quick else _FULL
    expired = {size: [_measure(_expire, plan, size) for _ in range(plan.rounds)] for size in plan.expired}
    cancelled = [_measure(_cancel, plan, plan.cancelled) for _ in range(plan.rounds)]
    clearings = {queues: partial(_cancel_batch, queues=queues) for queues in _BATCH_QUEUES}
    batches = {
        queues: [_measure(clearing, plan, plan.cancelled) for _ in range(plan.rounds)]
        for queues, clearing in clearings.items()
    }
    return _report(plan, expired, cancelled, batches, life_steps.measure(plan.steps))


def _fill_time_s(bench: Bench) -> float:
    """Return how long it takes to put in a job, s, by putting some into a type of their own."""
    began_s = time.perf_counter()
    bench.fill(_PLACE, "probe", campaign(_PROBE, _QUEUE, "probe", _PREFIX))
    return (time.perf_counter() - began_s) / _PROBE


class _Clock:
    """Measures one clearing from its making on; the store notes its slow calls from then on."""

    def __init__(self, bench: Bench) -> None:
        bench.note_calls()
        self._store = bench.store
        self._rewrites = bench.store.rewrites
        self._meter = CpuMeter(bench.server.pid, bench.store.pid)
        self._began_s = time.perf_counter()

    @property
    def rewrites(self) -> int:
        """The number of times that the store began to rewrite its file since the making."""
        return self._store.rewrites - self._rewrites

    def spent_s(self) -> tuple[float, float, float]:
        """Return the time since the making, and the CPU time of the server and of the store in it, s."""
        server_us, store_us = self._meter.spent_us()
        return time.perf_counter() - self._began_s, server_us / 1e6, store_us / 1e6


_Clearing: TypeAlias = Callable[[Bench, _Plan, int], Coroutine[None, None, _Outcome]]


def _measure(clearing: _Clearing, plan: _Plan, size: int) -> _Outcome:
    with store(is_durable=True) as running, sharq_server(running.url) as server:

        async def load() -> _Outcome:
            async with open_session(_TIMEOUT_S) as session:
                return await clearing(Bench(running, server, session), plan, size)

        return load_client.run(load())


async def _expire(bench: Bench, plan: _Plan, size: int) -> _Outcome:
    """Let all of a queue's jobs but the last expire at one time, while a worker waits for the last one."""
    bench.fill_others(2 * plan.quiet_s + _TIMEOUT_S)
    fill_s = _fill_time_s(bench) * size * _FILL_SLACK + _MARGIN_S
    expires_at_us = bench.now_us + round((fill_s + plan.quiet_s) * 1e6)
    bench.fill(_PLACE, _TYPE, expired_jobs(size, _QUEUE, _TYPE, expires_at_us))
    quiet_ms = await _quiet(bench, plan)
    if bench.now_us > expires_at_us:
        raise Spoiled("the jobs expired before they were measured")
    await asyncio.sleep((expires_at_us - bench.now_us) / 1e6)
    clock = _Clock(bench)
    async with asyncio.timeout(_TIMEOUT_S), bench.others() as beside_ms:
        while "job_id" not in (leased := await bench.ask(f"/dequeue/{_TYPE}/?wait=10000&lease={LEASE_MS}")):
            pass
        seconds, server_s, store_s = clock.spent_s()
    if leased["job_id"] != "live":
        raise Spoiled(f"the expired job {leased['job_id']} was leased")
    return _Outcome(seconds, bench.slow_calls_ms(), quiet_ms, beside_ms, server_s, store_s, clock.rewrites)


async def _cancel(bench: Bench, plan: _Plan, size: int) -> _Outcome:
    """Cancel all of a queue's jobs but a hundredth by their prefix."""
    bench.fill_others(2 * plan.quiet_s + _TIMEOUT_S)
    bench.fill(_PLACE, _TYPE, campaign(size, _QUEUE, _TYPE, _PREFIX))
    quiet_ms = await _quiet(bench, plan)
    clock = _Clock(bench)
    async with asyncio.timeout(_TIMEOUT_S), bench.others() as beside_ms:
        answer = await bench.ask(f"/queue/{_TYPE}/{_QUEUE}/cancel/", {"prefix": _PREFIX})
        seconds, server_s, store_s = clock.spent_s()
    if answer["cancelled"] != size:
        raise Spoiled(f"{answer['cancelled']} jobs of {size} were cancelled")
    return _Outcome(seconds, bench.slow_calls_ms(), quiet_ms, beside_ms, server_s, store_s, clock.rewrites)


async def _cancel_batch(bench: Bench, plan: _Plan, size: int, queues: int) -> _Outcome:
    """Cancel all jobs of a batch, of which each queue has an equal part."""
    bench.fill_others(2 * plan.quiet_s + _TIMEOUT_S)
    for queue_id, jobs in batch(size, queues, _TYPE, _BATCH):
        bench.fill(partition_of(_TYPE, queue_id, DEFAULT_PARTITIONS), _TYPE, [jobs])
    quiet_ms = await _quiet(bench, plan)
    clock = _Clock(bench)
    async with asyncio.timeout(_TIMEOUT_S), bench.others() as beside_ms:
        answer = await bench.ask(f"/batch/{_TYPE}/{_BATCH}/cancel/")
        seconds, server_s, store_s = clock.spent_s()
    if answer["cancelled"] != size:
        raise Spoiled(f"{answer['cancelled']} jobs of {size} were cancelled")
    return _Outcome(seconds, bench.slow_calls_ms(), quiet_ms, beside_ms, server_s, store_s, clock.rewrites)


async def _quiet(bench: Bench, plan: _Plan) -> list[float]:
    """Return how long the dequeues of others take while nothing else happens, ms."""
    bench.rewrite_file()
    async with bench.others() as found:
        await asyncio.sleep(plan.quiet_s)
    return found


def _report(
    plan: _Plan,
    expired: dict[int, list[_Outcome]],
    cancelled: list[_Outcome],
    batches: dict[int, list[_Outcome]],
    steps: Sequence[Steps],
) -> Report:
    return Report(
        name="life",
        question="How long do many expired or cancelled jobs hold up a queue, and what do others notice?",
        parameters={
            "jobs": "in one queue without a limit, 100-byte payloads; they expire at one time and become dead letters",
            "others": f"{OTHERS_PER_S} dequeues a second of another type with {OTHER_QUEUES} queues, before it and "
            "beside it",
            "rounds": str(plan.rounds),
            "server": "one sharq-server; store with an append-only file written out each second, and rewritten before",
            "steps": f"{plan.steps:,} jobs in one queue, functions called directly",
        },
        rows=_rows(plan, expired, cancelled, batches, steps),
        grids=[_grid(expired, cancelled, batches), _steps_grid(steps)],
        notes=[
            "The calls of the store are measured by its own log, in wall time: other load on the machine makes one "
            "longer. The CPU times of the single steps do not depend on it.",
        ],
    )


def _rows(
    plan: _Plan,
    expired: dict[int, list[_Outcome]],
    cancelled: list[_Outcome],
    batches: dict[int, list[_Outcome]],
    steps: Sequence[Steps],
) -> list[Row]:
    all_batches = [outcome for outcomes in batches.values() for outcome in outcomes]
    all_expired = [outcome for outcomes in expired.values() for outcome in outcomes]
    return [
        *(
            targets.LIFE_LEASED[size].row(Spread.of([outcome.seconds for outcome in outcomes]))
            for size, outcomes in expired.items()
        ),
        *(
            Row(
                f"{size:,} expired jobs: CPU of server and store until then, others included",
                "s",
                Spread.of([outcome.server_s + outcome.store_s for outcome in outcomes]),
            )
            for size, outcomes in expired.items()
        ),
        targets.LIFE_CALL.row(Spread.of([outcome.longest_ms for outcome in all_expired])),
        targets.LIFE_OTHERS.row(Spread.of([outcome.ratio for outcome in all_expired])),
        _seconds(f"cancel by prefix of {plan.cancelled:,} jobs", cancelled),
        targets.CANCEL_CALL.row(Spread.of([outcome.longest_ms for outcome in cancelled])),
        targets.CANCEL_OTHERS.row(Spread.of([outcome.ratio for outcome in cancelled])),
        *(
            _seconds(f"cancel of a batch of {plan.cancelled:,} jobs in {counted(queues, 'queue')}", outcomes)
            for queues, outcomes in batches.items()
        ),
        targets.BATCH_CALL.row(Spread.of([outcome.longest_ms for outcome in all_batches])),
        targets.BATCH_OTHERS.row(Spread.of([outcome.ratio for outcome in all_batches])),
        targets.LIFE_STEP.row(Spread.of([step.longest_ms for step in steps])),
    ]


def _seconds(what: str, outcomes: list[_Outcome]) -> Row:
    return Row(what, "s", Spread.of([outcome.seconds for outcome in outcomes]))


def _grid(
    expired: dict[int, list[_Outcome]], cancelled: list[_Outcome], batches: dict[int, list[_Outcome]]
) -> Grid:
    named = [
        *((f"{size:,} expired", outcome) for size, outcomes in expired.items() for outcome in outcomes),
        *(("cancelled by prefix", outcome) for outcome in cancelled),
        *((f"batch in {queues:,}", outcome) for queues, outcomes in batches.items() for outcome in outcomes),
    ]
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            outcome.seconds,
            outcome.server_s,
            outcome.store_s,
            outcome.longest_ms,
            sum(call_ms > targets.LIFE_CALL.goal.value for call_ms in outcome.calls_ms),
            outcome.rewrites,
            percentile(outcome.quiet_ms, 50),
            percentile(outcome.beside_ms, 50),
            percentile(outcome.quiet_ms, 99),
            percentile(outcome.beside_ms, 99),
        )
        for name, outcome in named
    ]
    columns = (
        "jobs", "s", "CPU of server s", "of store s", "longest call ms", "calls over the goal", "rewrites of the file",
        "others before: p50 ms", "beside", "p99 ms", "beside",
    )  # fmt: skip
    return Grid("By round", columns, rows)


def _steps_grid(steps: Sequence[Steps]) -> Grid:
    return Grid(
        "Single steps (CPU time of the store)",
        ("step", "jobs", "calls", "longest ms", "µs a job"),
        [(step.what, f"{step.jobs:,}", f"{step.calls:,}", step.longest_ms, step.cpu_us) for step in steps],
    )
