"""Opens the file of a log that a thread writes, and opens it again after it was moved away."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from sharq_core.logs.line_queue import Descriptor


class LogFile:
    """The file of a log, a Target of its LineQueue. It is reopened after it was moved away and at a reload.

    A line that cannot be written is lost, and nothing else is affected. The process's log says when losses begin and
    end, and does not report each line.

    Args:
        name: begins the events of losses, as `access_log`.
        mode: the permissions of a new file, less those that the process's umask takes away.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, name: str, log: logging.Logger, mode: int = 0o666) -> None:
        self.path = path
        self._name = name
        self._log = log
        self._mode = mode
        self._file: Descriptor | None = None
        self._number = -1
        self._is_stale = False
        self._open()

    def reopen(self) -> Sequence[str]:
        """Reopen the file before the next line."""
        self._is_stale = True
        return ()

    def write(self, data: bytes) -> None:
        """Write some lines, as Target.write describes."""
        if self._is_stale or self._file is None or not self._is_in_place():
            self._close()
            self._open()
        if self._file is not None:
            self._file.write(data)

    def on_loss(self, reason: str) -> None:
        """Log that lines are lost from now on, as Target.on_loss describes."""
        self._log.warning(f"{self._name}_lost path=%s error=%r", self.path, reason)

    def on_room(self, _lost: int, /) -> bytes:
        """Return nothing. Losses are reported in the process's log, since every line here is an entry."""
        return b""

    def said(self, lost: int) -> None:
        """Log that lines are written again, as Target.said describes."""
        self._log.info(f"{self._name}_back path=%s lost=%d", self.path, lost)

    def _open(self) -> None:
        # Non-blocking: opening a pipe that has no reader would block the start.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        self._number = os.open(self.path, flags, self._mode)
        self._file = Descriptor(self._number, self.on_loss)
        self._is_stale = False

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._number)
        self._file = None

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._number))
        except FileNotFoundError:
            return False
