"""Tests that run in forks of the process that has collected them: nothing is lost, and each ends as it would alone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.runs import Runs

ROOT = Path(__file__).parents[3]

PROJECT = """
import os
import warnings
from pathlib import Path
import pytest

@pytest.fixture(scope="module")
def number(tmp_path_factory):
    yield os.environ["PYTEST_XDIST_WORKER"]
    Path(f"torn-down-{os.getpid()}").touch()

def test_ends_its_process(number):
    os._exit(7)

@pytest.mark.parametrize("example", range(20))
def test_passes(example, number, tmp_path):
    Path(f"{number}-{example}").touch()
    print("seldom seen")

def test_fails(number):
    print("said before the failure")
    assert number == "nobody"

def test_is_skipped(number):
    pytest.skip("for a reason")

def test_warns(number):
    warnings.warn("mind this", UserWarning)
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the project's tests in three forks."""
    (folder / "test_it.py").write_text(PROJECT)
    (folder / "pytest.ini").touch()
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:schemathesis", "-p", "tests.support.forks"]
    return subprocess.run(
        [*command, "--forks", "3", *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_test_is_run_once_and_reported_with_what_it_said(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "2 failed, 21 passed, 1 skipped, 1 warning" in done.stdout, done.stdout
    assert "said before the failure" in done.stdout and "UserWarning: mind this" in done.stdout
    assert "seldom seen" not in done.stdout and "for a reason" in done.stdout
    assert "the process of this test ended with status 7" in done.stdout
    runs = [path.name.split("-") for path in tmp_path.glob("gw*-*")]
    assert sorted(int(example) for _, example in runs) == list(range(20))
    assert {number for number, _ in runs} == {"gw0", "gw1", "gw2"}
    assert len(list(tmp_path.glob("torn-down-*"))) == 3  # one of the four processes has ended itself


def test_the_first_failure_may_be_the_end(tmp_path: Path) -> None:
    done = run(tmp_path, "-x", "-k", "fails or passes")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "stopping after 1 failures" in done.stdout, done.stdout
    failed = re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE)
    assert failed == ["test_fails"], done.stdout
    processes = Counter(path.name.split("-")[0] for path in tmp_path.glob("gw*-*"))
    assert len(list(tmp_path.glob("torn-down-*"))) >= len(processes)


def test_a_process_without_tests_takes_the_end_of_the_longest_run() -> None:
    runs = Runs(10, 2)
    assert [runs.take(0) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert [runs.take(0) for _ in range(2)] == [7, 8]
    assert [runs.take(1) for _ in range(3)] == [5, 6, 9]
    assert runs.take(0) is None and runs.take(1) is None


def test_tests_that_were_put_back_are_taken_first() -> None:
    runs = Runs(6, 2)
    taken = [runs.take(0), runs.take(0)]
    assert taken == [0, 1]
    runs.put_back(0, [0, 1])
    assert [runs.take(0) for _ in range(3)] == [0, 1, 2]


def test_no_test_is_taken_any_more() -> None:
    runs = Runs(6, 3)
    runs.clear()
    assert [runs.take(number) for number in range(3)] == [None] * 3
