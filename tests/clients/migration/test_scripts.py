"""The scripts of the imports have no name that luacheck does not know."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import sharq_client.migration
from tests.support.tools import missing_tool

GLOBALS = ("redis", "KEYS", "ARGV", "MARK", "FAR", "SUPERSEDED")


def test_luacheck_has_no_warnings_about_the_scripts() -> None:
    luacheck = shutil.which("luacheck")
    if luacheck is None:
        missing_tool("luacheck")
    scripts = sorted(Path(sharq_client.migration.__file__).parent.rglob("*.lua"))
    assert len(scripts) == 12
    options = ["--no-config", "--no-color", "--std", "lua51", "--globals", *GLOBALS, "--"]
    done = subprocess.run([luacheck, *options, *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
