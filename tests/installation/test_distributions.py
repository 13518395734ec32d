"""Wheel and sdist of server and client: what they hold, and that the sdist builds the same wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.installation.environments import CLIENT, ROOT, Built, build, locked_versions
from tests.support.tools import missing_tool

PACKAGES = ("router", "shard", "sharq_core", "sharq_server")
LOCKS = ("requirements/dev.lock", "requirements/run.lock", "deploy/container/run.lock")


def requirements(folder: Path) -> list[Requirement]:
    """Everything that a project names, its extras too."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    extras = [name for extra in project["optional-dependencies"].values() for name in extra]
    return list(map(Requirement, [*project["dependencies"], *extras]))


def wheel_names(wheel: Path) -> set[str]:
    """The files of a wheel, but those that describe it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def sdist_names(sdist: Path) -> list[str]:
    """The files of an sdist below its one folder, in order."""
    with tarfile.open(sdist) as archive:
        return sorted(member.name.partition("/")[2] for member in archive if not member.isdir())


def kept_files() -> set[str]:
    """Every file of the project that git tracks, or would; a link to a folder stands for the files in it."""
    if not (ROOT / ".git").exists():
        pytest.skip("not in a clone: the list of files is git's")
    if shutil.which("git") is None:
        missing_tool("git")
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(words, check=True, cwd=ROOT, capture_output=True, text=True)
    found = set()
    for path in (ROOT / name for name in done.stdout.split("\0") if name):
        files = path.iterdir() if path.is_dir() else [path] if path.exists() else []
        found |= {file.relative_to(ROOT).as_posix() for file in files}
    return found


def unpacked(sdist: Path, folder: Path) -> Path:
    """The one folder of an sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


@pytest.mark.parametrize("folder", [ROOT, CLIENT], ids=["server", "client"])
def test_lock_pins_every_dependency_that_a_project_names(folder: Path) -> None:
    locked = locked_versions()
    for requirement in requirements(folder):
        version = locked[requirement.name].partition("==")[2].partition(";")[0].strip()
        assert requirement.specifier.contains(version), f"{requirement} but {version} in the lock: make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|--(extra-)?index|--find-links| @ ", text)
    for pin in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in pin, pin


def test_lock_of_what_running_needs_is_a_part_of_the_whole_lock() -> None:
    everything = locked_versions()
    for name, pin in locked_versions(ROOT / "requirements" / "run.lock").items():
        assert everything[name].partition(" ")[0] == pin.partition(" ")[0]


def test_wheel_holds_the_packages_with_lua_and_type_marks_and_nothing_else(server: Built) -> None:
    names = wheel_names(server.wheel)
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == wanted
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert any(name.endswith(".lua") for name in names)


def test_client_s_wheel_holds_its_package_and_a_plugin_of_pytest(client: Built) -> None:
    names = wheel_names(client.wheel)
    assert {name.partition("/")[0] for name in names} == {"sharq_client", "pytest_sharq.py"}
    assert "sharq_client/py.typed" in names


def test_each_wheel_has_the_license(server: Built, client: Built) -> None:
    text = (ROOT / "LICENSE").read_bytes()
    for built in (server, client):
        with zipfile.ZipFile(built.wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
            assert archive.read(name) == text


def test_sdist_holds_the_project_whole(server: Built) -> None:
    """A file that is missing stands at a new place: name it in [tool.hatch.build.targets.sdist] of pyproject.toml."""
    assert sdist_names(server.sdist) == sorted({*kept_files(), "PKG-INFO"})


def test_client_s_sdist_holds_what_its_wheel_holds(client: Built) -> None:
    others = {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", ".gitignore"}
    assert set(sdist_names(client.sdist)) == wheel_names(client.wheel) | others


@pytest.mark.parametrize("name", ["server", "client"])
def test_sdist_builds_itself_and_the_same_wheel_whatever_lies_around(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    built: Built = request.getfixturevalue(name)
    folder = unpacked(built.sdist, tmp_path / "unpacked")
    for stray in (
        "node_modules/a/index.js",
        "clients/typescript/node_modules/a/index.js",
        ".venv/pyvenv.cfg",
    ):
        (folder / stray).parent.mkdir(parents=True, exist_ok=True)
        (folder / stray).write_text("")
    again = build(folder, tmp_path / "again")
    assert sdist_names(again.sdist) == sdist_names(built.sdist)
    assert again.wheel.read_bytes() == built.wheel.read_bytes()
