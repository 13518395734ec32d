"""A program that uses the clients passes the strict checks of mypy and of pyright."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "typed_program.py"
DEADLINE_S = 110.0

MISTAKES = """
from sharq_client import Client, EnqueueJob

def use(client: Client) -> None:
    client.dequeue("sms").job_id
    client.enqueue("sms")
    EnqueueJob(queue_type="sms", queue_id="acme", payload=1, intervall=5)
    client.enqueue_many(iter([]))[0]
"""
"""Four mistakes that a type checker must find, one on each of the last lines."""


def check(tool: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Check all programs of a folder at once, because most of the time goes into the libraries."""
    words = ["mypy", "--strict", "--cache-dir", str(folder / "cache")]
    if tool == "basedpyright":
        (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
        words = ["basedpyright", "--pythonpath", sys.executable]
    programs = sorted(path.name for path in folder.glob("*.py"))
    return subprocess.run(
        [sys.executable, "-m", *words, *programs],
        cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["mypy", "basedpyright"])
def test_program_passes_and_mistakes_are_found(tool: str, tmp_path: Path) -> None:
    shutil.copy(PROGRAM, tmp_path / "program.py")
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    checked = check(tool, tmp_path)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    faults = {int(line) for line in re.findall(r"mistakes\.py:(\d+):.*error", checked.stdout)}
    assert faults == {5, 6, 7, 8}, checked.stdout
    assert "program.py:" not in checked.stdout
