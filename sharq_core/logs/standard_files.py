"""Makes stdin, stdout and stderr usable even if the parent closed them, and writes to them without waiting."""

from __future__ import annotations

import atexit
import io
import logging
import os
import sys
from collections.abc import Callable
from typing import TextIO

from sharq_core.logs.line_queue import Descriptor, LineQueue, flush_queues, open_queue

log = logging.getLogger(__name__)

_STDOUT, _STDERR = 1, 2
_LAST = _STDERR
"""The greatest number of a standard file: 0 is stdin, 1 stdout, 2 stderr."""


def open_standard_files() -> None:
    """Open closed standard files on the null device.

    A socket would get a standard file's number otherwise. Output would go to a client then, and uvloop aborts the
    process when that socket is closed.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= _LAST:
        os.set_inheritable(opened, True)  # noqa: FBT003 - the signature of the standard library
    os.close(opened)
    if sys.stdout is None:
        sys.stdout = open(_STDOUT, "w", closefd=False)  # noqa: SIM115 - for the life of the process
    if sys.stderr is None:
        sys.stderr = open(_STDERR, "w", closefd=False)  # noqa: SIM115 - for the life of the process


class AsideStream(io.TextIOBase):
    """A text stream whose lines a thread writes: writing never waits.

    Args:
        stream: the stream that it replaces.
    """

    def __init__(self, stream: TextIO, queue: LineQueue) -> None:
        self._stream = stream
        self._queue = queue
        self._begun = ""

    @property
    def encoding(self) -> str:  # type: ignore[override] # a property there, too, that is not set
        """The encoding of what is written."""
        return "utf-8"

    def write(self, text: str) -> int:
        """Queue whole lines; an incomplete line waits for its end or for a flush."""
        lines, newline, begun = (self._begun + text).rpartition("\n")
        self._begun = begun
        if newline:
            self._put(lines + newline)
        return len(text)

    def flush(self) -> None:
        """Queue an incomplete line."""
        begun, self._begun = self._begun, ""
        if begun:
            self._put(begun)

    def fileno(self) -> int:
        """Return the descriptor of the replaced stream."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Return True if the replaced stream is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    def _put(self, text: str) -> None:
        self._queue.put(text.encode(errors="backslashreplace"))


def write_aside(lost_line: Callable[[int], bytes]) -> None:
    """Let threads write everything that goes to stdout and stderr from now on.

    Streams that are not the process's own, as in a test, stay as they are.

    Args:
        lost_line: makes the line that reports lost lines on stderr.
    """
    own: tuple[TextIO, TextIO] = (sys.stdout, sys.stderr)
    if own != (sys.__stdout__, sys.__stderr__):
        return
    stdout = open_queue("stdout", Descriptor(_STDOUT, _say_stdout_lost))
    stderr = open_queue("stderr", Descriptor(_STDERR, lambda _: None, lost_line))
    sys.stdout, sys.stderr = AsideStream(own[0], stdout), AsideStream(own[1], stderr)
    atexit.register(_end, *own)


def _say_stdout_lost(reason: str) -> None:
    log.warning("stdout_lost error=%r", reason)


def _end(stdout: TextIO, stderr: TextIO) -> None:
    """Write the remaining lines. Later output goes to the streams themselves, unless their reader is stalled."""
    sys.stdout.flush()
    sys.stderr.flush()
    if flush_queues():
        sys.stdout, sys.stderr = stdout, stderr


def announce(text: str) -> None:
    """Write to stdout at once: a person or a script may wait for it. A closed stdout does not end the service."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _say_stdout_lost(str(error))
        _discard_stdout()


def _discard_stdout() -> None:
    """Send stdout to the null device: unwritten text would be tried again at the end, and fail then."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
