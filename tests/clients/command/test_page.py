"""The examples of docs/command.md, run as printed and in order on one server.

What differs from run to run is compared by its form: times, spans, and ids that were made.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.api.test_readme import examples
from tests.support.processes.servers import ServerFactory
from tests.support.processes.sharq import DEADLINE_S, SCRIPT, Sharq
from tests.support.waits import wait_for_room_in_the_minute

PAGE = (Path(__file__).parents[3] / "docs" / "command.md").read_text()
PRINTED_URL = "http://127.0.0.1:8080"
ROOM_S = 20.0
"""More than a busy machine takes from the first lease to the last look at the counts of the last full minute."""

_FORMS = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"sharq_(\.\.\.|[\w-]{43})"), "<token>"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?"), "<time>"),
    (re.compile(r"(in |for )?\b\d+(\.\d+)? (ms|s|min|h|d)\b( \d+ (s|min|h))?( ago)?|\bnow\b"), "<span>"),
    # A column is as wide as its widest cell, which may be a span.
    (re.compile(r" +"), " "),
)


def form_of(text: str) -> str:
    """Return a text with what differs from run to run replaced by its kind."""
    for pattern, kind in _FORMS:
        text = pattern.sub(kind, text)
    return text.strip()


def output_of(sharq: Sharq, command: str) -> str:
    """Run a command as a shell would, and return what a terminal shows of it."""
    is_piped = " | " in command
    if is_piped or command.startswith(
        "sharq token "
    ):  # only a process of its own has the commands of the server
        done = subprocess.run(
            ["bash", "-c", command.replace("sharq ", f"{SCRIPT} ", 1)],
            env=sharq.environ(),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=is_piped,
        )
        return done.stdout + done.stderr
    program, *words = shlex.split(command)
    assert program == "sharq"
    outcome = sharq.any_code(*words)
    assert (outcome.code == 0) == (not outcome.err.startswith("sharq: ")), outcome
    return outcome.out + outcome.err


def write_files(folder: Path) -> None:
    """Write the files that the page shows, so that its examples find them."""
    names = {"csv": "customers.csv", "jsonl": "jobs.jsonl", "ini": "sharq.conf"}
    for language, name in names.items():
        (content,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        (folder / name).write_text(content)


@pytest.mark.slow
def test_examples_of_the_page_print_what_is_printed(
    own_server: ServerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server()
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    sharq = Sharq(server.url)
    wait_for_room_in_the_minute(ROOM_S)
    for command, printed in examples(PAGE):
        real = output_of(sharq, command).replace(server.url, PRINTED_URL)
        assert form_of(real) == form_of(printed), f"{command}\n{real}"


def test_every_example_of_the_page_is_found() -> None:
    commands = [command for command, _ in examples(PAGE)]
    assert len(commands) == PAGE.count("\n$ sharq ") >= 35


@pytest.mark.parametrize(
    ("printed", "real"),
    [
        ("held until 2026-11-29 03:20 (in 30 s).", "held until 2027-01-01 10:00:01 (in 1 min 2 s)."),
        ("job  enqueued", "job    enqueued"),
        ("queued 900 ms ago", "queued 1.2 s ago"),
    ],
)
def test_forms_of_the_same_output_are_equal(printed: str, real: str) -> None:
    assert form_of(printed) == form_of(real)


@pytest.mark.parametrize(
    ("printed", "real"), [("2 queued", "3 queued"), ("rate 40/s", "rate 50/s"), ("in 30 s", "30 s ago until")]
)
def test_forms_of_other_outputs_differ(printed: str, real: str) -> None:
    assert form_of(printed) != form_of(real)
