"""Measures the time from the start of `sharq-server`, on the embedded store, to its first answered request."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import targets
from benchmarks.report import Report, Row
from benchmarks.servers import free_port, python_child, status, wait_until
from benchmarks.spread import Spread


def run(is_quick: bool) -> Report:
    """In each round it starts on a new data directory, and again on the same one."""
    rounds = [_measure() for _ in range(3 if is_quick else 9)]
    new, again = zip(*rounds, strict=True)
    return Report(
        name="start",
        question="How soon after its start does `sharq-server` answer?",
        parameters={
            "server": "one sharq-server on the embedded store, in a directory of its own",
            "request": "a dequeue that finds nothing, tried again every 20 ms until it is answered with 404",
            "rounds": str(len(rounds)),
        },
        rows=[
            targets.START.row(Spread.of(new)),
            Row("start to first answered request, data of an earlier run", "s", Spread.of(again)),
        ],
        notes=["The time holds the start of the Python interpreter and of the store."],
    )


def _measure() -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="sharq-bench-") as name:
        return _start(Path(name)), _start(Path(name))


def _start(directory: Path) -> float:
    """Return the seconds until the first answer."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/dequeue/sms/"
    started_s = time.perf_counter()
    arguments = ["--port", str(port), "--data-dir", "data"]
    with python_child("sharq_server.main", arguments, directory) as process:
        wait_until(lambda: status(url) == 404, process, directory)
        return time.perf_counter() - started_s
