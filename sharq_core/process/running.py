"""One process, one event loop: logging, the loop and the exit status.

Not here: what the process does, and what ends it (stopping.py).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

EXIT_FAILED = 1
"""It cannot start, or cannot go on."""

EXIT_MISCONFIGURED = 2
"""The configuration or the command line is wrong."""


def log_to_stderr() -> None:
    """A line an event on stderr, from INFO up; stdout is for what a person waits for."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run the work on a new event loop, uvloop's where that is installed; returns what the work returns."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def fail(program: str, exit_status: int, error: Exception) -> int:
    """Say on stderr why the program ends; returns the exit status."""
    sys.stderr.write(f"{program}: {error}\n")
    return exit_status


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - it may be missing
    except ImportError:
        return None
    return uvloop.new_event_loop
