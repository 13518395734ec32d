"""The curl examples of README and docs/tour.md, run as printed and in order; their answers mean what is printed.

What differs from run to run is compared by what it means: a time must be near now, a span must be a number of
ms that is not negative, and an id made by the server is learned once and is the same wherever it is printed.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeAlias

import pytest

from tests.support.processes.servers import ServerFactory
from tests.support.tools import missing_tool

ROOT = Path(__file__).parents[2]
TOUR = ROOT / "docs" / "tour.md"
CLIENT_PAGE = ROOT / "docs" / "client.md"
TIMES = {"lease_expires_at", "enqueued_at", "dead_at", "delayed_until", "expires_at", "error_at"}
SPANS = {"next_ready_in", "oldest_age"}
MADE_BY_SERVER = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
QUEUE_TYPES = ("sms", "email")
NEAR_MS = 600_000

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class Server(Protocol):
    """The part of the `server` fixture that these tests use."""

    @property
    def url(self) -> str: ...


def examples(text: str) -> Iterator[tuple[str, str]]:
    """(command, answer) of each `$` line in the console blocks; a command ends when its quotes are closed."""
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = example.splitlines()
            length = next(n for n in range(1, len(lines) + 1) if is_whole("\n".join(lines[:n])))
            yield "\n".join(lines[:length]), "\n".join(lines[length:])


def is_whole(command: str) -> bool:
    """Return True if every quote of a shell command is closed."""
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True


async def curl(command: str, url: str) -> str:
    """Standard output of a README command, sent to the test's server."""
    words = [word.replace("localhost:8080", url) for word in shlex.split(command)]
    process = await asyncio.create_subprocess_exec(
        *words, "--silent", "--show-error", "--max-time", "20", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return output.decode()


class Comparison:
    """Holds answers against printed ones, and remembers which real id stands for which printed one."""

    def __init__(self) -> None:
        self.learned: dict[str, str] = {}

    def translate(self, text: str) -> str:
        """The text with printed ids replaced by the real ones known so far."""
        for printed, real in self.learned.items():
            text = text.replace(printed, real)
        return text

    def check(self, printed: Json, real: Json, field: str = "") -> None:
        """Fails when the real answer does not mean what the printed one says."""
        if isinstance(printed, dict) and isinstance(real, dict):
            assert printed.keys() == real.keys(), f"{field}: {real}"
            for name, value in printed.items():
                self.check(value, real[name], name)
        elif isinstance(printed, list) and isinstance(real, list):
            assert len(printed) == len(real), f"{field}: {real}"
            for printed_item, real_item in zip(printed, real, strict=True):
                self.check(printed_item, real_item, field)
        else:
            self._check_leaf(printed, real, field)

    def _check_leaf(self, printed: Json, real: Json, field: str) -> None:
        if field in TIMES and printed is not None:
            assert isinstance(real, int) and abs(real - time.time() * 1000) < NEAR_MS, f"{field}: {real}"
        elif field in SPANS and printed is not None:
            assert isinstance(real, (int, float)) and 0 <= real < NEAR_MS, f"{field}: {real}"
        elif field == "blocked_by" and printed == "rate":
            assert real in {"rate", None}, "an interval of some 100 ms may have passed since the lease"
        elif isinstance(printed, str) and MADE_BY_SERVER.fullmatch(printed):
            assert isinstance(real, str) and MADE_BY_SERVER.fullmatch(real), f"{field}: {real}"
            assert self.learned.setdefault(printed, real) == real
        else:
            assert printed == real, field


@pytest.mark.parametrize(
    ("text", "least"), [((ROOT / "README.md").read_text(), 3), (TOUR.read_text(), 15)], ids=["README", "tour"]
)
async def test_examples_answer_as_printed(server: Server, text: str, least: int) -> None:
    if shutil.which("curl") is None:
        missing_tool("curl")
    for queue_type in QUEUE_TYPES:
        text = re.sub(rf"\b{queue_type}\b", f"{queue_type}-{uuid.uuid4().hex[:8]}", text)
    comparison = Comparison()
    seen = 0
    for command, printed in examples(text):
        real = await curl(comparison.translate(command), server.url)
        comparison.check(json.loads(printed), json.loads(real), command)
        seen += 1
    assert seen == text.count("\n$ curl ") >= least


async def test_first_program_of_the_client_page_runs_on_what_the_tour_left(
    own_server: ServerFactory,
) -> None:
    if shutil.which("curl") is None:
        missing_tool("curl")
    server, comparison = own_server(), Comparison()
    for command, printed in examples(TOUR.read_text()):
        comparison.check(
            json.loads(printed), json.loads(await curl(comparison.translate(command), server.url))
        )
    program, *_ = re.findall(r"^```python\n(.*?)^```$", CLIENT_PAGE.read_text(), re.MULTILINE | re.DOTALL)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program.replace("http://127.0.0.1:8080", server.url)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert (process.returncode, output.decode(), errors.decode()) == (0, "acme +15550100\n", "")


@pytest.mark.parametrize(
    ("printed", "real"),
    [
        ('{"status": "queued"}', '{"status": "success"}'),
        ('{"jobs": []}', '{"jobs": [1]}'),
        ('{"jobs": []}', '{"jobs": [], "cursor": null}'),
        ('{"dead_at": 1782033611208}', '{"dead_at": 1}'),
        ('{"oldest_age": 1}', '{"oldest_age": -1}'),
        ('{"lease": "00000000000000011c2d3e4f5a6b7c8d"}', '{"lease": "short"}'),
    ],
)
def test_comparison_sees_an_answer_that_is_not_as_printed(printed: str, real: str) -> None:
    with pytest.raises(AssertionError):
        Comparison().check(json.loads(printed), json.loads(real))
