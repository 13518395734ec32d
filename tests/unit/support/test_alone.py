"""The room that test processes share: many at a time, or one alone."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.support.alone import room

SOON_S = 0.2
DEADLINE_S = 20.0


class Guest:
    """A holder of the room in a thread of its own."""

    def __init__(self, threads: ThreadPoolExecutor, folder: Path, *, is_alone: bool) -> None:
        self.inside, self._leave = Event(), Event()
        self._stay: Future[None] = threads.submit(self._hold, folder, is_alone)

    def _hold(self, folder: Path, is_alone: bool) -> None:
        with room(folder, is_alone=is_alone):
            self.inside.set()
            assert self._leave.wait(DEADLINE_S)

    def leave(self) -> None:
        self._leave.set()
        self._stay.result(DEADLINE_S)


def test_guests_who_do_not_mind_others_share_the_room(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        guests = [Guest(threads, tmp_path, is_alone=False) for _ in range(3)]
        assert all(guest.inside.wait(DEADLINE_S) for guest in guests)
        for guest in guests:
            guest.leave()


@pytest.mark.parametrize("is_alone", [True, False])
def test_nobody_is_beside_a_guest_who_is_alone(tmp_path: Path, is_alone: bool) -> None:
    with ThreadPoolExecutor() as threads:
        first = Guest(threads, tmp_path, is_alone=True)
        assert first.inside.wait(DEADLINE_S)
        second = Guest(threads, tmp_path, is_alone=is_alone)
        assert not second.inside.wait(SOON_S)
        first.leave()
        assert second.inside.wait(DEADLINE_S)
        second.leave()


def test_a_guest_who_waits_to_be_alone_is_not_passed_by_new_ones(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        before = Guest(threads, tmp_path, is_alone=False)
        assert before.inside.wait(DEADLINE_S)
        alone = Guest(threads, tmp_path, is_alone=True)
        assert not alone.inside.wait(SOON_S)
        after = Guest(threads, tmp_path, is_alone=False)
        assert not after.inside.wait(SOON_S)
        before.leave()
        assert alone.inside.wait(DEADLINE_S)
        assert not after.inside.is_set()
        alone.leave()
        assert after.inside.wait(DEADLINE_S)
        after.leave()


PROJECT = {
    "conftest.py": """
from tests.support.alone import pytest_runtest_protocol
from tests.support.order import pytest_collection_modifyitems
""",
    "pytest.ini": """
[pytest]
markers =
    alone
    slow
""",
    "test_times.py": """
import time
from pathlib import Path
import pytest

def stay(name):
    began = time.monotonic()
    time.sleep(0.1)
    Path(f"{began}-{time.monotonic()}").write_text(name)

@pytest.mark.parametrize("number", range(8))
def test_beside_others(number):
    stay("beside others")

@pytest.mark.alone
@pytest.mark.parametrize("number", range(2))
def test_alone(number):
    stay("alone")
""",
}


def test_tests_that_must_be_alone_run_in_a_row_and_nothing_beside_them(tmp_path: Path) -> None:
    for name, text in PROJECT.items():
        (tmp_path / name).write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "3",
        "--dist",
        "worksteal",
        "-p",
        "xdist",
    ]
    # Each of the four processes would load every plugin that is installed, for most of its time.
    environ = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    stays = [
        (float(began), float(ended), path.read_text())
        for path in tmp_path.glob("[0-9]*-*")
        for began, ended in [path.name.split("-")]
    ]
    alone = [(began, ended) for began, ended, name in stays if name == "alone"]
    assert (len(stays), len(alone)) == (10, 2)
    first, last = min(began for began, _ in alone), max(ended for _, ended in alone)
    assert not [name for began, ended, name in stays if name != "alone" and ended > first and began < last]
