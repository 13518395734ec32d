"""A program that uses the clients passes the strict checks of mypy and of pyright."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "typed_program.py"
DEADLINE_S = 110.0

MISTAKES = """
from sharq_client import AsyncClient, Client, EnqueueJob

def use(client: Client) -> None:
    client.dequeue("sms").job_id
    client.enqueue("sms")
    EnqueueJob(queue_type="sms", queue_id="acme", payload=1, intervall=5)
    client.enqueue_many(iter([]))[0]
"""
"""Four mistakes that a type checker must find, one on each of the last lines."""


def strict(tool: str, folder: Path) -> list[str]:
    if tool == "mypy":
        return [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), "program.py"]
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    return [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "program.py"]


def check(tool: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        strict(tool, folder), cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["mypy", "basedpyright"])
def test_program_passes_and_its_mistakes_are_found(tool: str, tmp_path: Path) -> None:
    shutil.copy(PROGRAM, tmp_path / "program.py")
    passed = check(tool, tmp_path)
    assert passed.returncode == 0, passed.stdout
    (tmp_path / "program.py").write_text(MISTAKES)
    failed = check(tool, tmp_path)
    assert failed.returncode == 1
    for line in (5, 6, 7, 8):
        assert f"program.py:{line}:" in failed.stdout, failed.stdout
