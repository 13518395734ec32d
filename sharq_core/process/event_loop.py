"""Runs a process on one event loop and returns its exit status."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from sharq_core._compat.uvloop import ignore_cut_handshakes
from sharq_core.errors import ConfigError
from sharq_core.logs.setup import log_to_stderr, lost_line
from sharq_core.logs.standard_files import open_standard_files, write_aside
from sharq_core.process.stop import ignore_signals

EXIT_FAILED = 1
"""The exit status of a process that cannot start or cannot continue."""

_COLLECT_EVERY = 20_000
"""Net allocations of containers between two collections of the youngest generation."""

_MOST_FILES = 1 << 16

EXIT_MISCONFIGURED = 2
"""The exit status of a wrong configuration or command line."""


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run the work on a new event loop (uvloop's if it is installed) and return the work's result."""
    _spare_the_collector()
    _allow_files()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def run_program(
    program: str, work: Callable[[], Coroutine[Any, Any, int]], *failures: type[Exception]
) -> int:
    """Run a command to its end.

    Args:
        work: reads the command line and carries it out; returns the exit status.
        failures: the errors that mean that the command cannot start or continue; only their message is printed.

    Returns:
        the exit status: the work's own, EXIT_FAILED, or EXIT_MISCONFIGURED for a ConfigError.
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
    """Write to stderr why the program ends; return the exit status."""
    sys.stderr.write(f"{program}: {error}\n")
    return exit_status


def _spare_the_collector() -> None:
    """Run the cycle collector less often.

    Imported objects stay for the life of the process, and requests make few cycles. The default, a collection every 700
    allocations, took an eighth of the time of a single enqueue.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 20, 20)


def _allow_files() -> None:
    """Raise the limit on open files as far as allowed: each connection is one, and many systems start at 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - it may be missing
    except ImportError:
        return None

    def make() -> asyncio.AbstractEventLoop:
        loop = uvloop.new_event_loop()
        ignore_cut_handshakes(loop)
        return loop

    return make
