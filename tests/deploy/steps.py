"""The commands that a document prints, to be run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

from tests.support.tools import missing_tool

DOCS = Path(__file__).parents[2] / "docs"
DEADLINE_S = 200.0


def printed(page: str, heading: str) -> list[str]:
    """The blocks of commands under a heading, up to the next one.

    Raises:
        AssertionError: there are none.
    """
    text = (DOCS / page).read_text()
    (section,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.M | re.S)
    blocks = re.findall(r"^( *)```sh\n(.*?)^\1```$", section, re.M | re.S)
    assert blocks, f"{page}, {heading}: no commands"
    return [textwrap.dedent(block) for _, block in blocks]


def run(commands: str, folder: Path, **variables: str) -> str:
    """Run commands with these variables; Debian's Redis stands in for programs of Valkey. Returns their output.

    Raises:
        AssertionError: one of them failed.
    """
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name in ("cli", "server"):
        stand_in = programs / f"valkey-{name}"
        if not stand_in.exists():
            stand_in.symlink_to(shutil.which(f"redis-{name}") or missing_tool(f"redis-{name}"))
    done = subprocess.run(
        ["sh", "-eu", "-c", commands],
        check=False,
        env={**variables, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout
