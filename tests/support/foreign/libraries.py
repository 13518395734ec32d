"""Installs the published libraries of other queueing systems, once for all runs, outside of the clone."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.support.tools import missing_tool

ROOT = Path(__file__).parents[3]
DRIVERS = Path(__file__).parent / "drivers"

ORIGINAL_PYTHON = "3.11"
"""The newest Python that has configparser.SafeConfigParser, which the original uses."""

ORIGINAL = ("SharQ==1.3.0", "msgpack==0.5.6", "redis-py-cluster==2.0.0", "redis==3.0.1")
"""The original and what it pins; redis is the newest that this redis-py-cluster takes."""

CELERY = ("celery==5.5.3", "kombu==5.5.4", "redis==5.2.1")

BULLMQ = ("bullmq@5.81.5",)


def tools_directory() -> Path:
    """Return the folder that outlives a clone: that of helm and Toxiproxy."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    named = os.environ.get("TOOLS_DIR") or os.environ.get("TOOLS")
    return Path(named or cache_home / "sharq-tools")


@cache
def python_of_the_original() -> str:
    """Return the path of a Python that the original runs on; skip the test, or fail it in CI, if there is none."""
    found = subprocess.run([ROOT / ".ci" / "interpreters"], capture_output=True, text=True, check=True).stdout
    paths = dict(line.split(" ", 1) for line in found.splitlines())
    return paths.get(ORIGINAL_PYTHON) or missing_tool(f"Python {ORIGINAL_PYTHON}")


def installed(name: str, requirements: tuple[str, ...], install: Callable[[Path], None]) -> Path:
    """Return the folder of a library, installed by the first process that asks."""
    digest = hashlib.sha256(" ".join(requirements).encode()).hexdigest()[:12]
    target = tools_directory() / f"{name}-{digest}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            unfinished = target.with_suffix(".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            install(unfinished)
            unfinished.rename(target)
    return target


def pip_install(*requirements: str, with_dependencies: bool) -> Callable[[Path], None]:
    """Return a function that installs packages for the original's Python into a folder."""

    def install(target: Path) -> None:
        command = [sys.executable, "-m", "pip", "--python", python_of_the_original(), "install", "--quiet"]
        dependencies = [] if with_dependencies else ["--no-deps"]
        subprocess.run([*command, *dependencies, "--target", str(target), *requirements], check=True)

    return install


@cache
def node() -> str:
    """Return the path of node; skip the test, or fail it in CI, if there is none."""
    return shutil.which("node") or missing_tool("node")


def npm_install(target: Path) -> None:
    """Install BullMQ into a folder."""
    if shutil.which("npm") is None:
        missing_tool("npm")
    subprocess.run(["npm", "install", "--silent", "--no-audit", *BULLMQ], cwd=target, check=True)


def original_library() -> Path:
    """Return the folder of the original. All that it needs is named, because its own pins fit together only so."""
    return installed("original", ORIGINAL, pip_install(*ORIGINAL, with_dependencies=False))


def celery_library() -> Path:
    """Return the folder of Celery."""
    return installed("celery", CELERY, pip_install(*CELERY, with_dependencies=True))


def bullmq_library() -> Path:
    """Return the folder of BullMQ."""
    return installed("bullmq", BULLMQ, npm_install)
