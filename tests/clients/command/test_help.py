"""The help of `sharq`, its start, and its completion: every command has an example that works, and --json."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from sharq_client import Client, EnqueueJob
from sharq_client.cli.app import app
from sharq_client.version import __version__
from tests.support.ports import free_port
from tests.support.processes.servers import SharqServer
from tests.support.processes.sharq import SCRIPT, Sharq
from tests.support.stopwatch import Stopwatch
from tests.support.waits import wait_until


def leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the command of each command that does something."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(leaves(typer.main.get_command(app)))

OF_ONE_CALL = [
    path
    for path, command in COMMANDS.items()
    if command.callback.__module__.startswith("sharq_client.cli.commands.")
]
"""The commands that ask the server something and write the answer. Others read files or run for long."""

LOCAL = frozenset({"profile"})
"""The commands that ask no server."""


def examples(command: Any) -> list[str]:
    return [line.strip() for line in (command.epilog or "").splitlines()]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_examples_and_the_options_of_every_command(path: tuple[str, ...]) -> None:
    shown = Sharq("http://127.0.0.1:1")(*path, "--help").out
    assert f"\nExamples:\n  sharq {' '.join(path)}" in shown
    assert all(f"--{name} " in shown for name in ("json", "url", "token", "profile", "timeout", "debug"))
    assert not any(name in shown for name in ("<int>", "<float>", "<str>", "<path>")), (
        "the name of a type of Python"
    )
    assert all(len(line) <= 80 for line in shown.partition("\nExamples:")[0].splitlines())


@pytest.mark.parametrize("path", OF_ONE_CALL, ids=" ".join)
def test_examples_are_understood(path: tuple[str, ...]) -> None:
    """An example that was misspelt would end with 2; a right one finds that no server is there."""
    sharq = Sharq(f"http://127.0.0.1:{free_port()}")
    for example in examples(COMMANDS[path]):
        program, *words = shlex.split(example.partition(" | ")[0].partition(" && ")[0])
        assert program == "sharq" and tuple(words[: len(path)]) == path
        if path[0] not in LOCAL:
            outcome = sharq(*words, *(["--yes"] if "--yes" in help_of(path) else []), code=4)
            assert "cannot reach" in outcome.err


def help_of(path: tuple[str, ...]) -> str:
    return Sharq("http://127.0.0.1:1")(*path, "--help").out


def test_first_sentences_fit_on_their_lines() -> None:
    """The list of commands is read at a glance: one line for each."""
    shown = Sharq("http://127.0.0.1:1")("--help").out
    listed = shown.partition("Queues and types:")[2].partition("\nOptions:")[0]
    entries = [line for line in listed.splitlines() if line and not line.endswith(":")]
    assert all(line.startswith("  ") and line[2] != " " for line in entries), listed


def test_version() -> None:
    assert Sharq("http://127.0.0.1:1").process("--version").out == f"sharq {__version__}\n"


def test_no_arguments_show_the_help() -> None:
    outcome = Sharq("http://127.0.0.1:1").process(code=2)
    assert "Usage: sharq [OPTIONS] COMMAND [ARGS]..." in outcome.out + outcome.err


def test_help_loads_no_http_library_and_no_tables() -> None:
    """They take most of the time of a start."""
    program = (
        "import sys\n"
        "from sharq_client.cli.main import main\n"
        "sys.argv = ['sharq', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print(*sorted({'aiohttp', 'urllib3', 'rich', 'pydantic'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == "\n"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_the_command_says_what_to_install(missing: str) -> None:
    program = (
        "import sys\n"
        "class Refusal:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == '{missing}':\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Refusal())\n"
        "from sharq_client.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    message = f"sharq: the command needs {missing}. Install it with: pip install 'sharq-client[cli]'\n"
    assert done.stderr == message


def completed(url: str, words: str) -> list[str]:
    """Return what bash is offered for the last word of a command line."""
    environ = {
        **os.environ,
        "SHARQ_URL": url,
        "_SHARQ_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = subprocess.run([SCRIPT], env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


def test_completion_offers_commands_types_and_queues(server: SharqServer, kind: str) -> None:
    with Client(server.url) as client:
        for queue_id in ("acme", "apex", "globex"):
            client.enqueue(EnqueueJob(queue_type=kind, queue_id=queue_id, interval=0, payload=1))
    assert completed(server.url, "sharq queu") == ["queue", "queues"]
    # It gives up after a second, which is not enough on every machine that runs tests.
    wait_until(lambda: completed(server.url, f"sharq queue {kind[:-1]}") == [kind])
    wait_until(lambda: sorted(completed(server.url, f"sharq queue {kind} a")) == ["acme", "apex"])
    elsewhere = "http://127.0.0.1:1"
    wait_until(lambda: completed(elsewhere, f"sharq --url {server.url} queue {kind[:-1]}") == [kind])


def test_completion_without_a_server_offers_nothing_and_is_quick(stopwatch: Stopwatch) -> None:
    stopwatch.start()
    assert completed(f"http://127.0.0.1:{free_port()}", "sharq queue s") == []
    stopwatch.assert_within(10)
