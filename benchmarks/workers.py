"""Measures the CPU time of a whole job with two workers in one `sharq-server` against one, in turns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks import bulk, targets
from benchmarks.busy import BusyMeter, typical
from benchmarks.errors import NotRun
from benchmarks.report import Cell, Grid, Report
from benchmarks.servers import ROOT, sharq_server, store
from benchmarks.spread import Spread, median

_WORKERS = (1, 2)
_BATCH = 100
_OPTION = "--workers"


class _Job(msgspec.Struct, frozen=True):
    """The cost of a whole job: jobs a second, and CPU time in µs.

    Attributes:
        busy: shares of a core.
    """

    rate: float
    server_us: float
    store_us: float
    busy: dict[str, float]


def run(is_quick: bool) -> Report:
    """Measure each number of workers in every round."""
    _require_option()
    rounds, duration_s = (3, 2) if is_quick else (7, 6)
    found = [{workers: _measure(workers, duration_s) for workers in _WORKERS} for _ in range(rounds)]
    ratios = [_cost(one[2]) / _cost(one[1]) for one in found]
    grid: list[tuple[Cell, ...]] = [
        (
            str(workers),
            *(
                median(getattr(one[workers], field) for one in found)
                for field in ("rate", "server_us", "store_us")
            ),
        )
        for workers in _WORKERS
    ]
    return Report(
        name="workers",
        question="What does a whole job cost with several workers in one server, against one?",
        parameters={
            "load": f"one process, batches of {_BATCH} over HTTP, {duration_s} s a measurement",
            "rounds": f"{rounds}, in turns, each on fresh processes",
            "store": "one, append-only file written out each second, over a UNIX socket",
        },
        rows=[targets.WORKERS_COST.row(Spread.of(ratios), busy=typical([one[2].busy for one in found]))],
        grids=[Grid("By workers (medians, µs a job)", ("workers", "jobs/s", "all workers", "store"), grid)],
        notes=["The server's time is that of the parent and of all workers."],
    )


def _require_option() -> None:
    """Raise NotRun if this server has one process only."""
    said = subprocess.run(
        [sys.executable, "-m", "sharq_server.main", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if _OPTION not in said.stdout:
        raise NotRun(f"this sharq-server has no {_OPTION}")


def _measure(workers: int, duration_s: float) -> _Job:
    with (
        store(is_durable=True) as running,
        sharq_server(running.url, {"SHARQ_SHARQ_SERVER_WORKERS": str(workers)}) as server,
    ):
        bulk.load(server.url, _BATCH, 1, "warm")
        meter = BusyMeter({"server": family(server.pid), "store": [running.pid]})
        done = bulk.load(server.url, _BATCH, duration_s, "job")
        spent_us, busy = meter.spent_us(), meter.shares()
    rate = done.jobs / done.duration_s
    return _Job(rate, spent_us["server"] / done.jobs, spent_us["store"] / done.jobs, busy)


def family(pid: int) -> list[int]:
    """Return a process and all that it started, and so on."""
    children = [
        int(child)
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]
    return [pid, *(one for child in children for one in family(child))]


def _cost(job: _Job) -> float:
    return job.server_us + job.store_us
