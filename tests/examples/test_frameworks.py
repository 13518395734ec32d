"""The examples of web frameworks, each started as a user does: a server, the framework's server, and a worker.

What arrived at the other side is judged here once more, from the log of the run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sharq_client import Client
from tests.support.processes.servers import running_server

ROOT = Path(__file__).parents[2]
DEADLINE_S = 90.0
LATE_S = 0.15
"""By how much the first arrival of a customer may be late, so that the others seem to come sooner."""


def run(name: str, tmp_path: Path, queue_types: list[str], seconds: float) -> list[dict[str, Any]]:
    """Run an example with a server of the test's own, and return what arrived at the other side, in order.

    Afterwards nothing may be left on the server.
    """
    log = tmp_path / "log"
    command = [sys.executable, "-m", "examples", name, "--seconds", str(seconds), "--log", str(log)]
    with running_server() as server:
        environ = {**os.environ, "SHARQ_URL": server.url}
        done = subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == "VERDICT: every promise was kept"
        with Client(server.url) as client:
            types = {row.queue_type: row for row in client.control.types()}
            for queue_type in queue_types:
                row = types[queue_type]
                assert (row.queued, row.delayed, row.leased, row.dead) == (0, 0, 0, 0), row
    return [json.loads(line) for line in log.read_text().splitlines()]


def check_pace(arrivals: list[dict[str, Any]], customer: str, interval_s: float) -> None:
    """Hold the arrivals of a customer against its rate."""
    times = [arrival["time_s"] for arrival in arrivals if arrival["customer"] == customer]
    assert len(times) > 3
    assert times[-1] - times[0] >= interval_s * (len(times) - 1) - LATE_S
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    assert (
        gaps[len(gaps) // 2] >= interval_s * 0.8
    )  # the one in the middle: one that was late makes the next one short


def test_flask(tmp_path: Path) -> None:
    arrivals = run("flask", tmp_path, ["notifications"], 1)
    taken = Counter(arrival["order_id"] for arrival in arrivals if arrival["status"] == 200)
    assert set(taken.values()) == {1}
    assert len(taken) == 10
    assert Counter(arrival["status"] for arrival in arrivals) == {200: 10, 503: 1}
    check_pace(arrivals, "acme", 0.2)


def test_fastapi(tmp_path: Path) -> None:
    reports = run("fastapi", tmp_path, ["reports"], 2)
    assert [report["customer"] for report in reports] == [*["acme"] * 8, "globex"]
    for report in reports:
        assert report["result"] == {"file": f"{report['customer']}-{report['month']}.csv", "rows": 9_000}
    assert any(report["refusals"] for report in reports)
    ordered = sorted(reports, key=lambda report: float(report["finished_s"]))
    check_pace([{**report, "time_s": report["finished_s"]} for report in ordered], "acme", 0.25)


def test_django(tmp_path: Path) -> None:
    pytest.importorskip("django", reason="Django 6 needs Python 3.12 or newer")
    arrivals = run("django", tmp_path, ["texts", "default"], 1)
    sent = [arrival for arrival in arrivals if arrival["status"] == 200]
    texts = Counter((arrival["customer"], arrival["text"]) for arrival in sent)
    assert set(texts.values()) == {1}
    assert Counter(arrival["customer"] for arrival in sent) == {"acme": 6, "globex": 11}
    globex = [arrival["text"] for arrival in sent if arrival["customer"] == "globex"]
    assert globex.index("code") < len(globex) - 1
    check_pace(arrivals, "globex", 0.1)
