"""Says what a test does without a tool of this machine."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing_tool(tool: str) -> NoReturn:
    """Skip the test because a tool is missing; with CI set in the environment fail it."""
    reason = f"{tool} is not installed"
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(reason)
    pytest.fail(reason, pytrace=False)
