"""One process, one event loop: the loop and the exit status.

Not here: what the process does, what ends it (stopping.py), and its log (logs.py).
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any

EXIT_FAILED = 1
"""It cannot start, or cannot go on."""

_COLLECT_EVERY = 20_000
"""Allocations of containers, less those freed, between two looks of the collector at the youngest."""

EXIT_MISCONFIGURED = 2
"""The configuration or the command line is wrong."""


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run the work on a new event loop, uvloop's where that is installed; returns what the work returns."""
    _spare_the_collector()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def fail(program: str, exit_status: int, error: Exception) -> int:
    """Say on stderr why the program ends; returns the exit status."""
    sys.stderr.write(f"{program}: {error}\n")
    return exit_status


def _spare_the_collector() -> None:
    """Have the cycle collector look at less and less often.

    What was imported stays for the life of the process, and a request makes no cycles worth the default's walk every
    700 allocations: that took an eighth of the time of a single enqueue.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 20, 20)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - it may be missing
    except ImportError:
        return None
    return uvloop.new_event_loop
