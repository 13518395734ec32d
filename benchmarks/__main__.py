"""`python -m benchmarks [NAME ...] [--quick] [--save]`: runs benchmarks one after another and prints what they found.

Exit code 0 when all ran, whether goals were met or not; 1 when one could not run or was spoiled.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TypeAlias, cast

from benchmarks.errors import NotRun, Spoiled
from benchmarks.machine import Machine, describe
from benchmarks.report import Report, goals, save, to_markdown

Run: TypeAlias = Callable[[bool], Report]

NAMES = {
    "queues": "what a dequeue costs with ever more ready queues",
    "http": "single calls over HTTP, beside bare aiohttp",
    "rate": "promised against delivered rates, spacing, lateness",
    "bulk": "whole jobs over HTTP in batches of 1 to 1,000",
    "wait": "1,000 idle long polls, and how fast they wake up",
    "store": "the functions alone: CPU time a job on 1, 8 and 64 partitions",
    "memory": "bytes a job in the store",
    "durability": "what replicated and synced cost an enqueue, beside fast",
}
"""Each is the module of its name here, with `run(is_quick) -> Report`, and what it measures."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks that the arguments name; returns the exit code."""
    options = _parse(argv)
    if options.list:
        print("\n".join(f"{name:10} {what}" for name, what in NAMES.items()))
        return 0
    signal.signal(signal.SIGTERM, _leave)
    names = options.names or list(NAMES)
    machine = describe()
    reports = [report for name in names if (report := _run(name, options.quick, machine)) is not None]
    are_saved = [_save(report, machine) for report in reports] if options.save else []
    if len(reports) > 1:
        print(goals(reports))
    return 0 if len(reports) == len(names) and all(are_saved) else 1


class _Options(argparse.Namespace):
    names: list[str]
    quick: bool
    save: bool
    list: bool


def _parse(argv: Sequence[str] | None) -> _Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The project's measurements.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; none: all")
    parser.add_argument("--quick", action="store_true", help="shorter and smaller, and so less exact")
    parser.add_argument("--save", action="store_true", help="write Markdown and JSON to benchmarks/results/")
    parser.add_argument("--list", action="store_true", help="say what there is")
    options = parser.parse_args(argv, _Options())
    if unknown := [name for name in options.names if name not in NAMES]:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there is {', '.join(NAMES)}")
    return options


def _run(name: str, is_quick: bool, machine: Machine) -> Report | None:
    """Run one and print it; None when it gave no numbers."""
    print(f"{name}: running ...", file=sys.stderr, flush=True)
    try:
        report = cast(Run, import_module(f"benchmarks.{name}").run)(is_quick)
    except (NotRun, Spoiled) as error:
        print(f"{name}: no numbers: {error}", file=sys.stderr)
        return None
    print(to_markdown(report, machine), flush=True)
    return report


def _save(report: Report, machine: Machine) -> bool:
    """Write the results; False when a plot is missing."""
    try:
        print("written:", ", ".join(path.name for path in save(report, machine)), file=sys.stderr)
    except NotRun as error:
        print(f"{report.name}: {error}", file=sys.stderr)
        return False
    return True


def _leave(number: int, frame: object) -> None:
    """SIGTERM unwinds the stack, so that every child process is ended."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
