"""The files that a process begins with, whatever whoever started it has made of them, and what is said on stdout.

Not here: the log (logs.py).
"""

from __future__ import annotations

import logging
import os
import sys

log = logging.getLogger(__name__)

_LAST = 2
"""0 is stdin, 1 stdout, 2 stderr."""


def open_standard_files() -> None:
    """Open those that are closed, on nothing.

    A socket would get the number of one of them otherwise: what is written there would go to a client, and uvloop
    aborts the process when that socket is closed.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= _LAST:
        os.set_inheritable(opened, True)
    os.close(opened)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for the life of the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - for the life of the process


def announce(text: str) -> None:
    """Write to stdout, at once: a person or a script may wait for it. That nobody reads it any more ends no service."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        log.warning("stdout_lost error=%r", str(error))
        _discard_stdout()


def _discard_stdout() -> None:
    """What was not written would be tried again at the end, and be an error then."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
