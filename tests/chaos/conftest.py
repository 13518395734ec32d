"""Fixtures of the failure tests, their options, and the table at their end.

Most of them run only when CHAOS is "quick" or "full" in the environment: `make chaos` sets it. A quick run has several
test processes, because the scenarios wait for more than half of their time; a full run has one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.report import Report
from tests.chaos.stage import Stage, is_quick, stage
from tests.support.stores.server import AOF, WRITTEN_AOF, running_store
from tests.support.stores.shifted_clock import ShiftedClock

collect_ignore = [] if "CHAOS" in os.environ else ["attacks", "promises", "stores"]
collect_ignore_glob = [] if "CHAOS" in os.environ else ["test_*.py"]
"""What remains without CHAOS are the tests of the checker."""

SEED = pytest.StashKey[int]()
REPORT = pytest.StashKey[Report]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="of the clients' choices; else a random one")
    parser.addoption("--save", action="store_true", help="put the table of counts into docs/guarantees.md")


def pytest_configure(config: pytest.Config) -> None:
    given = getattr(config, "workerinput", {}).get("seed", config.getoption("--seed", None))
    config.stash[SEED] = random.randrange(1_000_000) if given is None else given
    config.stash[REPORT] = Report(config.stash[SEED], "short" if is_quick() else "long")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """All test processes of a run have one seed."""
    node.workerinput["seed"] = node.config.stash[SEED]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test process hands its rows to the one that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["rows"] = session.config.stash[REPORT].packed_rows()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A test process that crashed handed nothing over."""
    rows = getattr(node, "workeroutput", {}).get("rows")
    if rows is not None:
        node.config.stash[REPORT].take_rows(rows)


def pytest_report_header(config: pytest.Config) -> str:
    return f"chaos: --seed={config.stash[SEED]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report = config.stash[REPORT]
    if report:
        terminalreporter.write_line(report.table())
        if config.getoption("--save", False):
            report.save()


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """The run's seed of the clients' choices."""
    return pytestconfig.stash[SEED]


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """The run's table of counts."""
    return pytestconfig.stash[REPORT]


@pytest.fixture
def own_stage(seed: int, report: Report) -> Iterator[Stage]:
    """Two routers and three shards on a Valkey with an append-only file; all of them the test's own."""
    with running_store("valkey", *WRITTEN_AOF) as store, stage(store, seed, report) as found:
        yield found


@pytest.fixture(scope="module")
def stage_of_module(seed: int, report: Report) -> Iterator[Stage]:
    """The same for a whole module."""
    with running_store("valkey", *WRITTEN_AOF) as store, stage(store, seed, report) as found:
        yield found


@pytest.fixture
def shared_stage(stage_of_module: Stage) -> Stage:
    """The same for a whole module; whatever a test ended, it runs again."""
    stage_of_module.repair()
    return stage_of_module


@pytest.fixture
def clock(tmp_path: Path) -> ShiftedClock:
    """A clock that the test sets."""
    return ShiftedClock(tmp_path)


@pytest.fixture
def stage_by_clock(clock: ShiftedClock, seed: int, report: Report) -> Iterator[Stage]:
    """A stage on a store that goes by that clock."""
    with running_store("valkey", *AOF, environ=clock.environ) as store, stage(store, seed, report) as found:
        yield found
