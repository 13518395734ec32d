"""Measures the time from the start of `sharq-server`, on the embedded store, to its first answered request.

The full form starts it on ten millions of jobs, of one type and of 100,000, beside the store alone on the same files
and beside a server without data: its start costs mostly the imports of its programs, however many jobs wait.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.figures import targets
from benchmarks.figures.report import Report, Row
from benchmarks.figures.spread import Spread
from benchmarks.processes.servers import (
    SERVER,
    Store,
    answers,
    child,
    free_port,
    python_child,
    status,
    wait_until,
)
from benchmarks.scale.memory import fill
from sharq_core.config.settings import DEFAULT_KEY_PREFIX
from sharq_core.store.embedded.allocator import tuned_environ
from sharq_core.store.embedded.program import choose_socket_path
from sharq_core.store.embedded.server_settings import SERVER_SETTINGS, as_options

_PAYLOAD = b'"' + b"x" * 98 + b'"'
_LOAD_TIMEOUT_S = 600.0


def run(is_quick: bool) -> Report:
    """In each round, start on a new data directory, and again on the same one."""
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


def _start_empty() -> float:
    """Return the seconds until the first answer on a new data directory."""
    with tempfile.TemporaryDirectory(prefix="sharq-bench-") as name:
        return _start(Path(name))


def run_full(part: int) -> Report:
    """Start it on ten millions of jobs, or a part of them."""
    jobs, rounds = 10_000_000 // part, 3
    fillings = (_Filling(jobs, 1), _Filling(jobs, max(1, 100_000 // part)))
    rows = [row for filling in fillings for row in _measure_filled(filling, rounds, part)]
    return Report(
        name="start",
        question="How soon after its start does `sharq-server` answer, with many jobs?",
        parameters={
            "server": "one sharq-server on the embedded store, in a directory of its own",
            "jobs": f"{jobs:,}, one in each queue, payload of 100 bytes; the store's file rewritten once",
            "rounds": f"{rounds}, server without data, store alone and server in turns",
        },
        rows=rows,
        notes=[
            "The store's load time is that of its program on the same files, until it answers.",
            "On a busy machine the interpreter's start alone takes seconds; the row without data tells how many.",
        ],
    )


class _Filling(msgspec.Struct, frozen=True):
    """The jobs that are put into the embedded store."""

    jobs: int
    types: int


def _measure_filled(filling: _Filling, rounds: int, part: int) -> list[Row]:
    """Start a server without data, the store alone and a server in turns; return the rows of a filling."""
    with tempfile.TemporaryDirectory(prefix="sharq-bench-") as name:
        directory = Path(name)
        _start(directory, filling)
        turns = [(_start_empty(), _load_store(directory), _start(directory)) for _ in range(rounds)]
    empty_s, alone_s, server_s = zip(*turns, strict=True)
    beyond_s = Spread.of([whole - load for whole, load in zip(server_s, alone_s, strict=True)])
    words = f"{filling.jobs:,} jobs" + (f" of {filling.types:,} types" if filling.types > 1 else "")
    loaded = Row(
        f"start to first answered request, {words}, beyond the store's load time",
        "s",
        beyond_s,
        targets.START_LOADED.goal,
    )
    return [
        targets.START_LOADED.row(beyond_s) if part == filling.types == 1 else loaded,
        Row(f"start of the store alone, {words}", "s", Spread.of(alone_s)),
        Row(f"start to first answered request without data, in turns with {words}", "s", Spread.of(empty_s)),
    ]


def _start(directory: Path, filling: _Filling | None = None) -> float:
    """Return the seconds until the first answer; fill the store afterwards if that is asked for."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/dequeue/none/"
    started_s = time.perf_counter()
    arguments = ["--port", str(port), "--data-dir", "data"]
    with python_child("sharq_server.main", arguments, directory) as process:
        wait_until(lambda: status(url) == 404, process, directory, _LOAD_TIMEOUT_S)
        spent_s = time.perf_counter() - started_s
        if filling is not None:
            _fill(directory / "data", filling)
    return spent_s


def _fill(data: Path, filling: _Filling) -> None:
    """Put jobs into the running embedded store, and let it rewrite its file."""
    url = f"unix://{choose_socket_path(data.absolute())}"
    store = Store(url, os.getpid())
    with store.client:
        fill(store, filling.jobs, filling.jobs, _PAYLOAD, filling.types, DEFAULT_KEY_PREFIX)
        store.rewrite_file()


def _load_store(directory: Path) -> float:
    """Return the seconds until the store's program alone answers on the files of a server that has ended."""
    options = as_options({**SERVER_SETTINGS, "port": "0", "unixsocket": "../alone"})
    command = [SERVER, *options, "--dir", str(directory / "data"), "--aof-timestamp-enabled", "yes"]
    started_s = time.perf_counter()
    with child(command, directory, tuned_environ()) as process:
        store = Store(f"unix://{directory / 'alone'}", process.pid)
        with store.client:
            wait_until(lambda: answers(store.client), process, directory, _LOAD_TIMEOUT_S)
            spent_s = time.perf_counter() - started_s
    return spent_s
