"""The worked examples of docs/limits.md and docs/jobs.md, run as printed and in order.

Their answers must mean what is printed. A page tells the time at which its examples seem to run; the times in its
commands and answers are moved from there to now.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sharq_client import AsyncClient
from tests.api.test_readme import SPANS, Comparison, Json, curl, examples
from tests.support.processes.servers import ServerFactory
from tests.support.tools import missing_tool

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "limits.md").read_text()
JOBS = (DOCS / "jobs.md").read_text()
MODELS = ("A carrier", "A number", "A campaign", "A voice trunk", "An LLM key", "An account")
TIMES = {
    "enqueued_at",
    "lease_expires_at",
    "delayed_until",
    "expires_at",
    "dead_at",
    "error_at",
    "progress_at",
    "next_at",
}
OPENINGS = {"opens_at", "closes_at"}
NOW_MS = 1_795_922_400_000
"""The time at which the examples of docs/jobs.md seem to run."""

NEAR_MS = 60_000
LONGEST_DAY_MS = 25 * 3_600_000
HOUR_MS = 3_600_000

NEW_YORK = "America/New_York"
NEW_YORK_HOUR = 22
"""The hour of New York's clock at NOW_MS. The examples run in a zone whose clock shows it now."""


class WorkedComparison(Comparison):
    """Waits are compared with what is printed: a limit must not end sooner than a second before, nor later.

    The end of a local day, at which a quota resets, lies within a day of 25 hours, and that of a hold within one of 24.
    """

    def check(self, printed: Json, real: Json, field: str = "") -> None:
        if field == "held_until" and printed is not None:
            assert isinstance(real, int) and 0 < real - time.time() * 1000 <= 24 * HOUR_MS, real
        elif field == "resets_at":
            assert isinstance(real, int) and 0 < real - time.time() * 1000 <= LONGEST_DAY_MS, real
        elif isinstance(printed, dict) and isinstance(real, dict) and printed.get("blocked_by") == "quota":
            assert printed.keys() == real.keys() and real["blocked_by"] == "quota", real
            assert isinstance(real["next_ready_in"], int) and 0 < real["next_ready_in"] <= LONGEST_DAY_MS, (
                real
            )
        elif field == "slots_used":
            assert isinstance(printed, int) and isinstance(real, int)
            assert printed <= real, "a slot that was not used in time counts all the same"
        elif field in {*SPANS, "next_slot_in"}:
            assert (printed is None) == (real is None), f"{field}: {real}"
            if isinstance(printed, int) and isinstance(real, int):
                assert printed - 1_000 <= real <= printed + 100, f"{field}: {real}"
        else:
            super().check(printed, real, field)


class TimedComparison(Comparison):
    """Times are compared with what is printed, moved from the time of the page to now."""

    def __init__(self) -> None:
        super().__init__()
        self._shift_ms = int(time.time() * 1000) - NOW_MS
        self._zone = zone_at(NEW_YORK_HOUR)

    def translate(self, text: str) -> str:
        moved = re.sub(r"\b1795\d{9}\b", lambda found: self._moved(found[0]), text)
        return super().translate(moved.replace(NEW_YORK, self._zone))

    def check(self, printed: Json, real: Json, field: str = "") -> None:
        if printed == NEW_YORK:
            assert real == self._zone, field
        elif field in SPANS and isinstance(printed, int) and printed > HOUR_MS:
            assert isinstance(real, int), f"{field}: {real}"
            assert abs(real - printed) <= HOUR_MS, f"{field}: {real}"
        elif field in OPENINGS and isinstance(printed, int):
            assert isinstance(real, int), f"{field}: {real}"
            assert abs(real - printed - self._shift_ms) <= HOUR_MS, f"{field}: {real}"
        elif field in TIMES and isinstance(printed, int):
            assert isinstance(real, int), f"{field}: {real}"
            assert abs(real - printed - self._shift_ms) < NEAR_MS, f"{field}: {real}"
        else:
            super().check(printed, real, field)

    def _moved(self, time_ms: str) -> str:
        return str(int(time_ms) + self._shift_ms)


def zone_at(hour: int) -> str:
    """Return the name of a zone without changes of its clock, which reads this hour now."""
    west = (datetime.now(UTC).hour - hour) % 24
    return f"Etc/GMT+{west}" if west <= 12 else f"Etc/GMT-{24 - west}"


def section() -> str:
    """The section with the examples of docs/limits.md."""
    found = re.search(r"^## Worked examples\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_every_model_has_an_example() -> None:
    parts = re.split(r"^### ", section(), flags=re.MULTILINE)[1:]
    assert [part.partition(":")[0] for part in parts] == list(MODELS)
    assert all(list(examples(part)) for part in parts)


async def test_worked_examples_answer_as_printed(own_server: ServerFactory) -> None:
    if shutil.which("curl") is None:
        missing_tool("curl")
    server, comparison = own_server(), WorkedComparison()
    for command, printed in examples(section()):
        real = await curl(comparison.translate(command), server.url)
        comparison.check(json.loads(printed), json.loads(real), command)


async def test_examples_about_the_life_of_jobs_answer_as_printed(own_server: ServerFactory) -> None:
    if shutil.which("curl") is None:
        missing_tool("curl")
    server, comparison = own_server(), TimedComparison()
    async with AsyncClient(server.url) as client:
        names: dict[str, object] = {"client": client}
        for language, block in blocks(JOBS):
            if language == "python":
                assert await output_of(comparison.translate(block), names) == comments(block), block
                continue
            for command, printed in examples(block):
                real = await curl(comparison.translate(command), server.url)
                comparison.check(json.loads(printed), json.loads(real), command)


def test_every_example_about_the_life_of_jobs_is_found() -> None:
    consoles = [block for language, block in blocks(JOBS) if language == "console"]
    pythons = [block for language, block in blocks(JOBS) if language == "python"]
    commands = [command for block in consoles for command, _ in examples(block)]
    assert len(commands) == JOBS.count("\n$ curl ") >= 30
    assert len([line for block in pythons for line in comments(block)]) >= 14


def test_comments_say_what_an_example_prints() -> None:
    assert comments("print(1)  # 1\n# 2\n") == ["1", "2"]


@pytest.mark.parametrize(("block", "printed"), [("print(1)", ["1"]), ("x = 2\nprint(await later(x))", ["2"])])
async def test_output_of_an_example_is_what_it_prints(block: str, printed: list[str]) -> None:
    async def later(value: int) -> int:
        return value

    assert await output_of(block, {"later": later}) == printed


def blocks(page: str) -> list[tuple[str, str]]:
    """Return (language, block with its fences) of each example of a page, in order."""
    found = re.finditer(r"^```(console|python)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [(block[1], block[2] if block[1] == "python" else block[0]) for block in found]


def comments(block: str) -> list[str]:
    """Return the comments of a block, which say what it prints."""
    return re.findall(r"(?:^|  )# (.*)$", block, re.MULTILINE)


async def output_of(block: str, names: dict[str, object]) -> list[str]:
    """Run a block, which may await and sets names for later ones, and return the lines that it prints."""
    code = compile(block, "docs", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        ends = eval(code, names)
        if ends is not None:
            await ends
    return output.getvalue().splitlines()
