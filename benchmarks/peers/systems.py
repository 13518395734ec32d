"""Whole jobs through our server and through other queue systems: added, then processed, with the CPU time of all of it.

Each round measures every system once, on a store of its own of the same kind, and every other round in the opposite
order. The figure of a system is of both steps one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import msgspec

from benchmarks.errors import NotRun
from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread, median
from benchmarks.load import worker_load
from benchmarks.load.programs import run_load
from benchmarks.peers import own_jobs, queue_systems
from benchmarks.peers.queue_systems import QueueSystem, StepDone
from benchmarks.processes.busy import typical
from benchmarks.processes.cpu import CpuMeter
from benchmarks.processes.servers import sharq_server, store

_STEPS = ("add", "process")
_OWN_JOBS = 20_000
_RAW, _SDK = targets.OWN_RAW, "sharq-server, SDK and its worker"
_CLIENTS = {_RAW: "raw", _SDK: "sdk"}
_ORDER = (
    _RAW,
    queue_systems.ASYNQ,
    _SDK,
    queue_systems.BULLMQ,
    queue_systems.DRAMATIQ,
    queue_systems.RQ,
    queue_systems.CELERY,
)
_TIMEOUT_S = 300
_GOALS = {
    (_RAW, queue_systems.BULLMQ.name): targets.JOBS_OF_BULLMQ,
    (_RAW, queue_systems.ASYNQ.name): targets.JOBS_OF_ASYNQ,
}


class _Step(msgspec.Struct, frozen=True):
    """One step of one system: jobs a second, and CPU time a job in µs; busy: shares of a core."""

    rate: float
    clients_us: float
    server_us: float
    store_us: float
    busy: dict[str, float] = {}

    @property
    def cpu_us(self) -> float:
        """The CPU time of all processes."""
        return self.clients_us + self.server_us + self.store_us


class _Whole(msgspec.Struct, frozen=True):
    """Both steps of one system in one round."""

    add: _Step
    process: _Step

    @property
    def rate(self) -> float:
        """Whole jobs a second of both steps in turn."""
        return 1 / (1 / self.add.rate + 1 / self.process.rate)

    @property
    def cpu_us(self) -> float:
        """CPU time of all processes for a whole job."""
        return self.add.cpu_us + self.process.cpu_us

    @property
    def busy(self) -> dict[str, float]:
        """The shares of a core in both steps."""
        return {
            f"{name} ({step})": share
            for step, done in (("add", self.add), ("process", self.process))
            for name, share in done.busy.items()
        }


def run(is_quick: bool) -> Report:
    """Measure all systems in turns."""
    turns, size = (3, 1) if is_quick else (7, 4)
    rounds: list[dict[str, _Whole]] = []
    reasons: dict[str, str] = {}
    for number in range(turns):
        turn: dict[str, _Whole] = {}
        for system in _ORDER if number % 2 == 0 else reversed(_ORDER):
            if isinstance(system, str):
                turn[system] = _measure_own(system, size * _OWN_JOBS)
            elif system.name not in reasons:
                try:
                    turn[system.name] = _measure_peer(system, size * system.jobs)
                except NotRun as error:
                    reasons[system.name] = f"not run: {error}"
        rounds.append(turn)
    return _report(rounds, reasons, size)


def _measure_own(name: str, jobs: int) -> _Whole:
    """Measure our server with one of our clients."""
    with store(is_durable=True) as running, sharq_server(running.url) as server:

        def load(step: str) -> StepDone:
            arguments = [server.url, _CLIENTS[name], step, str(jobs)]
            said = run_load("benchmarks.peers.own_jobs", arguments, _TIMEOUT_S)
            return msgspec.json.decode(said, type=StepDone)

        pids = {"server": [server.pid], "store": [running.pid]}
        return _Whole(*(_measure_step(load, step, pids) for step in _STEPS))


def _measure_peer(system: QueueSystem, jobs: int) -> _Whole:
    """Measure another system.

    Raises:
        NotRun: it cannot be installed, or failed.
    """
    with store(is_durable=True) as running:

        def load(step: str) -> StepDone:
            return system.run(step, running.socket, jobs)

        return _Whole(*(_measure_step(load, step, {"store": [running.pid]}) for step in _STEPS))


def _measure_step(load: Callable[[str], StepDone], step: str, pids: Mapping[str, Sequence[int]]) -> _Step:
    """Do one step.

    The time of the clients begins with the first job. That of server and store holds their connections' beginning and
    end, too.
    """
    meter = CpuMeter(*chain.from_iterable(pids.values()))
    done = load(step)
    spent_us = dict(zip(pids, meter.spent_us(), strict=True))
    duration_us = done.duration_s * 1e6
    busy = {name: us / duration_us for name, us in {**spent_us, "clients": done.cpu_s * 1e6}.items()}
    return _Step(
        rate=done.jobs / done.duration_s,
        clients_us=done.cpu_s * 1e6 / done.jobs,
        server_us=spent_us.get("server", 0.0) / done.jobs,
        store_us=spent_us["store"] / done.jobs,
        busy=busy,
    )


def _report(rounds: list[dict[str, _Whole]], reasons: dict[str, str], size: int) -> Report:
    names = [system if isinstance(system, str) else system.name for system in _ORDER]
    others = [system for system in _ORDER if isinstance(system, QueueSystem)]
    rows = [_rate_row(rounds, reasons, own, other.name) for own in _CLIENTS for other in others]
    rows += [_cpu_row(rounds, reasons, own, other.name) for own in _CLIENTS for other in others]
    return Report(
        name="systems",
        question="How many whole jobs a second do we and others add and process, and what CPU time does a job take?",
        parameters={
            "ours": f"one sharq-server over HTTP; raw: {own_jobs.LOOPS} loops add {own_jobs.BATCH} jobs a call, "
            f"{worker_load.RAW_LOOPS} lease and finish {worker_load.BATCH} a call; SDK: enqueue_many, and a worker "
            f"with a concurrency of {worker_load.CONCURRENCY}; {own_jobs.QUEUES:,} queues with a rate that is kept",
            **{other.name: other.setting for other in others},
            "jobs": f"ours {size * _OWN_JOBS:,}, "
            + ", ".join(f"{other.name} {size * other.jobs:,}" for other in others),
            "store": "a Valkey for each, append-only file written out each second, over a UNIX socket",
            "rounds": f"{len(rounds)}, all systems in turns, every other round in the opposite order",
        },
        rows=rows,
        grids=[_grid(rounds, names)],
        notes=[
            "A job has the same 43 bytes of payload everywhere, and its handler does nothing. All jobs are added "
            "before the first is processed.",
            *(f"{other.name} {other.lacks}." for other in others),
            "Ours keeps a rate for each of its queues and has HTTP between client and store; the others have not.",
            "The jobs of the SDK have its defaults: ten retries with growing waits.",
            "Interpreters and programs are not timed while they start.",
        ],
    )


def _rate_row(rounds: list[dict[str, _Whole]], reasons: dict[str, str], own: str, other: str) -> Row:
    figure = f"whole jobs by {own}, of {other}'s rate"
    target = _GOALS.get((own, other))
    both = [turn for turn in rounds if other in turn]
    measured = Spread.of([turn[own].rate / turn[other].rate for turn in both]) if both else reasons[other]
    if target is None:
        return Row(figure, "x", measured)
    return target.row(measured, busy=typical([turn[own].busy for turn in both]))


def _cpu_row(rounds: list[dict[str, _Whole]], reasons: dict[str, str], own: str, other: str) -> Row:
    both = [turn for turn in rounds if other in turn]
    measured = Spread.of([turn[own].cpu_us / turn[other].cpu_us for turn in both]) if both else reasons[other]
    return Row(f"CPU time of a whole job by {own}, of {other}'s", "x", measured)


def _grid(rounds: list[dict[str, _Whole]], names: Sequence[str]) -> Grid:
    columns = (
        "system",
        "add jobs/s",
        "process jobs/s",
        targets.WHOLE_JOBS,
        "clients µs",
        "server µs",
        "store µs",
        "all µs",
    )
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        done = [turn[name] for turn in rounds if name in turn]
        if not done:
            continue

        def of(value: Callable[[_Whole], float], done: list[_Whole] = done) -> float:
            return median(map(value, done))

        rows.append(
            (
                name,
                of(lambda whole: whole.add.rate),
                of(lambda whole: whole.process.rate),
                of(lambda whole: whole.rate),
                of(lambda whole: whole.add.clients_us + whole.process.clients_us),
                of(lambda whole: whole.add.server_us + whole.process.server_us),
                of(lambda whole: whole.add.store_us + whole.process.store_us),
                of(lambda whole: whole.cpu_us),
            )
        )
    return Grid("By system (medians; CPU time of a whole job)", columns, rows)
