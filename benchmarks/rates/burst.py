"""Measures the burst that a queue needs to keep its rate.

One queue has a backlog, at rates from 20 to 10,000 a second and with several bursts; workers wait in long polls. The
lease times that the server returns are judged.
"""

from __future__ import annotations

import math
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread
from benchmarks.load import jobs
from benchmarks.processes.servers import python_child, sharq_server, store, wait_for_end
from benchmarks.rates import mix
from benchmarks.rates.lease_times import delivered_share
from benchmarks.rates.mix import Customer
from benchmarks.rates.waiting_worker import read_notes

_RATES = (20, 50, 100, 200, 500, 1_000, 2_000, 10_000)
_COVERED_MS = (1, 2, 5, 10, 20)
"""Bursts of 1 + rate x so much time, beside those of 1 and 2."""

_POLLS = 4
_WARM_UP_S = 0.5
_SLACK_S = 0.5


def run(is_quick: bool) -> Report:
    """Measure each rate at each burst, all on one server, one after another."""
    judged_s = 2.0 if is_quick else 5.0
    rates = (100, 1_000, 10_000) if is_quick else _RATES
    with ExitStack() as stack:
        running = stack.enter_context(store(is_durable=True))
        server = stack.enter_context(sharq_server(running.url))
        shares = {
            (rate, burst): _share(server.url, rate, burst, judged_s)
            for rate in rates
            for burst in sorted(_bursts(rate))
        }
    return Report(
        name="burst",
        question="Which burst does a rate need to be kept?",
        parameters={
            "queues": "one, with a backlog",
            "workers": f"one process with {_POLLS} long polls of up to 100 jobs, bulk finishes",
            "judged": f"{judged_s:g} s after a warm-up of {_WARM_UP_S:g} s",
            "server": "one sharq-server; store with an append-only file written out each second",
        },
        rows=[
            Row(f"{rate:,}/s at burst {burst}: delivered of promised", "share", Spread.of([share]))
            for (rate, burst), share in shares.items()
        ],
        grids=[_grid(shares)],
        notes=["A burst of b covers (b - 1) intervals: it makes up for being late by so long."],
    )


def _bursts(rate: int) -> set[int]:
    return {1, 2, *(1 + math.ceil(rate * covered / 1000) for covered in _COVERED_MS)}


def _share(url: str, rate: int, burst: int, judged_s: float) -> float:
    customer = Customer(f"at-{rate}-{burst}", math.ceil(1e6 / rate), is_fast=True)
    work_s = _WARM_UP_S + judged_s + _SLACK_S
    jobs.enqueue(url, list(mix.jobs_for([customer], burst, work_s + _SLACK_S)))
    with tempfile.TemporaryDirectory(prefix="sharq-bench-") as name:
        notes = Path(name) / "notes"
        arguments = [url, str(_POLLS), str(work_s), str(notes)]
        with python_child("benchmarks.rates.waiting_worker", arguments, Path(name)) as worker:
            wait_for_end(worker, work_s + 60, Path(name))
        leases_us = sorted(
            note.leased_ms * 1000 for note in read_notes(notes).notes if note.queue_id == customer.queue_id
        )
    from_us = leases_us[0] + round(_WARM_UP_S * 1e6)
    share = delivered_share(leases_us, customer.interval_us, from_us, from_us + round(judged_s * 1e6))
    jobs.drop(url, mix.QUEUE_TYPE, customer.queue_id)
    assert share is not None
    return share


def _grid(shares: dict[tuple[int, int], float]) -> Grid:
    rows: list[tuple[Cell, ...]] = [
        (f"{rate:,}/s", burst, (burst - 1) * 1000 / rate, share) for (rate, burst), share in shares.items()
    ]
    return Grid("Delivered of promised", ("rate", "burst", "covers, ms", "share"), rows)
