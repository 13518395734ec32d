"""The quick start and the tutorials do what they say, step by step, on a server of their own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.docs.walk import Walk
from tests.support.processes.servers import SharqServer
from tests.support.tools import missing_tool

TUTORIALS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.mark.parametrize("language", ["console", "python"])
async def test_quick_start(server: SharqServer, tmp_path: Path, language: str) -> None:
    if language == "console" and shutil.which("curl") is None:
        missing_tool("curl")
    walk = Walk("docs/quickstart.md", server, tmp_path, {language})
    assert len(walk.blocks) == 4
    await walk.follow()


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS)
async def test_tutorial(
    server: SharqServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.chdir(tmp_path)
    walk = Walk(page, server, tmp_path, {"console", "python"})
    assert len(walk.blocks) >= 7
    await walk.follow()
    if page.endswith("carrier.md"):
        assert_the_limit_was_kept(list(walk.worker_lines()))


def assert_the_limit_was_kept(lines: list[str]) -> None:
    """20 messages are 40 segments: no more of them leave in a second, apart from the burst at the start."""
    ends_s = [float(found[1]) for line in lines if (found := re.match(r"after (\d+\.\d) s: ", line))]
    assert len(ends_s) == 3
    assert ends_s[2] - ends_s[0] >= 1.9
