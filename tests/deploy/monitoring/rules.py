"""Reads the alert rules and their tests as data, and runs promtool."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.tools import missing_tool

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "prometheus"
TEST_FILES = ("alerts_test.yml", "budget_test.yml")
METRIC = re.compile(r"\bsharq_\w+")


def groups() -> list[dict[str, Any]]:
    """Return the groups of alerts.yml, in order."""
    parsed: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return parsed


RULES = [rule for group in groups() for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]


def operands(promql: str) -> Iterator[str]:
    """Yield the operands that the parts of an alert compare with a number."""
    for part in re.split(r"\sand\s", promql):
        found = re.fullmatch(r"\s*(.+?)\s*[<>]\s*[0-9.]+\s*", part, re.DOTALL)
        assert found, f"an alert is `operand comparison number`, joined by `and`: {part}"
        yield found[1]


def comparison(promql: str) -> str:
    """Return the comparison of an alert's first part, such as `> 300`."""
    found = re.search(r"[<>] [0-9.]+$", promql, re.MULTILINE)
    assert found, f"each comparison ends its line: {promql}"
    return found[0]


def threshold(promql: str) -> float:
    """Return the number that an alert's first part compares with."""
    return float(comparison(promql)[2:])


def run_promtool(words: Sequence[str], folder: Path) -> None:
    """Run promtool in a folder.

    Raises:
        AssertionError: it found something.
    """
    promtool = shutil.which("promtool") or missing_tool("promtool")
    done = subprocess.run(
        [promtool, *words], cwd=folder, check=False, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
