"""`make setup`, `make demo` and `make wheels` in an empty clone, and the README's section about them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from tests.installation.environments import (
    ROOT,
    Built,
    attempt,
    interpreters,
    locked_versions,
    outside_environment,
    run,
)
from tests.support.extent import is_full
from tests.support.ports import free_port
from tests.support.waits import wait_until

MAX_SETUP_BYTES = 100_000_000
CLONE_TIMEOUT_S = 300.0

SAMPLE = (
    "tests/unit",
    "tests/api/test_original.py",
    "tests/scheduler/test_joint.py",
    "tests/deploy/chart/test_helm.py",
    "tests/installation/test_distributions.py",
)
"""Tests that read files of all folders."""

only_full = pytest.mark.skipif(
    not is_full(), reason="takes a minute; make test FULL=1 ARGS=tests/installation"
)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of what is committed, in which nothing was made yet."""
    if not (ROOT / ".git").exists():
        pytest.skip("not in a clone")
    run("git", "clone", "--quiet", ROOT, tmp_path / "clone")
    return tmp_path / "clone"


def make(clone: Path, *targets: str) -> str:
    """Run make in a clone as a user does."""
    return run("make", *targets, cwd=clone, timeout_s=CLONE_TIMEOUT_S)


def bytes_on_disk(folder: Path) -> int:
    """The size of a folder by the blocks of its files."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def bytes_of(name: str) -> int:
    """The size of a distribution here; 0 if this Python or system needs none of it."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        assert ";" in locked_versions()[name], f"{name} is in requirements/run.lock and is not installed"
        return 0
    paths = [Path(str(found.locate_file(file))) for file in found.files or ()]
    return sum(path.stat().st_size for path in paths if path.exists())


def test_what_running_needs_is_small() -> None:
    names = [*locked_versions(ROOT / "requirements" / "run.lock"), "pip"]
    sizes = {name: bytes_of(name) for name in names}
    assert sum(sizes.values()) <= MAX_SETUP_BYTES, sorted(sizes.items(), key=lambda item: -item[1])[:10]


@only_full
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_first_demo_from_an_empty_clone(clone: Path) -> None:
    """The times are printed, not judged: 20 s of them are the demo's own."""
    begun_s = time.monotonic()
    make(clone, "setup")
    set_up_s = time.monotonic() - begun_s
    size = bytes_on_disk(clone / ".venv")
    shown = make(clone, "demo")
    print(
        f"make setup {set_up_s:.1f} s, {size / 1e6:.0f} MB; with make demo {time.monotonic() - begun_s:.1f} s"
    )
    assert "none lost" in shown
    assert size <= MAX_SETUP_BYTES
    for program in ("sharq-server", "sharq-router", "sharq-shard", "sharq-cluster", "sharq"):
        run(clone / ".venv" / "bin" / program, "--help")


def install_section() -> dict[str, list[str]]:
    """The commands of the README's section "Install": a list for each of its ways, by the way's name."""
    text = (ROOT / "README.md").read_text()
    section = text.split("\n## Install\n")[1].split("\n## ")[0]
    ways = re.findall(r"^\*\*(.+?)\.?\*\*.*?^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return {name: [line.partition("  #")[0].strip() for line in block.splitlines()] for name, block in ways}


def test_the_readme_names_three_ways_that_are_there() -> None:
    ways = install_section()
    assert list(ways) == ["From a checkout", "From a wheel", "As an image"]
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    made = [words.split()[1:] for way in ways.values() for words in way if words.startswith("make ")]
    assert made
    assert {target for words in made for target in words} <= set(targets)
    image = re.findall(r"^# +(docker (?:build -t|run) .*)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert ways["As an image"] == image


@only_full
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ["From a checkout", "From a wheel"])
def test_each_way_of_the_readme_starts_a_server(clone: Path, way: str) -> None:
    """The last command of a way is the server; the port is another one, because 8080 may be taken here."""
    *commands, server = install_section()[way]
    newest = next(iter(interpreters().values())).parent
    for command in commands:
        run(
            "env",
            f"PATH={newest}:{os.environ['PATH']}",
            "bash",
            "-euc",
            command,
            cwd=clone,
            timeout_s=CLONE_TIMEOUT_S,
        )
    assert_serves(clone, server)


def assert_serves(folder: Path, command: str) -> None:
    """Run a server's command until it answers."""
    port = free_port()
    environ = {**outside_environment(), "SHARQ_SHARQ_SERVER_PORT": str(port)}
    process = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=folder, env=environ)
    try:
        wait_until(is_ready(port, process), what="the server is ready")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def is_ready(port: int, process: subprocess.Popen[bytes]) -> Callable[[], bool]:
    """A condition: a server is ready; it fails if the process has ended."""

    def condition() -> bool:
        assert process.poll() is None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return True
        except (urllib.error.URLError, TimeoutError):
            return False

    return condition


@only_full
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_sdist_runs_its_own_tests(server: Built, tmp_path: Path) -> None:
    """Tests of every part; what needs a clone says so."""
    shutil.unpack_archive(server.sdist, tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    environ = {"PYTHONPATH": os.pathsep.join([str(folder), str(folder / "clients" / "python")])}
    done = attempt(sys.executable, "-m", "pytest", "-q", *SAMPLE, cwd=folder, timeout_s=800, environ=environ)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
