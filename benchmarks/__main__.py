"""`python -m benchmarks [NAME ...] [--quick | --full] [--save] [--readme]`: runs benchmarks and prints what they found.

One that cannot run, or fails, does not end the others: the goals that it was to measure are "not run".
Exit code 0 if all ran, whether goals were met or not; 1 when one gave no numbers.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import TypeAlias, cast

import msgspec

from benchmarks.errors import NotRun, Spoiled
from benchmarks.figures import summary
from benchmarks.figures.machine import Machine, describe
from benchmarks.figures.report import Report, save, to_markdown
from benchmarks.figures.targets import TARGETS

Run: TypeAlias = Callable[[bool], Report]

log = logging.getLogger("benchmarks")


class Benchmark(msgspec.Struct, frozen=True):
    """One benchmark.

    Attributes:
        room: the package that has its module, which is named like it (`-` is `_`) and has `run(is_quick) -> Report`.
        measures: the object of the measurement.
    """

    room: str
    measures: str


NAMES = {
    "queues": Benchmark("scale", "what a dequeue costs with ever more ready queues"),
    "http": Benchmark("http", "single calls over HTTP, beside bare aiohttp and the original"),
    "bulk": Benchmark("http", "whole jobs over HTTP in batches of 1 to 1,000"),
    "systems": Benchmark("peers", "whole jobs beside asynq, BullMQ, Dramatiq, RQ and Celery"),
    "worker": Benchmark("http", "the client's worker beside raw aiohttp doing the same calls"),
    "rate": Benchmark("rates", "promised against delivered rates, spacing, lateness"),
    "burst": Benchmark("rates", "which burst a rate needs to be kept"),
    "caps": Benchmark("rates", "caps of gathered types: share, breaches, lateness, and what they cost"),
    "named-caps": Benchmark(
        "rates", "named caps over types and three shards: share, breaches, fairness, and what they cost"
    ),
    "features": Benchmark(
        "store", "the store's price of a job with each feature and with none, beside the version before"
    ),
    "life": Benchmark(
        "life", "many expired jobs, and a cancellation of many: how long, and what others notice"
    ),
    "campaigns": Benchmark("life", "a send window opens while 1,000,000 jobs wait for it; 10,000 schedules"),
    "wait": Benchmark("http", "1,000 idle long polls, and how fast they wake up"),
    "store": Benchmark("store", "the functions alone: CPU time a job on 1, 8 and 64 partitions"),
    "memory": Benchmark("scale", "bytes a job in the store"),
    "link": Benchmark("cluster", "calls over the link of a router and a shard"),
    "workers": Benchmark(
        "http", "CPU time of a whole job with two workers of sharq-server, of that with one process"
    ),
    "cluster": Benchmark("cluster", "CPU time a job in each tier, with 1 to 3 shards and 1 or 2 routers"),
    "failover": Benchmark("cluster", "a shard and a router killed under load"),
    "start": Benchmark("scale", "how soon sharq-server answers"),
    "migration": Benchmark("scale", "how fast an import from the original moves its jobs"),
    "durability": Benchmark("store", "what replicated and synced cost an enqueue, beside fast"),
}
"""Every benchmark by its name on the command line."""


_FULL = {"memory", "queues", "start"}
"""Those that have a full form, `run_full(part) -> Report`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks that the arguments name and return the exit code."""
    options = _parse(argv)
    if options.list:
        print("\n".join(f"{name:10} {benchmark.measures}" for name, benchmark in NAMES.items()))
        return 0
    signal.signal(signal.SIGTERM, _leave)
    has_failed = _measure(options)
    if options.readme:
        results = summary.load_results()
        summary.replace_in(summary.README, summary.for_readme(results))
        summary.replace_in(summary.GOALS_PAGE, summary.for_goals_page(results))
        if (bursts := summary.for_rates_page(results)) is not None:
            summary.replace_in(summary.RATES_PAGE, bursts)
    return int(has_failed)


class _Options(argparse.Namespace):
    names: list[str]
    quick: bool
    full: bool
    part: int
    save: bool
    readme: bool
    list: bool


def _parse(argv: Sequence[str] | None) -> _Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run the project's benchmarks.")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"benchmarks to run: {', '.join(NAMES)} (default: all, or none with --readme alone)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="run shorter and smaller benchmarks, which are less exact"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="run the full form of queues, memory and start: ten millions, which takes an hour and 16 GB",
    )
    parser.add_argument(
        "--part", type=int, default=1, metavar="N", help="with --full: divide its sizes by N, to try it out"
    )
    parser.add_argument("--save", action="store_true", help="write Markdown and JSON to benchmarks/results/")
    parser.add_argument(
        "--readme",
        action="store_true",
        help="update the tables of README.md, docs/goals.md and docs/rates.md from benchmarks/results/",
    )
    parser.add_argument("--list", action="store_true", help="list the benchmarks")
    options = parser.parse_args(argv, _Options())
    if unknown := [name for name in options.names if name not in NAMES]:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there is {', '.join(NAMES)}")
    if options.full and (
        options.quick or options.part < 1 or not set(options.names) or set(options.names) - _FULL
    ):
        parser.error(f"--full is for {', '.join(sorted(_FULL))}, without --quick, and --part is 1 or more")
    return options


def _measure(options: _Options) -> bool:
    """Run what is named, and print the goals and return whether something is missing."""
    names = options.names or ([] if options.readme and not options.save else list(NAMES))
    machine = describe()
    reports: list[Report] = []
    reasons: dict[str, str] = {}
    are_saved = True
    for name in names:
        outcome = _run(name, options, machine)
        if isinstance(outcome, Report):
            reports.append(outcome)
            are_saved &= not options.save or _save(outcome, machine)
        else:
            reasons[name] = outcome
    asked = [target for target in TARGETS if target.benchmark in names]
    if asked:
        print("# Goals\n\n" + summary.to_markdown(summary.judge(reports, reasons, asked)), flush=True)
    return bool(reasons) or not are_saved


def _run(name: str, options: _Options, machine: Machine) -> Report | str:
    """Run one and print it; the reason when it gave no numbers."""
    print(f"{name}: running ...", file=sys.stderr, flush=True)
    try:
        module = module_of(name)
        report = module.run_full(options.part) if options.full else cast(Run, module.run)(options.quick)
    except (NotRun, Spoiled) as error:
        print(f"{name}: no numbers: {error}", file=sys.stderr)
        return str(error).splitlines()[0]
    except Exception as error:
        log.exception("benchmark_failed name=%s", name)
        return f"it failed: {type(error).__name__}"
    print(to_markdown(report, machine), flush=True)
    return report


def module_of(name: str) -> ModuleType:
    """Import the module of a benchmark, and no other: some need what this machine may lack."""
    return import_module(f"benchmarks.{NAMES[name].room}.{name.replace('-', '_')}")


def _save(report: Report, machine: Machine) -> bool:
    """Write the results; False if a plot is missing."""
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
