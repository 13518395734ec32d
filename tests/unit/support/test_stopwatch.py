"""Times on a processor that two processes want."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.stopwatch import Stopwatch, running_stopwatch
from tests.support.waits import wait_until

LEAST_S = 0.1


@pytest.fixture
def rivals() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes that want the same processor all the time."""
    with ExitStack() as stack:
        rivals = [
            stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            for _ in range(2)
        ]
        for process in rivals:
            stack.callback(process.kill)
            os.sched_setaffinity(process.pid, [min(os.sched_getaffinity(0))])
        yield rivals


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the waits")
def test_a_bound_has_the_time_for_which_children_waited_for_a_processor(
    rivals: list[subprocess.Popen[bytes]],
) -> None:
    with running_stopwatch() as stopwatch:
        wait_until(lambda: stopwatch.waited_s > 2 * LEAST_S, what="one of two processes waits")
        for process in rivals:
            process.kill()
            process.wait()
        assert stopwatch.waited_s > LEAST_S, "it stays when they have ended"
        stopwatch.assert_within(stopwatch.elapsed_s - LEAST_S)


def test_a_bound_holds_for_who_did_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_stopwatch() as stopwatch:
        monkeypatch.setattr(Stopwatch, "waited_s", 0.0)
        stopwatch.assert_within(60.0)
        with pytest.raises(AssertionError, match=r"until it ends, .* 0 s are promised"):
            stopwatch.assert_within(0.0, "it ends")
