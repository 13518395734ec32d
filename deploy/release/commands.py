"""Runs the tools that build and check a release."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.release.errors import ReleaseError

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Run a program and return its standard output.

    Args:
        env: variables beside those of this process.

    Raises:
        ReleaseError: it ended with another exit code than 0. The message has its output.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words, check=False, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def find_tool(name: str) -> Path:
    """Return the path of a program that stands on PATH, or in the folder `bin` of TOOLS_DIR.

    Raises:
        ReleaseError: it is in neither.
    """
    kept = Path(os.environ.get("TOOLS_DIR", ROOT / ".tools")) / "bin"
    found = shutil.which(name, path=f"{kept}:{os.environ['PATH']}")
    if found is None:
        raise ReleaseError(f"{name} is missing: it is neither on PATH nor in {kept}")
    return Path(found)
