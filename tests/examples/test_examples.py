"""The examples keep what they promise, and notice when a limit is gone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from examples.__main__ import own_server
from sharq_client import AsyncClient, QueueSettings
from tests.examples.judges import JUDGES
from tests.examples.runs import ROOT, run_example
from tests.support.extent import is_full


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server for the examples of this module; their types differ."""
    with own_server() as started:
        yield started


@pytest.mark.alone
async def test_every_example_keeps_its_promises(url: str, tmp_path: Path) -> None:
    """Run them side by side, which takes as long as the longest one."""
    runs = await asyncio.gather(*(run_example(name, tmp_path, url) for name in JUDGES))
    failures: list[Exception] = []
    for run in runs:
        try:
            assert run.exit_code == 0, run.output
            assert run.output.splitlines()[-1] == "VERDICT: every promise was kept"
            JUDGES[run.name](run)
        except Exception as error:  # noqa: BLE001 - a broken example does not hide another one
            error.add_note(f"{run.name}:\n{run.output}")
            failures.append(error)
    if failures:
        raise ExceptionGroup("examples that broke their promises", failures)


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
