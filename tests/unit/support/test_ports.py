"""Ports of test processes that run side by side."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack

COUNT = 4
PROGRAM = (
    "import sys; from tests.support.ports import free_port;"
    "print(*(free_port() for _ in range(300)), flush=True); sys.stdin.read()"
)


def test_no_two_processes_get_the_same_port() -> None:
    """They may belong to different runs of the tests, so that nothing else tells them apart."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for _ in range(COUNT)
        ]
        given = []
        for process in processes:
            assert process.stdout is not None
            given.append(set(process.stdout.readline().split()))
        assert all(given)
        assert sum(map(len, given)) == len(set().union(*given))
        for process in processes:
            process.communicate()
