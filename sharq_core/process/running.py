"""One process, one event loop: the loop and the exit status.

Not here: what the process does, what ends it (stopping.py), and its log (logs.py).
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from sharq_core.errors import ConfigError
from sharq_core.logs.setup import log_to_stderr, lost_line
from sharq_core.logs.standard_files import open_standard_files, write_aside
from sharq_core.process.stopping import ignore_signals

EXIT_FAILED = 1
"""It cannot start, or cannot go on."""

_COLLECT_EVERY = 20_000
"""Allocations of containers, less those freed, between two looks of the collector at the youngest."""

_MOST_FILES = 1 << 16

EXIT_MISCONFIGURED = 2
"""The configuration or the command line is wrong."""


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run the work on a new event loop, uvloop's where that is installed; returns what the work returns."""
    _spare_the_collector()
    _allow_files()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def run_program(
    program: str, work: Callable[[], Coroutine[Any, Any, int]], *failures: type[Exception]
) -> int:
    """Run a command to its end.

    Args:
        work: reads the command line and then does what it says; returns the exit status.
        failures: the errors that mean that it cannot start or go on; their message is all that is said.

    Returns:
        its exit status: what the work returns, EXIT_FAILED, or EXIT_MISCONFIGURED for a ConfigError.
    """
    open_standard_files()
    write_aside(lost_line)
    log_to_stderr()
    ignore_signals()
    try:
        return run(work())
    except ConfigError as error:
        return _fail(program, EXIT_MISCONFIGURED, error)
    except failures as error:
        return _fail(program, EXIT_FAILED, error)


def _fail(program: str, exit_status: int, error: Exception) -> int:
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


def _allow_files() -> None:
    """Let the process open as many files as it may: each connection is one, and many systems begin at 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - it may be missing
    except ImportError:
        return None
    return uvloop.new_event_loop
