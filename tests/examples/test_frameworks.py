"""The examples of web frameworks: each starts the framework's server and a worker, and a server of SHARQ is given.

What arrived at the other side is judged once more, from the log of the run; afterwards nothing is left on the server.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.__main__ import own_server
from sharq_client import Client
from tests.clients.typescript.conftest import workspace
from tests.clients.typescript.workspace import Workspace
from tests.examples.judges import assert_paced
from tests.examples.runs import ROOT, Run, run_example

__all__ = ["workspace"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server for the examples of this module; their types differ."""
    with own_server() as started:
        yield started


def of_customer(run: Run, customer: str, *statuses: int) -> list[dict[str, object]]:
    return [
        each
        for each in run.arrivals
        if each["customer"] == customer and (not statuses or each["status"] in statuses)
    ]


def judge_flask(run: Run) -> None:
    """Each order is notified once, after one failure, at the rate of its customer."""
    assert Counter(each["status"] for each in run.arrivals) == {200: 10, 503: 1}
    taken = Counter(each["order_id"] for each in run.arrivals if each["status"] == 200)
    assert len(taken) == 10
    for customer in ("acme", "globex"):
        assert_paced(of_customer(run, customer), 5, 1.1)


def judge_fastapi(run: Run) -> None:
    """Each caller has its own report, some after a refusal, at the rate of the customer."""
    assert Counter(each["customer"] for each in run.arrivals) == {"acme": 8, "globex": 1}
    for each in run.arrivals:
        assert each["result"] == {"file": f"{each['customer']}-{each['month']}.csv", "rows": 9_000}
    assert any(each["refusals"] for each in run.arrivals)
    assert_paced(sorted(of_customer(run, "acme"), key=lambda each: float(str(each["at"]))), 4, 1)


def judge_django(run: Run) -> None:
    """Each text is sent once at the rate of its customer, and a code before the news that were posted earlier."""
    sent = [each for each in run.arrivals if each["status"] == 200]
    assert Counter(each["customer"] for each in sent) == {"acme": 6, "globex": 11}
    assert len({(each["customer"], each["text"]) for each in sent}) == len(sent)
    globex = [each["text"] for each in of_customer(run, "globex", 200)]
    assert globex.index("code") < len(globex) - 1
    assert_paced(of_customer(run, "acme"), 5, 1.1)
    assert_paced(of_customer(run, "globex"), 10, 1.1)


def judge_node(run: Run) -> None:
    """Each mail is sent once at the rate of its customer; a pause holds one customer only."""
    sent = [each for each in run.arrivals if each["status"] == 200]
    assert Counter(each["customer"] for each in sent) == {"acme": 10, "globex": 10, "initech": 1}
    assert len({(each["customer"], each["subject"]) for each in sent}) == len(sent)
    assert Counter(each["status"] for each in run.arrivals)[400] == 1
    early = of_customer(run, "globex", 429)
    assert 1 <= len(early) <= 3
    assert_paced(of_customer(run, "acme"), 5, 1.1)
    assert_paced(of_customer(run, "globex"), 5, 1.1)


def judge(run: Run, url: str, queue_types: list[str]) -> None:
    """Hold a run against its promises."""
    assert run.exit_code == 0, run.output
    assert run.output.splitlines()[-1] == "VERDICT: every promise was kept", run.output
    {"flask": judge_flask, "fastapi": judge_fastapi, "django": judge_django, "node": judge_node}[run.name](
        run
    )
    with Client(url) as client:
        rows = {row.queue_type: row for row in client.control.types()}
    for queue_type in queue_types:
        row = rows[queue_type]
        assert (row.queued, row.delayed, row.leased, row.dead) == (0, 0, 0, 0), row


@pytest.mark.alone
async def test_flask_and_fastapi(url: str, tmp_path: Path) -> None:
    flask, fastapi = await asyncio.gather(
        run_example("flask", tmp_path, url, ["--seconds", "1"]),
        run_example("fastapi", tmp_path, url, ["--seconds", "2"]),
    )
    judge(flask, url, ["notifications"])
    judge(fastapi, url, ["reports"])


@pytest.mark.alone
async def test_django(url: str, tmp_path: Path) -> None:
    pytest.importorskip("django", reason="Django 6 needs Python 3.12 or newer")
    run = await run_example("django", tmp_path, url, ["--seconds", "1"])
    judge(run, url, ["texts", "default"])


@pytest.mark.alone
async def test_node(url: str, tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    shutil.copytree(ROOT / "examples" / "node", programs, ignore=shutil.ignore_patterns("node_modules"))
    (programs / "node_modules").mkdir()
    (programs / "node_modules" / "sharq-client").symlink_to(workspace.client)
    monkeypatch.setenv("NODE_PROGRAMS", os.fspath(programs))
    run = await run_example("node", tmp_path, url, ["--seconds", "2"])
    judge(run, url, ["mails"])
