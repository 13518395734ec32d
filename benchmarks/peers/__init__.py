"""Other systems, measured beside ours: how each is installed, run on the benchmark's store, and read.

The programs of this folder run in the peer's own environment and import nothing of this project.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import msgspec

from benchmarks.errors import NotRun

_PROGRAMS = Path(__file__).parent
_INSTALL_TIMEOUT_S = 300
_RUN_TIMEOUT_S = 300
_ORIGINAL = ("SharQ==1.3.0", "packaging", "flask>=3,<4", "gevent", "gunicorn")

_ORIGINAL_CONFIG = """[sharq]
job_expire_interval = 3600000
job_requeue_interval = 5000
default_job_requeue_limit = -1

[redis]
db = 0
key_prefix = original
conn_type = unix_sock
unix_socket_path = {socket}
"""


class WholeJobs(msgspec.Struct, frozen=True):
    """Jobs a second: enqueued, and then consumed to their end, one after the other."""

    enqueue_rate: float
    consume_rate: float

    @property
    def rate(self) -> float:
        """Whole jobs a second of both in turn."""
        return 1 / (1 / self.enqueue_rate + 1 / self.consume_rate)


def original_dequeue_ms(socket: str, size: int, calls: int) -> float:
    """Wall time of one dequeue by the original's core library at `size` ready queues, median of `calls`.

    Raises:
        NotRun: it cannot be installed, or failed.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(original_config(socket))
        config.flush()
        program = str(_PROGRAMS / "original_dequeue.py")
        said = _run(str(original_python()), program, config.name, str(size), str(calls))
    return msgspec.json.decode(said, type=float)


def original_config(socket: str) -> str:
    """Return the config file of the original for a store at a UNIX socket."""
    return _ORIGINAL_CONFIG.format(socket=socket)


def bullmq(socket: str, jobs: int) -> WholeJobs:
    """BullMQ: jobs added in bulks of 1,000, and processed by a worker with a concurrency of 100.

    Raises:
        NotRun: it cannot be installed, or failed.
    """
    said = _run(_tool("node"), str(_PROGRAMS / "bullmq.mjs"), str(_bullmq_folder()), socket, str(jobs))
    return msgspec.json.decode(said, type=WholeJobs)


def celery(socket: str, jobs: int) -> WholeJobs:
    """Celery: jobs sent one by one, and consumed by a worker of 16 threads.

    Raises:
        NotRun: it cannot be installed, or failed.
    """
    said = _run(str(_celery_python()), str(_PROGRAMS / "celery_jobs.py"), socket, str(jobs))
    return msgspec.json.decode(said, type=WholeJobs)


@cache
def original_python() -> Path:
    """Python with the original's core and what its server stands on; the core does not run on Python 3.12 and newer.

    Raises:
        NotRun: it cannot be installed.
    """
    return _venv("original-server", _tool("python3.11"), _ORIGINAL)


@cache
def _celery_python() -> Path:
    return _venv("celery", sys.executable, ("celery[redis]>=5.5,<6",))


@cache
def _bullmq_folder() -> Path:
    folder = _cache_folder() / "bullmq"
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [_tool("npm"), "install", "--no-audit", "--no-fund", "--silent", "bullmq@6", "ioredis@5"]
        _check(command, folder, _INSTALL_TIMEOUT_S)
        (folder / "installed").touch()
    return folder


def _venv(name: str, python: str, packages: tuple[str, ...]) -> Path:
    """Python of a virtual environment that holds the packages; it is made once and kept."""
    folder = _cache_folder() / name
    inside = folder / "bin" / "python"
    if not (folder / "installed").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _check([python, "-m", "venv", "--clear", str(folder)], folder.parent, _INSTALL_TIMEOUT_S)
        _check([str(inside), "-m", "pip", "install", "--quiet", *packages], folder.parent, _INSTALL_TIMEOUT_S)
        (folder / "installed").touch()
    return inside


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sharq-benchmarks"


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NotRun(f"{name} is missing")
    return found


def _run(*command: str) -> bytes:
    """Run a peer's program and return its last line."""
    lines = _check(command, _cache_folder(), _RUN_TIMEOUT_S).splitlines()
    if not lines:
        raise NotRun("it said nothing")
    return lines[-1]


def _check(command: tuple[str, ...] | list[str], folder: Path, timeout_s: float) -> bytes:
    program = Path(command[0]).name
    try:
        said = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise NotRun(f"{program} took more than {timeout_s:g} s") from error
    if said.returncode:
        words = said.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
        raise NotRun(f"{program} failed: {words[-1]}")
    return said.stdout
