"""The examples keep what they promise, and notice when a limit is gone."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from examples.__main__ import own_server
from sharq_client import AsyncClient, Client, QueueSettings
from tests.clients.typescript.conftest import workspace
from tests.clients.typescript.workspace import Workspace
from tests.examples.framework_judges import FRAMEWORKS
from tests.examples.judges import JUDGES
from tests.examples.runs import ROOT, Run, run_example
from tests.support.extent import is_full

__all__ = ["workspace"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server for the examples of this module; their types differ."""
    with own_server() as started:
        yield started


@pytest.fixture
def node_programs(workspace: Workspace, tmp_path: Path) -> Path:
    """The programs of the example for Node, with the client that was built."""
    programs = tmp_path / "programs"
    shutil.copytree(ROOT / "examples" / "node", programs, ignore=shutil.ignore_patterns("node_modules"))
    (programs / "node_modules").mkdir()
    (programs / "node_modules" / "sharq-client").symlink_to(workspace.client)
    return programs


def assert_kept(runs: list[Run], judge: Callable[[Run], None]) -> None:
    """Hold each run against its promises; a broken example does not hide another one."""
    failures: list[Exception] = []
    for run in runs:
        try:
            assert run.exit_code == 0, run.output
            assert run.output.splitlines()[-1] == "VERDICT: every promise was kept"
            judge(run)
        except Exception as error:  # noqa: BLE001
            error.add_note(f"{run.name}:\n{run.output}")
            failures.append(error)
    if failures:
        raise ExceptionGroup("examples that broke their promises", failures)


@pytest.mark.alone
async def test_every_example_keeps_its_promises(url: str, tmp_path: Path) -> None:
    """Run them side by side, which takes as long as the longest one."""
    runs = await asyncio.gather(*(run_example(name, tmp_path, url) for name in JUDGES))
    assert_kept(runs, lambda run: JUDGES[run.name](run))


@pytest.mark.alone
async def test_every_example_of_a_framework_keeps_its_promises(
    url: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run them side by side, too, and apart from the others, whose rates a busy machine would not deliver."""
    names = set(FRAMEWORKS)
    if importlib.util.find_spec("django") is None:
        names.remove("django")  # Django 6 needs Python 3.12
    if shutil.which("node") is None:
        names.remove("node")  # tests/clients/typescript is skipped, or fails in CI
    else:
        monkeypatch.setenv("NODE_PROGRAMS", os.fspath(request.getfixturevalue("node_programs")))
    async with asyncio.TaskGroup() as runs:
        for name in names:
            runs.create_task(run_framework(name, url, tmp_path))


async def run_framework(name: str, url: str, directory: Path) -> None:
    """Run an example of a framework, and hold it against its promises."""
    example = FRAMEWORKS[name]

    def judge(run: Run) -> None:
        example.judge(run)
        assert_nothing_left(url, example.queue_types)

    run = await run_example(name, directory, url, ["--seconds", f"{example.seconds}"])
    assert_kept([run], judge)


def assert_nothing_left(url: str, queue_types: list[str]) -> None:
    """Fail if a type has jobs."""
    with Client(url) as client:
        rows = {row.queue_type: row for row in client.control.types()}
    for queue_type in queue_types:
        row = rows[queue_type]
        assert (row.queued, row.delayed, row.leased, row.dead) == (0, 0, 0, 0), row


BREAKERS: dict[str, Callable[[AsyncClient], Awaitable[object]]] = {
    "crawler": lambda client: client.control.set_queue(
        "crawl", "news.example", QueueSettings(interval=0, max_leased=100)
    ),
    "llm": lambda client: client.control.clear_type("llm~large"),
    "sms": lambda client: client.control.clear_type("sms~skytel"),
    "voice": lambda client: client.control.clear_type("calls~trunk1"),
    "webhooks": lambda client: client.control.set_queue(
        "webhooks", "limited", QueueSettings(interval=0, max_leased=100)
    ),
}
"""The call that takes a limit away from each example."""

BROKEN = {
    "crawler": "news.example is visited every 0.1 s at most",
    "llm": "the provider never has to refuse",
    "sms": "skytel never has to refuse",
    "voice": "the trunk gets at most 10 new calls a second",
    "webhooks": "no customer gets more than 10 a second",
}
"""The promise that is broken then."""


@pytest.mark.skipif(not is_full(), reason="half a minute; make test FULL=1 ARGS=tests/examples")
async def test_every_example_notices_that_a_limit_is_gone(url: str, tmp_path: Path) -> None:
    async with AsyncClient(url) as client:

        async def take_limits_away() -> None:
            while True:
                await asyncio.gather(*(take_away(client) for take_away in BREAKERS.values()))
                await asyncio.sleep(0.05)

        breaking = asyncio.create_task(take_limits_away())
        short = ["--seconds", "2"]
        runs = await asyncio.gather(*(run_example(name, tmp_path, url, short) for name in BREAKERS))
        breaking.cancel()
        await asyncio.gather(breaking, return_exceptions=True)
    assert {run.name: run.exit_code for run in runs} == dict.fromkeys(BREAKERS, 1), [
        run.output for run in runs
    ]
    for run in runs:
        assert BROKEN[run.name] in run.output.splitlines()[-1], run.output


async def test_an_example_starts_and_stops_a_server_of_its_own(tmp_path: Path) -> None:
    run = await run_example("webhooks", tmp_path, arguments=["--seconds", "1"])
    assert run.output.splitlines()[-1].startswith("VERDICT: "), run.output
    assert run.arrivals


def test_the_runner_names_the_examples() -> None:
    command = [sys.executable, "-m", "examples"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.returncode == 0 and "crawler, " in listed.stdout
    unknown = subprocess.run([*command, "smms"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert unknown.returncode == 2 and "NAME is one of" in unknown.stdout
    assert unknown.stderr.startswith("there is no example '")
