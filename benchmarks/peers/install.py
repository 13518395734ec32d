"""Installs other systems outside of this tree, each once, in a version that is written here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from benchmarks.errors import NotRun

PROGRAMS = Path(__file__).parent / "programs"

_GO_PLACE = "/usr/local/go/bin"
_INSTALL_TIMEOUT_S = 900
"""The Go compiler takes minutes for its first build on a busy machine."""
_RUN_TIMEOUT_S = 300
_ORIGINAL = ("SharQ==1.3.0", "packaging", "flask>=3,<4", "gevent", "gunicorn")
_CELERY = ("celery[redis]==5.7.0", "redis[hiredis]==8.1.0")
_DRAMATIQ = ("dramatiq[redis]==2.2.1", "redis[hiredis]==8.1.0")
_RQ = ("rq==3.0.0", "redis[hiredis]==8.1.0")
"""With the fast parser of the driver, which ours has, too."""
_BULLMQ = ("bullmq@6.7.0", "ioredis@5.11.1")


@cache
def original_python() -> Path:
    """Return the Python with the original's core and what its server stands on; newer ones than 3.11 do not run it.

    Raises:
        NotRun: it cannot be installed.
    """
    return _venv("original-server", tool("python3.11"), _ORIGINAL)


@cache
def celery_python() -> Path:
    """Return the Python that has Celery."""
    return _venv("celery-5.7.0", sys.executable, _CELERY)


@cache
def dramatiq_python() -> Path:
    """Return the Python that has Dramatiq."""
    return _venv("dramatiq-2.2.1", sys.executable, _DRAMATIQ)


@cache
def rq_python() -> Path:
    """Return the Python that has RQ."""
    return _venv("rq-3.0.0", sys.executable, _RQ)


@cache
def bullmq_folder() -> Path:
    """Return the folder that holds BullMQ and its driver."""
    folder = _cache_folder() / "bullmq-6.7.0"
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = [tool("npm"), "install", "--no-audit", "--no-fund", "--silent", *_BULLMQ]
        check(install, folder, timeout_s=_INSTALL_TIMEOUT_S)
        (folder / "installed").touch()
    return folder


@cache
def asynq_program() -> Path:
    """Return the program over asynq; go.mod and go.sum pin its modules."""
    program = _cache_folder() / "asynq-0.26.0"
    program.parent.mkdir(parents=True, exist_ok=True)
    build = [_go(), "build", "-o", str(program), "."]
    check(build, PROGRAMS / "asynq", timeout_s=_INSTALL_TIMEOUT_S)
    return program


def tool(name: str) -> str:
    """Return the path of a program.

    Raises:
        NotRun: it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise NotRun(f"{name} is missing")
    return found


def check(
    command: Sequence[str],
    folder: Path = PROGRAMS,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = _RUN_TIMEOUT_S,
) -> bytes:
    """Run a program to its end in a folder and return what it printed.

    Raises:
        NotRun: it failed, or did not end in time.
    """
    program = Path(command[0]).name
    variables = {**os.environ, **(environ or {})}
    try:
        said = subprocess.run(
            command, cwd=folder, env=variables, capture_output=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired as error:
        raise NotRun(f"{program} took more than {timeout_s:g} s") from error
    if said.returncode:
        words = said.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
        raise NotRun(f"{program} failed: {words[-1]}")
    return said.stdout


def last_line(said: bytes) -> bytes:
    """Return the last line of what a program printed.

    Raises:
        NotRun: it printed nothing.
    """
    lines = said.splitlines()
    if not lines:
        raise NotRun("it said nothing")
    return lines[-1]


def _go() -> str:
    """Return the Go compiler of the PATH, or of the place where its own installer puts it."""
    found = shutil.which("go") or shutil.which("go", path=_GO_PLACE)
    if found is None:
        raise NotRun("go is missing")
    return found


def _venv(name: str, python: str, packages: tuple[str, ...]) -> Path:
    """Return the Python of a virtual environment that holds the packages; it is made once and kept."""
    folder = _cache_folder() / name
    inside = folder / "bin" / "python"
    if not (folder / "installed").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        check([python, "-m", "venv", "--clear", str(folder)], timeout_s=_INSTALL_TIMEOUT_S)
        check([str(inside), "-m", "pip", "install", "--quiet", *packages], timeout_s=_INSTALL_TIMEOUT_S)
        (folder / "installed").touch()
    return inside


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sharq-benchmarks"
