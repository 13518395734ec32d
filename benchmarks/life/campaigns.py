"""Measures the opening of a send window for which many jobs wait, beside as many without one, and many schedules.

The jobs are put into the store directly. What is measured goes over HTTP to one sharq-server.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread, percentile
from benchmarks.life import openings, schedules
from benchmarks.life.bench import BATCH, LEASE_MS, OTHER_QUEUES, OTHERS_PER_S, PAYLOAD, Bench
from benchmarks.life.openings import Calls
from benchmarks.life.schedules import Schedules
from benchmarks.load import load_client
from benchmarks.load.load_client import open_session
from benchmarks.processes.cpu import CpuMeter
from benchmarks.processes.servers import sharq_server, store
from benchmarks.rates.lease_times import count_violations, delivered_share
from sharq_core.models import NewJob
from sharq_core.partitions import DEFAULT_PARTITIONS, partition_of

_WINDOW = "daytime"
_PLAIN, _WINDOWED = "plain", "campaign"
_KINDS = {"": "over all partitions", "~carrier": "gathered in one"}
"""The endings of the names of types, and where their jobs are."""

_OPENING = "opening of a window"

_QUEUES = 10_000
_FIRST_CALLS = _QUEUES // BATCH
_INTERVAL_US = 2_000_000
_WORK_S = 14.0
_WARM_UP_S = 4.0
"""By then the queues that waited have had their first lease, and from then on the rates are judged."""

_EARLY_S = 2.0
"""The worker waits for so long before the opening."""

_WAIT_MS = 1_000
_CLOSED_S = 12 * 3600.0
"""The window opens no earlier while jobs are put in, which takes a time that no probe foretells."""

_AHEAD_S = 15.0
"""The window is put anew at least so long before it opens: all queues get their scores anew meanwhile."""

_TIMEOUT_S = 120.0


class _Plan(msgspec.Struct, frozen=True):
    """The numbers of one run.

    Attributes:
        waiting: the number of jobs that wait for the window, and of those that have none.
        quiet_s: the time in which others are measured alone.
        idle_s: the time in which a server with schedules, and one without, is measured.
        kinds: the endings of the names of the types that are tried, of those in _KINDS. Each takes up to two minutes,
            since windows open at whole minutes.
    """

    rounds: int
    waiting: int
    quiet_s: float
    idle_s: float
    kinds: tuple[str, ...]


_FULL = _Plan(rounds=2, waiting=1_000_000, quiet_s=4, idle_s=20, kinds=tuple(_KINDS))
_QUICK = _Plan(rounds=1, waiting=100_000, quiet_s=3, idle_s=10, kinds=("",))


class _Work(msgspec.Struct, frozen=True):
    """The outcome of one worker that leases for _WORK_S, one call after the other.

    Attributes:
        begin_ms: from when on it could lease, by the store's clock.
        first_ms: from then until the first job was here.
        early: leases before begin_ms.
        full_ms: how long each call that brought as many jobs as it asked for took, ms at the caller.
        store_ms: the store's calls for its type that took longer than bench.SLOW_US, in their order, ms of wall time.
        share: delivered over promised after _WARM_UP_S, of all queues.
        violations: leases before the rate of their queue let them.
        others_ms: how long each dequeue of others took meanwhile.
        server_us, store_us: CPU time a job.
    """

    jobs: int
    first_ms: float
    early: int
    full_ms: list[float]
    store_ms: list[float]
    share: float
    violations: int
    others_ms: list[float]
    server_us: float
    store_us: float

    @property
    def opening_ms(self) -> list[float]:
        """The store's first calls, in which each queue gives its first job."""
        return self.store_ms[:_FIRST_CALLS]

    @property
    def later_ms(self) -> list[float]:
        """The store's calls after these."""
        return self.store_ms[_FIRST_CALLS:]


class _Round(msgspec.Struct, frozen=True):
    """Both types on one server, the plain one first."""

    quiet_ms: list[float]
    plain: _Work
    windowed: _Work


def run(is_quick: bool) -> Report:
    """Measure each kind of type in every round, on servers of their own."""
    plan = _QUICK if is_quick else _FULL
    rounds = [{suffix: _measure(plan, suffix) for suffix in plan.kinds} for _ in range(plan.rounds)]
    calls = [openings.measure(plan.waiting, _QUEUES, _INTERVAL_US) for _ in range(plan.rounds)]
    scheduled = [schedules.measure(plan.idle_s) for _ in range(plan.rounds)]
    return _report(plan, rounds, calls, scheduled)


def _measure(plan: _Plan, suffix: str) -> _Round:
    with store(is_durable=True) as running, sharq_server(running.url) as server:

        async def load() -> _Round:
            async with open_session(_TIMEOUT_S) as session:
                return await _open(Bench(running, server, session), plan, suffix)

        return load_client.run(load())


async def _open(bench: Bench, plan: _Plan, suffix: str) -> _Round:
    """Let the jobs without a window go first, and then those that wait for it when it opens."""
    plain, windowed = _PLAIN + suffix, _WINDOWED + suffix
    bench.fill_others(2 * plan.quiet_s + 3 * _WORK_S)
    await _put_window(bench, _minute_after(bench, _CLOSED_S))
    for queue_type, window in ((windowed, _WINDOW), (plain, None)):
        _fill(bench, queue_type, window, plan.waiting)
    bench.rewrite_file()
    async with bench.others() as quiet_ms:
        await asyncio.sleep(plan.quiet_s)
    without = await _work(bench, plain, bench.now_us / 1e6)
    opens = _minute_after(bench, _AHEAD_S)
    await _put_window(bench, opens)
    opens_s = opens.timestamp()
    left_s = opens_s - _EARLY_S - bench.now_us / 1e6
    if left_s < 0:
        raise Spoiled(f"the window opened {-left_s:.0f} s too soon: it took that long to be put")
    await asyncio.sleep(left_s)
    return _Round(quiet_ms, without, await _work(bench, windowed, opens_s))


def _fill(bench: Bench, queue_type: str, window: str | None, size: int) -> None:
    """Put in jobs, an equal part in each queue; the queues of a partition take turns."""
    by_place: dict[int, list[str]] = defaultdict(list)
    for number in range(_QUEUES):
        queue_id = f"q{number}"
        by_place[partition_of(queue_type, queue_id, DEFAULT_PARTITIONS)].append(queue_id)
    depth = max(1, size // _QUEUES)
    for place, queue_ids in by_place.items():
        bench.fill(place, queue_type, _batches(queue_type, queue_ids, depth, window))


def _batches(queue_type: str, queue_ids: list[str], depth: int, window: str | None) -> Iterator[list[NewJob]]:
    jobs = [
        NewJob(queue_type, queue_id, f"job-{number}", PAYLOAD, -1, _INTERVAL_US, window=window)
        for number in range(depth)
        for queue_id in queue_ids
    ]
    for first in range(0, len(jobs), BATCH):
        yield jobs[first : first + BATCH]


def _minute_after(bench: Bench, seconds: float) -> datetime:
    """Return the first whole minute that comes more than some seconds after now; a window opens at one."""
    earliest = datetime.fromtimestamp(bench.now_us / 1e6 + seconds, UTC)
    return earliest.replace(second=0, microsecond=0) + timedelta(minutes=1)


async def _put_window(bench: Bench, opens: datetime) -> None:
    """Define a window that opens then, for two hours."""
    closes = opens + timedelta(hours=2)
    hours = {"days": "daily", "from": f"{opens:%H:%M}", "to": f"{closes:%H:%M}"}
    body = {"tz": "UTC", "open": [hours]}
    async with bench.session.put(f"{bench.server.url}/window/{_WINDOW}/", json=body) as answer:
        if answer.status != 200:
            raise Spoiled(f"the window got {answer.status}: {await answer.text()}")


async def _work(bench: Bench, queue_type: str, begin_s: float) -> _Work:
    """Lease one call after the other from now until _WORK_S after begin_s, beside others."""
    leases_us: dict[str, list[int]] = defaultdict(list)
    full_ms: list[float] = []
    first_ms: float | None = None
    skew_s = bench.now_us / 1e6 - time.time()
    bench.note_calls()
    meter = CpuMeter(bench.server.pid, bench.store.pid)
    async with bench.others() as others_ms:
        while (now_s := time.time() + skew_s) < begin_s + _WORK_S:
            answer = await bench.ask(f"/dequeue/{queue_type}/?count={BATCH}&wait={_WAIT_MS}&lease={LEASE_MS}")
            came_s = time.time() + skew_s
            jobs = answer.get("jobs", ())
            for job in jobs:
                leases_us[job["queue_id"]].append((job["lease_expires_at"] - LEASE_MS) * 1000)
            if jobs and first_ms is None:
                first_ms = (came_s - begin_s) * 1000
            if len(jobs) == BATCH and now_s >= begin_s:
                full_ms.append((came_s - now_s) * 1000)
    if first_ms is None or not full_ms:
        raise Spoiled(f"{queue_type} gave no jobs")
    server_us, store_us = meter.spent_us()
    count = sum(map(len, leases_us.values()))
    return _Work(
        jobs=count,
        first_ms=first_ms,
        early=sum(us < math.floor(begin_s * 1000) * 1000 for own in leases_us.values() for us in own),
        full_ms=full_ms,
        store_ms=bench.slow_calls_ms(queue_type),
        share=_share(leases_us, begin_s),
        violations=sum(count_violations(own, _INTERVAL_US, 1) for own in leases_us.values()),
        others_ms=others_ms,
        server_us=server_us / count,
        store_us=store_us / count,
    )


def _share(leases_us: Mapping[str, list[int]], begin_s: float) -> float:
    """Return what was delivered of what the rates of all queues promised after the warm-up."""
    from_us, until_us = (round((begin_s + after_s) * 1e6) for after_s in (_WARM_UP_S, _WORK_S))
    shares = [delivered_share(own, _INTERVAL_US, from_us, until_us) for own in leases_us.values()]
    return sum(share or 0.0 for share in shares) / _QUEUES


def _report(
    plan: _Plan, rounds: list[dict[str, _Round]], alone: list[list[Calls]], scheduled: list[Schedules]
) -> Report:
    return Report(
        name="campaigns",
        question="What does it cost when a send window opens for which many jobs wait, and to keep many schedules?",
        parameters={
            "jobs": f"{plan.waiting:,} that wait for the window, and as many without one, in {_QUEUES:,} queues each, "
            f"at one job in {_INTERVAL_US / 1e6:g} s, 100-byte payloads",
            "worker": f"one, which leases {BATCH} jobs a call and waits for up to {_WAIT_MS / 1000:g} s",
            "others": f"{OTHERS_PER_S} dequeues a second of another type with {OTHER_QUEUES} queues, beside it",
            "rounds": f"{plan.rounds}, each with a type {' and with one '.join(_KINDS[kind] for kind in plan.kinds)}; "
            "the jobs without a window go first",
            "schedules": f"{schedules.COUNT:,}, each of a queue of its own, all for one minute of one day; "
            f"idle for {plan.idle_s:g} s",
            "server": "one sharq-server; store with an append-only file written out each second, and rewritten before",
        },
        rows=[*_rows(rounds, alone), *_schedule_rows(scheduled)],
        grids=[_grid(rounds), _alone_grid(alone)],
        notes=[
            "The calls of the store are measured by its own log, in wall time: other load on the machine, that of "
            "the server and of the worker among it, makes one longer.",
            f"The calls at the opening are the first {_FIRST_CALLS}, in which each queue gives its first job.",
        ],
    )


def _rows(rounds: list[dict[str, _Round]], alone: list[list[Calls]]) -> list[Row]:
    every = [own for by_suffix in rounds for own in by_suffix.values()]
    windowed = [own.windowed for own in every]
    return [
        targets.OPENING_CPU.row(
            Spread.of([percentile(own.cpu_ms, 99) for calls in alone for own in calls if own.window])
        ),
        targets.OPENING_CALL.row(_spread(windowed, lambda work: percentile(work.opening_ms, 99))),
        Row(
            f"{_OPENING}: longest call of the store",
            "ms",
            _spread(windowed, lambda work: max(work.opening_ms)),
        ),
        targets.OPENING_FIRST.row(_spread(windowed, lambda work: work.first_ms)),
        targets.OPENING_EARLY.row(_spread(windowed, lambda work: work.early)),
        targets.OPENING_VIOLATIONS.row(_spread(windowed, lambda work: work.violations)),
        targets.OPENING_SHARE.row(_spread(windowed, lambda work: work.share)),
        targets.OPENING_OTHERS.row(
            Spread.of(
                [
                    percentile(own.windowed.others_ms, 50) / percentile(own.plain.others_ms, 50)
                    for own in every
                ]
            )
        ),
        Row(
            "store CPU of a lease with a window, of one without",
            "x",
            Spread.of([own.windowed.store_us / own.plain.store_us for own in every]),
        ),
    ]


def _schedule_rows(scheduled: list[Schedules]) -> list[Row]:
    many = f"{schedules.COUNT:,} schedules"
    return [
        targets.SCHEDULES_IDLE.row(Spread.of([own.between.cpu - own.without.cpu for own in scheduled])),
        targets.SCHEDULES_CALLS.row(Spread.of([own.between.calls - own.without.calls for own in scheduled])),
        Row(
            f"{many} due at one time: until the last one is fired",
            "s",
            Spread.of([own.fired_s for own in scheduled]),
        ),
        Row(
            f"start with {many}: from readiness until all are known",
            "s",
            Spread.of([own.known_s for own in scheduled]),
        ),
    ]


def _spread(works: list[_Work], value: Callable[[_Work], float]) -> Spread:
    return Spread.of([value(work) for work in works])


def _grid(rounds: list[dict[str, _Round]]) -> Grid:
    rows: list[tuple[Cell, ...]] = [
        (kind, name, *_cells(work))
        for by_suffix in rounds
        for suffix, own in by_suffix.items()
        for kind, name, work in (
            (_KINDS[suffix], "none", own.plain),
            (_KINDS[suffix], "opens", own.windowed),
        )
    ]
    columns = (
        "type", "window", "jobs/s", "call of the store at first: p50 ms", "p99 ms", "longest",
        "later: p50 ms", "p99 ms", "call of the worker: p50 ms", "p99 ms",
        "others: p50 ms", "p99 ms", "server µs a job", "store µs a job",
    )  # fmt: skip
    return Grid("By round", columns, rows)


def _alone_grid(alone: list[list[Calls]]) -> Grid:
    rows: list[tuple[Cell, ...]] = [
        (
            "opens" if own.window else "none",
            own.jobs / len(own.cpu_ms),
            *_percentiles(own.cpu_ms),
            max(own.cpu_ms),
        )
        for calls in alone
        for own in calls
    ]
    title = "The first job of each queue, on a store alone, one partition (CPU time of the store)"
    return Grid(title, ("window", "jobs a call", "p50 ms", "p99 ms", "longest"), rows)


def _cells(work: _Work) -> tuple[float, ...]:
    return (
        work.jobs / _WORK_S,
        *_percentiles(work.opening_ms),
        max(work.opening_ms),
        *_percentiles(work.later_ms),
        *_percentiles(work.full_ms),
        *_percentiles(work.others_ms),
        work.server_us,
        work.store_us,
    )


def _percentiles(values: list[float]) -> tuple[float, float]:
    return percentile(values, 50), percentile(values, 99)
