"""Runs a command in a terminal of its own, as a person does: with a size, keys, and a screen that is written to."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

DEADLINE_S = 100.0
AGAIN_S = 10.0

_TAKE_TERMINAL = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""

_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


class Terminal:
    """A command in a terminal, for a `with` block, at the end of which it is killed if it still runs.

    Attributes:
        seen: all that was written so far, without colours and movements of the cursor.
    """

    def __init__(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        columns: int = 80,
        lines: int = 24,
        *,
        kind: str = "xterm-256color",
    ) -> None:
        self._master, slave = pty.openpty()
        self.resize(columns, lines)
        plain = {name: value for name, value in environ.items() if name not in {"COLUMNS", "LINES"}}
        # Its own session with the terminal as the controlling one, so that Ctrl-C reaches it and nothing else.
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _TAKE_TERMINAL, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**plain, "TERM": kind},
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""
        self.raw = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size, as a person who drags the window."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: str) -> None:
        """Press keys; "\\x03" is Ctrl-C."""
        os.write(self._master, keys.encode())

    def until(self, text: str) -> None:
        """Wait until a text is written after what was awaited before.

        Raises:
            AssertionError: it did not come in time; with all that was seen.
        """
        deadline_s = time.monotonic() + DEADLINE_S
        while (place := self.seen.find(text)) < 0:
            assert time.monotonic() < deadline_s, f"no {text!r} in {self.seen!r}"
            is_open = self._read(0.1)
            assert is_open or text in self.seen, f"ended without {text!r}: {self.seen!r}"
        self.seen = self.seen[place + len(text) :]

    def exit_code(self) -> int:
        """Wait for its end and return its exit code."""
        deadline_s = time.monotonic() + DEADLINE_S
        while self._read(0.1) and time.monotonic() < deadline_s:
            pass
        return self.process.wait(DEADLINE_S)

    def answer(self, keys: str) -> int:
        """Press keys at a prompt that ends the command then, and return its exit code.

        They are pressed again if nothing happens: Python's input() waits on if a Ctrl-C comes between its prompt and
        its wait for a key. A busy machine may leave it there, and no person is so quick.
        """
        while True:
            self.press(keys)
            deadline_s = time.monotonic() + AGAIN_S
            while time.monotonic() < deadline_s:
                if not self._read(0.1):
                    return self.exit_code()

    def _read(self, timeout_s: float) -> bool:
        """Read what is there. Return False once the command has closed its terminal."""
        if not select.select([self._master], [], [], timeout_s)[0]:
            return self.process.poll() is None
        try:
            content = os.read(self._master, 65_536)
        except OSError:  # Linux reports the end of a terminal so
            return False
        self.raw += content
        self.seen += _CONTROL.sub(b"", content).decode(errors="replace")
        return bool(content)
