"""Compiles the small libraries that are preloaded into a server, so that it sees another clock or a slow disk."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.tools import missing_tool


def preloaded(source: Path) -> dict[str, str]:
    """Return the environment of a server with a library, compiled once a process; skips or fails without gcc."""
    return {**os.environ, "LD_PRELOAD": str(_compiled(source))}


@functools.cache
def _compiled(source: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        missing_tool("a C compiler")
    folder = Path(tempfile.mkdtemp(prefix="sharq-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / f"{source.stem}.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return library
