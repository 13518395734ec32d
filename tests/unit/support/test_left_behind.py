"""The collection after each test: what a test leaves open fails that very test, not a later one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
from tests.conftest import collected
"""

INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""

SOCKET_IN_A_CYCLE = """
import socket
import pytest

class Holder:
    def __init__(self):
        self.socket, self.cycle = socket.socket(), self

@pytest.fixture
def holder():
    return Holder()

def test_leaves_what_a_fixture_holds(holder):
    pass

def test_leaves_what_it_has_made():
    Holder()

def test_leaves_nothing():
    pass
"""


def test_what_a_test_leaves_open_fails_that_very_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text(INI)
    (tmp_path / "test_it.py").write_text(SOCKET_IN_A_CYCLE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-ra",
        "-W",
        "error",
        "-p",
        "no:schemathesis",
        "-p",
        "no:valkey",
    ]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    wrong = re.findall(r"^ERROR test_it.py::(\w+)", done.stdout, re.MULTILINE)
    assert wrong == ["test_leaves_what_a_fixture_holds", "test_leaves_what_it_has_made"], done.stdout
    assert "3 passed, 2 errors" in done.stdout
