"""The order of the tests: alone ones first, and long modules at the beginning of each test process's run."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import cast

import pytest

from tests.support.order import in_runs

PROCESSES = 3


class Listed:
    """A test in a list, as far as the order looks at it."""

    def __init__(self, path: str, *marks: str) -> None:
        self.path = Path("tests") / path
        self.marks = marks

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.marks else None


def listed(path: str, *counts: int) -> list[Listed]:
    """Return tests of a module, by their marks: so many without, slow ones, and alone ones."""
    marks = ((), ("slow",), ("alone",))
    return [Listed(path, *mark) for mark, count in zip(marks, counts, strict=False) for _ in range(count)]


TESTS = [
    *listed("api/test_quick.py", 40),
    *listed("api/test_some_are_slow.py", 5, 1),
    *listed("cluster/test_slow.py", 0, 4),
    *listed("cluster/test_others.py", 30),
    *listed("console/test_a.py", 2),
    *listed("console/test_b.py", 2, 2),
    *listed("examples/test_alone.py", 3, 0, 2),
    *listed("unit/test_quick.py", 10),
]


def runs(processes: int = PROCESSES) -> list[list[Listed]]:
    """Return the equal runs that the processes make of the list."""
    found = cast("list[Listed]", in_runs(cast("list[pytest.Item]", TESTS), processes))
    assert Counter(map(id, found)) == Counter(map(id, TESTS))
    split: list[list[Listed]] = []
    taken = 0
    for number in range(processes):
        count = (len(found) - taken) // (processes - number)
        split.append(found[taken : taken + count])
        taken += count
    return split


def test_each_run_begins_with_modules_that_have_slow_tests_and_ends_with_others() -> None:
    begins = {next(iter(run)).path.name for run in runs()}
    assert begins == {"test_alone.py", "test_slow.py", "test_a.py"}
    for run in runs():
        last_slow = max(number for number, test in enumerate(run) if test.marks)
        assert last_slow < len(run) / 2


def test_tests_that_must_be_alone_come_first_in_a_row() -> None:
    first = runs()[0]
    assert [test.marks for test in first[:3]] == [("alone",), ("alone",), ()]


def test_tests_of_a_module_and_of_the_console_stay_together() -> None:
    homes = [
        test.path.parent if test.path.parent.name == "console" else test.path
        for test in runs(1)[0]
        if "alone" not in test.marks
    ]
    in_rows = [home for home, _ in groupby(homes)]
    assert len(in_rows) == len(set(in_rows))


def test_the_console_begins_a_run_because_one_process_has_all_of_it() -> None:
    tests = [
        *listed("cluster/test_slow.py", 0, 4),
        *listed("console/test_a.py", 99, 1),
        *listed("z/test_z.py", 0, 5),
    ]
    found = cast("list[Listed]", in_runs(cast("list[pytest.Item]", tests), 2))
    assert [test.path.parent.name for test in (found[0], found[-1])] == ["console", "cluster"]


def test_more_processes_than_tests_are_no_fault() -> None:
    assert sum(map(len, runs(200))) == len(TESTS)
