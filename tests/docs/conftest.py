"""Provides a server for the pages that are followed step by step, and the built site."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.support.processes.servers import PATIENT, SharqServer, running_server

BUILD_DEADLINE_S = 110


def build(folder: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does, into a folder."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", folder],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
        timeout=BUILD_DEADLINE_S, check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def server() -> Iterator[SharqServer]:
    """A server that the tests of a process share, with the log as JSON: pages use types of their own."""
    with running_server(environ={"SHARQ_LOG_FORMAT": "json", **PATIENT}) as running:
        yield running


@pytest.fixture
def kind() -> str:
    """A queue type of this test alone, to be written instead of a page's."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of the built site; test processes side by side share one."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    folder = shared / "site"
    with (shared / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "index.html").exists():
            done = build(folder)
            assert done.returncode == 0, done.stderr
    return folder
