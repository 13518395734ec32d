"""Reads single keys from a terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATED = 128 + signal.SIGTERM
"""The exit code after SIGTERM, as a shell reports it."""


@contextmanager
def restored_after_sigterm() -> Iterator[None]:
    """Let SIGTERM end the program in good order during the block, so that the terminal is as it was before."""
    previous = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _exit(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the interface of a handler
    sys.exit(TERMINATED)


class Keys:
    """The keyboard. Without a terminal there are no keys, and `next` only waits."""

    def __init__(self) -> None:
        self._is_open = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Get each key as it is pressed during the block, without echo. Ctrl-C still interrupts."""
        if sys.platform == "win32" or not sys.stdin.isatty():
            yield
            return
        import termios  # noqa: PLC0415 - not on every system
        import tty  # noqa: PLC0415

        before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    def next(self, timeout_s: float) -> str:
        """Return the next key, or an empty text if none is pressed within the timeout."""
        if not self._is_open:
            time.sleep(timeout_s)
            return ""
        is_ready, _, _ = select.select([sys.stdin], [], [], timeout_s)
        return os.read(sys.stdin.fileno(), 1).decode("ascii", "ignore") if is_ready else ""
