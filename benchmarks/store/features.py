"""Measures the store's price of a job with each feature and with none, and what the features cost a job that uses none.

The versions before the limits and before the life of jobs are checked out of this repository's history. The latter and
this one take turns, each with its own program and its own library, on a store of its own; of the former only the
instructions are counted.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from benchmarks.errors import NotRun, Spoiled
from benchmarks.figures import targets
from benchmarks.figures.report import Cell, Grid, Report, Row
from benchmarks.figures.spread import Spread, median
from benchmarks.load import singles, wrk
from benchmarks.processes.cpu import CpuMeter
from benchmarks.processes.servers import ROOT, SERVER, sharq_server, store
from benchmarks.store import feature_load, price_load
from benchmarks.store.feature_load import FEATURES, LIFE
from benchmarks.store.price_load import Price

BEFORE_LIMITS = "9987f4522e34e46bff4cedf6b6d6c9573493a2b9"
"""The last commit without limits."""

BEFORE_CAMPAIGNS = "2acaa2db8464f1b9a92a99c40fb681b53e425c45"
"""The last commit without campaigns."""

OLD_LOAD = "benchmarks.price_load"
"""The name of price_load.py in the tree of an older version, whose benchmarks all stand in one folder."""

_IMPORT = "from benchmarks.processes import servers"
_OLD_IMPORT = "from benchmarks import servers"

_CONNECTIONS = 16
_TURNS = 10
_REQUEST_TURNS = 5
"""The number of short turns of each version in a round, with calls of the store and with requests."""

_REQUEST_S = 1.0
_COUNTED_BATCHES = 5
_COUNTED_ROUNDS = (1, 4)
"""The rounds of two runs whose instructions are counted; the difference has no start in it, and no first round."""


class _Plan(msgspec.Struct, frozen=True):
    """rounds: of each measurement; batches: of 100 jobs in each turn."""

    rounds: int
    batches: int


_FULL = _Plan(rounds=11, batches=20)
_QUICK = _Plan(rounds=3, batches=10)


class _Instructions(msgspec.Struct, frozen=True):
    """Processor instructions of the store for a whole job.

    Attributes:
        before_limits, before_campaigns: of a job without features in the older versions.
        by_feature: in this version.
    """

    before_limits: float
    before_campaigns: float
    by_feature: dict[str, float]

    @property
    def plain(self) -> float:
        """Instructions of a job without features in this version."""
        return self.by_feature["none"]


class _Child:
    """A process of price_load.py in one tree."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def price(self, feature: str, batches: int) -> Price:
        """Measure one round."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{feature} {batches}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Spoiled("the measuring process ended")
        return msgspec.json.decode(line, type=Price)


def run(is_quick: bool) -> Report:
    """Measure the store's price in turns, and then the server's."""
    plan = _QUICK if is_quick else _FULL
    with ExitStack() as stack:
        before_tree = stack.enter_context(tree_of(BEFORE_CAMPAIGNS))
        before = stack.enter_context(measuring_child(before_tree, OLD_LOAD))
        now = stack.enter_context(measuring_child(ROOT, feature_load.__name__))
        for child in (before, now):
            child.price("none", plan.batches)
        pairs = [_pair(before, now, plan) for _ in range(plan.rounds)]
        turns = [{name: now.price(name, plan.batches) for name in FEATURES} for _ in range(3 * plan.rounds)]
    prices = {name: [turn[name] for turn in turns] for name in FEATURES}
    with tree_of(BEFORE_CAMPAIGNS) as tree:
        requests = _requests(tree, plan)
        before_campaigns = _instructions(tree, OLD_LOAD)
    with tree_of(BEFORE_LIMITS) as tree:
        before_limits = _instructions(tree, OLD_LOAD)
    counts = {name: _instructions(ROOT, feature_load.__name__, name) for name in LIFE}
    return _report(plan, pairs, prices, requests, _Instructions(before_limits, before_campaigns, counts))


@contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """Give the files of an older version, with this version's price_load.py among them.

    Raises:
        NotRun: its commit is not here, as in a shallow clone.
    """
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        raise NotRun(f"the commit {commit} is not in this repository")
    with tempfile.TemporaryDirectory(prefix="sharq-bench-") as name:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(name, filter="data")
        program = Path(price_load.__file__).read_text().replace(_IMPORT, _OLD_IMPORT)
        (Path(name) / "benchmarks" / "price_load.py").write_text(program)
        yield Path(name)


@contextmanager
def measuring_child(tree: Path, module: str, *arguments: str) -> Iterator[_Child]:
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield _Child(process)
    finally:
        assert process.stdin and process.stdout
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def _pair(before: _Child, now: _Child, plan: _Plan) -> tuple[Price, Price]:
    """Measure both in short turns; the least price of each is the one that the machine disturbed least."""
    turns: tuple[list[Price], list[Price]] = ([], [])
    for number in range(_TURNS):
        for index in (0, 1) if number % 2 else (1, 0):
            turns[index].append((before, now)[index].price("none", plan.batches))
    return _least(turns[0]), _least(turns[1])


def _least(prices: Sequence[Price]) -> Price:
    return Price(min(price.cpu_us for price in prices), median(price.memory_bytes for price in prices))


def _instructions(tree: Path, module: str, feature: str = "none") -> float:
    """Return the processor instructions of the store for a job, which no other load disturbs.

    Raises:
        NotRun: valgrind is not installed.
    """
    if not shutil.which("valgrind"):
        raise NotRun("valgrind is not installed (on Debian and Ubuntu: apt-get install valgrind)")
    few, many = (_count(tree, module, feature, rounds) for rounds in _COUNTED_ROUNDS)
    return (many - few) / (_COUNTED_ROUNDS[1] - _COUNTED_ROUNDS[0]) / (_COUNTED_BATCHES * price_load.BATCH)


def _count(tree: Path, module: str, feature: str, rounds: int) -> int:
    """Return the instructions of a store from its start to its end, with this number of rounds between."""
    with tempfile.TemporaryDirectory(prefix="sharq-bench-") as name:
        program, counts = Path(name) / "server", Path(name) / "counts"
        program.write_text(
            "#!/bin/sh\nexec valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null "
            f'--log-file={counts} {SERVER} "$@"\n'
        )
        program.chmod(0o700)
        with measuring_child(tree, module, str(program)) as child:
            for _ in range(rounds):
                child.price(feature, _COUNTED_BATCHES)
        found = re.search(r"I\s+refs:\s+([\d,]+)", counts.read_text())
    if found is None:
        raise Spoiled("valgrind counted nothing")
    return int(found[1].replace(",", ""))


def _requests(tree: Path, plan: _Plan) -> list[tuple[float, float]]:
    """CPU time of the server in µs for a single enqueue: of the version before, and of this one."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                sharq_server(stack.enter_context(store(is_durable=False)).url, {"PYTHONPATH": str(path)})
            )
            for path in (tree, ROOT)
        ]
        spent: list[list[float]] = [[], []]
        for number in range(plan.rounds * _REQUEST_TURNS):
            for index in (0, 1) if number % 2 else (1, 0):
                meter = CpuMeter(servers[index].pid)
                words = singles.enqueue_words(f"r{number}")
                summary = wrk.run(servers[index].url, "enqueue", _CONNECTIONS, _REQUEST_S, *words)
                spent[index].append(meter.spent_us()[0] / summary.requests)
    before, now = (
        [min(own[first : first + _REQUEST_TURNS]) for first in range(0, len(own), _REQUEST_TURNS)]
        for own in spent
    )
    return list(zip(before, now, strict=True))


def _report(
    plan: _Plan,
    pairs: list[tuple[Price, Price]],
    prices: dict[str, list[Price]],
    requests: list[tuple[float, float]],
    instructions: _Instructions,
) -> Report:
    return Report(
        name="features",
        question="What do the features cost the store: a job that uses one, and a job that uses none?",
        parameters={
            "jobs": f"batches of {price_load.BATCH} on one partition, {price_load.QUEUES:,} queues, 100-byte payloads",
            "rounds": f"{plan.rounds} of {_TURNS} turns with {plan.batches * price_load.BATCH:,} jobs, and of "
            f"{_REQUEST_TURNS} with {_REQUEST_S:g} s of single enqueues on {_CONNECTIONS} connections",
            "version before": f"{BEFORE_CAMPAIGNS[:12]}; without limits: {BEFORE_LIMITS[:12]}",
        },
        rows=_rows(pairs, requests, instructions),
        grids=[_price_grid(prices), _instructions_grid(instructions)],
        notes=[
            "Instructions are counted by valgrind. No load beside it changes them, so they show a difference of 2 % on "
            "any machine; the CPU times do so on a quiet one only.",
            "The CPU time is that of the store's main thread, for the three calls of a job together; a job that is "
            "released once needs five.",
            "The two versions take turns, and a round counts the least CPU time of its turns, because others on the "
            "machine only slow a turn down.",
        ],
    )


def _rows(
    pairs: list[tuple[Price, Price]], requests: list[tuple[float, float]], instructions: _Instructions
) -> list[Row]:
    return [
        targets.FEATURES_INSTRUCTIONS.row(Spread.of([instructions.plain / instructions.before_campaigns])),
        targets.LIMITS_INSTRUCTIONS.row(Spread.of([instructions.plain / instructions.before_limits])),
        targets.FEATURES_CPU.row(Spread.of([now.cpu_us / before.cpu_us for before, now in pairs])),
        targets.FEATURES_BYTES.row(
            Spread.of([now.memory_bytes / before.memory_bytes for before, now in pairs])
        ),
        targets.FEATURES_HTTP.row(Spread.of([now / before for before, now in requests])),
        Row("store CPU of a job without features", "µs", Spread.of([now.cpu_us for _, now in pairs])),
        Row(
            "store instructions of a job without features",
            "instructions",
            Spread.of([instructions.plain]),
        ),
        Row("server CPU of a single enqueue", "µs", Spread.of([now for _, now in requests])),
    ]


def _price_grid(prices: dict[str, list[Price]]) -> Grid:
    none_us = min(price.cpu_us for price in prices["none"])
    none_bytes = median(price.memory_bytes for price in prices["none"])
    grid: list[tuple[Cell, ...]] = []
    for name, own in prices.items():
        cpu_us = min(price.cpu_us for price in own)
        memory_bytes = median(price.memory_bytes for price in own)
        grid.append((name, cpu_us, cpu_us / none_us, memory_bytes, memory_bytes - none_bytes))
    return Grid(
        "By feature (a job: enqueued, leased and finished; CPU time of the best turn)",
        ("feature", "CPU µs", "of none", "bytes", "more bytes than none"),
        grid,
    )


def _instructions_grid(instructions: _Instructions) -> Grid:
    return Grid(
        "By what a job says of its life (instructions of the store)",
        ("job", "instructions", "of none"),
        [(name, count, count / instructions.plain) for name, count in instructions.by_feature.items()],
    )
