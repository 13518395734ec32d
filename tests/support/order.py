"""Puts the tests in an order in which no test process has long tests left when the others have ended.

pytest-xdist gives each process an equal run of the list, and a process that has ended takes the end of another's run
(`--dist worksteal`). Each run therefore begins with its share of the modules that have tests marked `slow`, and ends
with quick tests.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.support.alone import is_alone

TOGETHER = {"console"}
"""Folders whose modules share a cluster and a browser. One process runs them, which starts these once."""

AS_LONG_AS_A_SLOW_ONE = 8
"""Tests of such a folder that together take as long as one that is marked `slow`."""


def is_slow(item: pytest.Item) -> bool:
    """Return True if a test takes more than about ten seconds."""
    return item.get_closest_marker("slow") is not None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the tests that must be alone, where no long test keeps them waiting."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput is None:
        items.sort(key=is_alone, reverse=True)
    else:
        items[:] = in_runs(items, workerinput["workercount"])


def in_runs(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """Return the tests as that many runs of about equal length, each of which begins with long ones.

    The tests of a module stay together, because they share fixtures.
    """
    alone = [item for item in items if is_alone(item)]
    others = (item for item in items if not is_alone(item))
    modules = [list(tests) for _, tests in itertools.groupby(others, key=_home)]
    long = [tests for tests in modules if any(map(is_slow, tests))]
    quick = [item for tests in modules if not any(map(is_slow, tests)) for item in tests]
    runs = [alone, *([] for _ in range(processes - 1))]
    for tests in sorted(long, key=_weight, reverse=True):
        min(runs, key=_weight).extend(tests)
    taken, ordered = 0, list[pytest.Item]()
    for number, run in enumerate(runs):
        room = (len(items) - len(ordered)) // (processes - number) - len(run)
        ordered += run + quick[taken : taken + max(0, room)]
        taken += max(0, room)
    return ordered + quick[taken:]


def _home(item: pytest.Item) -> Path:
    return item.path.parent if item.path.parent.name in TOGETHER else item.path


def _weight(tests: list[pytest.Item]) -> int:
    """Return how long tests take together, in slow ones."""
    together = sum(item.path.parent.name in TOGETHER for item in tests)
    return sum(is_slow(item) or is_alone(item) for item in tests) + together // AS_LONG_AS_A_SLOW_ONE
