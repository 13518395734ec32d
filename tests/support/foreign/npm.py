"""Installs the npm packages that a package-lock.json names, once for all runs, outside of the clone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.foreign.libraries import installed
from tests.support.tools import missing_tool

FILES = ("package.json", "package-lock.json")


def npm_ci(folder: Path, name: str) -> Path:
    """Return a folder that has the packages of the folder's package-lock.json in `node_modules`.

    Args:
        name: the begin of the name of the returned folder.
    """
    npm = shutil.which("npm") or missing_tool("npm")

    def install(target: Path) -> None:
        for file in FILES:
            shutil.copy(folder / file, target)
        subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=target, check=True)

    return installed(name, tuple((folder / file).read_text() for file in FILES), install)
