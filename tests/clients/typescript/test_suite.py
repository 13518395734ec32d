"""The tests of the TypeScript client, which Node's own test runner runs on a real server."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.clients.typescript.workspace import SUITE, Workspace
from tests.support.foreign.libraries import node
from tests.support.processes.servers import SharqServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FILES = sorted(path.name.removesuffix(".test.ts") for path in SUITE.glob("*.test.ts"))
DEADLINE_S = 240.0


@pytest.mark.parametrize("name", FILES)
def test_the_suite_passes(name: str, workspace: Workspace, server: SharqServer) -> None:
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("SHARQ_")},
        "TEST_SERVER_URL": server.url,
        "TEST_PYTHON": sys.executable,
    }
    done = subprocess.run(
        [node(), "--test", "--test-reporter=spec", f"dist/{name}.test.js"],
        cwd=workspace.suite,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " skipped 0\n" in done.stdout
    assert " pass 0\n" not in done.stdout, "the file has no tests"
