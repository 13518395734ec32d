"""Compiles the small libraries that are preloaded into a server, so that it sees another clock or a slow disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.tools import missing_tool


def preloaded(source: Path, folder: Path) -> dict[str, str]:
    """Return the environment of a server with a library that is compiled into a folder; skips or fails without gcc."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        missing_tool("a C compiler")
    library = folder / f"{source.stem}.so"
    if not library.exists():
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    return {**os.environ, "LD_PRELOAD": str(library)}
