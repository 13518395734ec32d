"""The way of a request through one process is short, and docs/architecture.md names its stations.

A change that makes the way longer must say why, here and in docs/decisions/length-of-the-way.md, which lists the files.
docs/architecture.md tells what the stations do.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from tests.cluster.stations import ROOT, Client, Function, served, trace
from tests.support.nodes.parts import Parts

PAGE = Path("docs/architecture.md")
LIST = Path("docs/decisions/length-of-the-way.md")
ENQUEUE, DEQUEUE = "## The way of an enqueue", "## The way of a dequeue"

MOST = {"enqueue": (25, 76), "dequeue": (36, 121), "finish": (26, 76)}
"""The most files and functions of one request to a warm server."""

_FILE = re.compile(r"`([\w/]+/\w+\.py)`")
_ROW = re.compile(r"^\| `(?P<file>[\w/]+\.py)` \| `(?P<function>[\w.<>]+)` \| \S.*\|$", re.M)


def stations(heading: str) -> list[Function]:
    """The rows of the table under a heading."""
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    section = text.partition(f"{heading}\n")[2].partition("\n## ")[0]
    return [(row["file"], row["function"]) for row in _ROW.finditer(section)]


def list_page() -> str:
    return (ROOT / LIST).read_text(encoding="utf-8")


def listed_files() -> list[str]:
    """The files that the table of the decision lists."""
    text = list_page()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [file for row in rows for file in _FILE.findall(row)]


class Requests:
    """Requests about one queue of unlimited rate that has waiting jobs, as most have in a busy system."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._numbers = itertools.count()
        self.leased: list[dict[str, str]] = []

    async def enqueue(self) -> None:
        job = {"job_id": f"j{next(self._numbers)}", "payload": {"text": "hello"}, "interval": 0}
        await self._client.ask("POST", "/enqueue/sms/q/", job)

    async def dequeue(self) -> None:
        self.leased.append(await self._client.ask("GET", "/dequeue/sms/"))

    async def finish(self) -> None:
        job_id = self.leased.pop()["job_id"]
        await self._client.ask("POST", f"/finish/sms/q/{job_id}/")


async def traces(parts: Parts) -> dict[str, list[Function]]:
    async with served(parts) as client:
        requests = Requests(client)
        for _ in range(50):
            await requests.enqueue()
        return {name: await trace(getattr(requests, name)) for name in ("enqueue", "dequeue", "finish")}


async def test_the_way_of_a_request_is_short_and_as_the_docs_say(parts: Parts) -> None:
    found = await traces(parts)
    counts = {name: (len({file for file, _ in ran}), len(ran)) for name, ran in found.items()}
    for name, (files, functions) in counts.items():
        assert (files <= MOST[name][0], functions <= MOST[name][1]) == (True, True), (name, counts[name])
    for heading, name in ((ENQUEUE, "enqueue"), (DEQUEUE, "dequeue")):
        named = stations(heading)
        assert len(named) > 10
        assert [function for function in found[name] if function in named] == named
    listed = listed_files()
    assert len(set(listed)) == len(listed)
    assert set(listed) == {file for file, _ in found["enqueue"]}


def test_the_list_of_files_gives_the_bounds() -> None:
    bounds = [number for name in ("enqueue", "dequeue", "finish") for number in MOST[name]]
    sentence = "An enqueue passes {} files and {} functions, a dequeue {} and {}, a finish {} and {}."
    assert sentence.format(*bounds) in " ".join(list_page().split())


@pytest.mark.parametrize("heading", [ENQUEUE, DEQUEUE])
def test_the_tables_of_stations_name_functions_once(heading: str) -> None:
    named = stations(heading)
    assert len(set(named)) == len(named)
