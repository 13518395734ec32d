"""Every block of code of the documentation is run by a test, or is in a list with the reason why not."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, all_blocks
from tests.docs.coverage import DRAWN, NOT_RUN, RUN, Rule
from tests.support.processes.sharq import Sharq

BLOCKS = all_blocks()
RULES = (*RUN, *NOT_RUN, *DRAWN)
PROGRAMS = ("sharq", "sharq-server", "sharq-router", "sharq-shard", "sharq-cluster")
DEADLINE_S = 60


def of(rules: tuple[Rule, ...]) -> list[Block]:
    return [block for block in BLOCKS if any(rule.covers(block) for rule in rules)]


def test_each_block_is_held_by_something() -> None:
    holders = {block.place: sum(rule.covers(block) for rule in RULES) for block in BLOCKS}
    assert len(holders) == len(BLOCKS)
    odd = {place: count for place, count in holders.items() if count != 1}
    assert odd == {}, "name what holds these blocks, each once, in tests/docs/coverage.py"


def test_every_rule_is_about_some_block_and_every_named_test_is_there() -> None:
    assert [rule for rule in RULES if not any(rule.covers(block) for block in BLOCKS)] == []
    for rule in RUN:
        path, _, test = rule.holder.partition("::")
        assert f"def {test}(" in (ROOT / path).read_text(), rule.holder


SHELL = [block for block in of(NOT_RUN) if block.language in {"sh", "console"}]


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.place)
def test_commands_that_are_not_run_could_be(block: Block) -> None:
    """The shell can parse them, their targets of make are there, and our programs know their options."""
    script = "\n".join(commands(block))
    subprocess.run(["bash", "-n", "-c", script], check=True, timeout=DEADLINE_S)
    makefile = (ROOT / "Makefile").read_text()
    for words in re.findall(r"^make ([^#\n]+)", script, re.MULTILINE):
        for word in shlex.split(words):
            assert "=" in word or f"\n{word}:" in makefile, f"make {words}"
    for path in re.findall(r"(?<![\w/.])(?:deploy|clients|benchmarks)/[\w./-]+", script):
        assert (ROOT / path).exists(), path
    for line in script.replace("\\\n", " ").splitlines():
        assert_options_are_known(shlex.split(line, comments=True))


@pytest.mark.parametrize("block", of(DRAWN), ids=lambda block: block.place)
def test_options_of_a_usage_are_known(block: Block) -> None:
    words = block.text.split()
    if words[0] in PROGRAMS and "[" in block.text:
        for option in re.findall(r"--[a-z-]+", block.text):
            assert option in help_of(words[0]), option


def commands(block: Block) -> Iterator[str]:
    """Yield the commands of a block; in a console they follow a dollar sign."""
    for line in block.text.splitlines():
        if block.language != "console":
            yield line
        elif line.startswith("$ "):
            yield line[2:]


def assert_options_are_known(words: list[str]) -> None:
    names = [Path(word).name for word in words]
    program = next((name for name in names if name in PROGRAMS), None)
    if program is None or (names[0] != program and names[0] in {"systemctl", "helm", "kubectl", "docker"}):
        return
    arguments = words[names.index(program) + 1 :]
    subcommands = (
        [word for word in arguments[:2] if re.fullmatch("[a-z]+", word)] if program == "sharq" else []
    )
    known = help_of(program, *subcommands)
    for option in arguments:
        if option.startswith("--"):
            name = re.escape(option.partition("=")[0])
            assert re.search(rf"{name}(?![\w-])", known), f"{program} {option}"


@cache
def help_of(program: str, *subcommands: str) -> str:
    """Return the help of a program, or of its longest subcommand that there is."""
    for length in range(len(subcommands), -1, -1):
        words = [*subcommands[:length], "--help"]
        if program == "sharq":
            outcome = Sharq("http://127.0.0.1:1").any_code(*words)
            code, text = outcome.code, outcome.out
        else:
            command = str(Path(sys.executable).with_name(program))
            done = subprocess.run(
                [command, *words], capture_output=True, text=True, timeout=DEADLINE_S, check=False
            )
            code, text = done.returncode, done.stdout
        if code == 0:
            return text
    raise AssertionError(f"{program} has no help")


@pytest.mark.parametrize(
    "line",
    [
        "sharq-shard --config x --node-name y",
        "sharq import original --from x --dry",
        "sharq-server --ports 1",
    ],
)
def test_an_unknown_option_is_found(line: str) -> None:
    with pytest.raises(AssertionError):
        assert_options_are_known(shlex.split(line))
