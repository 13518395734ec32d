"""Builds the TypeScript client and compiles its tests, once for all test processes and all runs with these sources."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import msgspec

from tests.support.foreign.libraries import installed, node
from tests.support.tools import missing_tool

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "clients" / "typescript"
SUITE = Path(__file__).parent / "suite"
PAGE = (ROOT / "docs" / "typescript.md").read_text()
PROGRAMS = dict(re.findall(r"^```ts\n// (\w+)\.ts\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
"""The programs of the page, by name."""

NOT_COPIED = ("node_modules", "dist", "*.tgz")
BUILD_DEADLINE_S = 300.0


class Workspace(msgspec.Struct, frozen=True):
    """A folder with what was built.

    Attributes:
        client: a copy of the package with `dist`.
        suite: a copy of the tests, and of the page's programs in `page`, compiled to `dist`.
        tools: the folder `node_modules` with the compiler and the other tools of the package.
    """

    client: Path
    suite: Path
    tools: Path


def npm(*arguments: str, cwd: Path) -> str:
    """Run npm, and return what it wrote. It asks no registry for anything but packages."""
    if shutil.which("npm") is None:
        missing_tool("npm")
    return run("npm", *arguments, "--no-audit", "--no-fund", "--no-update-notifier", cwd=cwd)


def run(*words: str | Path, cwd: Path) -> str:
    """Run a command to its end, and return what it wrote; its failure shows that."""
    done = subprocess.run(
        words,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout}"
    return done.stdout


def tools() -> Path:
    """Return the `node_modules` of the package's lock file, installed once for all runs."""
    lock = (PACKAGE / "package-lock.json").read_bytes()

    def install(target: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PACKAGE / name, target)
        npm("ci", "--ignore-scripts", cwd=target)

    return installed("typescript", (hashlib.sha256(lock).hexdigest(),), install) / "node_modules"


def tsc(tools: Path, *arguments: str, cwd: Path) -> str:
    """Run the TypeScript compiler."""
    return run(node(), tools / "typescript" / "bin" / "tsc", *arguments, cwd=cwd)


def copy_package(target: Path, tools: Path) -> None:
    """Copy the sources of the package, with its tools."""
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (target / "node_modules").symlink_to(tools)


def built_workspace(folder: Path) -> Workspace:
    """Return the workspace of these sources in a folder, built by the first process that asks.

    Of the workspaces of other sources the newest stays, for a run that began before the sources were changed.
    """
    node()
    made = folder / _digest()
    workspace = Workspace(client=made / "client", suite=made / "suite", tools=tools())
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            unfinished = folder / "new"
            shutil.rmtree(unfinished, ignore_errors=True)
            others = sorted((path for path in folder.iterdir() if path.is_dir()), key=_made_at)
            for outdated in others[:-1]:
                shutil.rmtree(outdated)
            unfinished.mkdir()
            _build(unfinished, workspace.tools)
            unfinished.rename(made)
    return workspace


def _digest() -> str:
    """Return a short name of all that a workspace is made of."""
    places = [place for place in PACKAGE.iterdir() if place.name not in NOT_COPIED]
    package = [path for place in places for path in (place, *place.rglob("*"))]
    paths = sorted(path for path in (*package, *SUITE.iterdir(), Path(__file__)) if path.is_file())
    made_of = hashlib.sha256(f"{run(node(), '--version', cwd=ROOT)}{PAGE}".encode())
    for path in paths:
        made_of.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return made_of.hexdigest()[:16]


def _made_at(path: Path) -> float:
    return path.stat().st_mtime


def _build(folder: Path, tools: Path) -> None:
    copy_package(folder / "client", tools)
    npm("run", "build", cwd=folder / "client")
    shutil.copytree(SUITE, folder / "suite")
    modules = folder / "suite" / "node_modules"
    modules.mkdir()
    (modules / "sharq-client").symlink_to("../../client")
    (modules / "@types").symlink_to(tools / "@types")
    (folder / "suite" / "package.json").write_text('{"type": "module"}')
    page = folder / "suite" / "page"
    page.mkdir()
    for name, text in PROGRAMS.items():
        program = text.replace('"http://127.0.0.1:8080"', 'process.env["TEST_URL"] ?? ""')
        assert program != text, f"{name} names no server"
        (page / f"{name}.ts").write_text(program)
    tsc(tools, cwd=folder / "suite")
