"""Builds the distributions and makes empty environments for them, as a user does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from tests.support.extent import is_full

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "python"
INSTALL_TIMEOUT_S = 240.0
RUN_TIMEOUT_S = 60.0


class Built(Struct, frozen=True):
    """The two files of one distribution."""

    wheel: Path
    sdist: Path


class Environment:
    """A new environment that holds nothing.

    A full run makes it with its own pip, as a user does. A quick one leaves that out, which takes 3 s less, and
    installs with this environment's pip.

    Args:
        directory: where it is made; its name is free.
        python: the interpreter.
    """

    def __init__(self, directory: Path, python: Path = Path(sys.executable)) -> None:
        self.binaries = directory / "bin"
        self.python = self.binaries / "python"
        self._constraints = directory / "constraints.txt"
        run(python, "-m", "venv", *([] if is_full() else ["--without-pip"]), directory)
        self._constraints.write_text("\n".join(locked_versions().values()))

    def install(self, *words: str | Path, is_locked: bool = True) -> None:
        """Install packages.

        Args:
            is_locked: with the versions of the lock; else with the newest ones that the packages allow.
        """
        pip = self.python if is_full() else Path(sys.executable)
        target: list[str | Path] = [] if is_full() else ["--python", self.python]
        constraint: list[str | Path] = ["--constraint", self._constraints] if is_locked else []
        flags = ("--quiet", "--no-compile", *constraint)
        run(pip, "-m", "pip", *target, "install", *flags, *words, timeout_s=INSTALL_TIMEOUT_S)

    def distributions(self) -> set[str]:
        """Return the names of what is installed, but pip."""
        names = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
        return {name.lower().replace("_", "-") for name in run(self.python, "-c", names).split()} - {"pip"}


def build(project: Path, out: Path) -> Built:
    """Build wheel and sdist of a project into a new folder; nothing is written into the project."""
    run(sys.executable, "-m", "hatchling", "build", "-d", out, cwd=project)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Built(wheel, sdist)


def run(*command: str | Path, cwd: Path | None = None, timeout_s: float = RUN_TIMEOUT_S) -> str:
    """Return the standard output of a command; a failure shows both outputs."""
    done = attempt(*command, cwd=cwd, timeout_s=timeout_s)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def attempt(
    *command: str | Path,
    cwd: Path | None = None,
    timeout_s: float = RUN_TIMEOUT_S,
    environ: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, however that is."""
    return subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env={**outside_environment(), **(environ or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def outside_environment() -> dict[str, str]:
    """Return this process's environment without what imports the source tree, or configures server or make.

    PYTHONDONTWRITEBYTECODE is left out, too: each start would compile every module again.
    """
    ours = ("PYTHONPATH", "PYTHONDONTWRITE", "SHARQ_", "MAKE", "FULL", "VIRTUAL_ENV", "COV_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def locked_versions(lock: Path = ROOT / "requirements" / "dev.lock") -> dict[str, str]:
    """Return the pins of a lock, "name==version ; marker", by name."""
    pins = re.findall(r"^([a-z0-9.-]+==[^\\\n]+)", lock.read_text(), re.MULTILINE)
    return {pin.partition("==")[0]: pin.strip() for pin in pins}


def interpreters() -> dict[str, Path]:
    """Return the interpreters to install with, by minor version: in a full run every supported one of this machine."""
    if not is_full():
        return {f"{sys.version_info.major}.{sys.version_info.minor}": Path(sys.executable)}
    lines = run(ROOT / ".ci" / "interpreters").splitlines()
    return {version: Path(path) for version, path in (line.split(maxsplit=1) for line in lines)}
