"""Says what a test does without a tool of this machine."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing_tool(tool: str) -> NoReturn:
    """Skip the test because a tool is missing; with CI set in the environment fail it."""
    reason = f"{tool} is not installed"
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(reason)
    pytest.fail(reason, pytrace=False)


def chromium_program() -> str:
    """Return the path of Chromium; skip the test, or fail it in CI, if there is none.

    Its headless shell takes half of the processor time, so it comes first. Debian packs it apart.
    """
    found = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    return found or missing_tool("chromium")
