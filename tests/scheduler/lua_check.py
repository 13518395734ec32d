"""Runs luacheck over the function library: `python -m tests.scheduler.lua_check`, a part of `make check`.

It checks the text that the store loads instead of single files. Only there are all shared locals known, so luacheck
finds a helper that no file uses, a name that is used above its definition, and a local that hides a shared one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sharq_core.scheduler import library

ROOT = Path(__file__).parents[2]
PROGRAM = "luacheck"
_WARNING = re.compile(r"^.*?:(\d+):(\d+): (.*)$")


def warnings(text: str) -> list[str]:
    """Return the warnings of luacheck about a text of the library, each as `file:line:column: warning`.

    Raises:
        FileNotFoundError: luacheck is not installed.
        RuntimeError: luacheck could not run.
    """
    command = [
        PROGRAM,
        "-",
        "--config",
        str(ROOT / ".luacheckrc"),
        "--formatter",
        "plain",
        "--codes",
        "--no-cache",
    ]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    if done.returncode > 2:  # 1: warnings, 2: syntax errors
        raise RuntimeError(f"{PROGRAM} failed with {done.returncode}: {done.stdout}{done.stderr}")
    places = list(_places(text))
    found = (_WARNING.match(line) for line in done.stdout.splitlines())
    return [f"{places[int(match[1]) - 1]}:{match[2]}: {match[3]}" for match in found if match]


def _places(text: str) -> Iterator[str]:
    """Yield the file and the line in it for each line of the library's text. library.py generates the rest."""
    openings = {body.partition("\n")[0]: f"{name}.lua" for name, body in library.lua_files()}
    file, first = "library.py", 0
    for number, line in enumerate(text.split("\n")):
        if line in openings:
            file, first = openings[line], number
        elif line.startswith("redis.register_function"):
            file, first = "library.py", 0
        yield f"{file}:{number - first + 1}"


def main() -> int:
    """Print the warnings; returns the exit status of the check."""
    if shutil.which(PROGRAM) is None:
        if os.environ.get("CI", "").lower() not in ("", "0", "false"):
            print(
                "luacheck is missing, and CI needs it: install the Debian package lua-check", file=sys.stderr
            )
            return 1
        print("luacheck: skipped, because it is not installed (the Debian package is lua-check)")
        return 0
    found = warnings(library.source())
    print("\n".join(found) if found else "luacheck: no warnings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
