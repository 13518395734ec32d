"""Keeps how far the jobs of a file are enqueued, so that a run that ended early can go on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

SAVE_EVERY_S = 1.0


class Reached(msgspec.Struct, frozen=True):
    """How far a file is enqueued.

    Attributes:
        line: the last line whose job was sent and answered; 0 for none.
        digest: the hash of all records up to it, so that another file under the same name is noticed.
        run: the text that the ids of the jobs depend on.
    """

    line: int = 0
    digest: str = ""
    run: str = ""


class ProgressFile:
    """The file that holds how far a run is. It is gone once the run is complete.

    Args:
        path: its path; None to keep nothing, as for stdin.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._saved_at_s = 0.0

    def read(self) -> Reached | None:
        """Return how far an earlier run has come; None if there was none.

        Raises:
            ValueError: the file is damaged.
        """
        if self.path is None:
            return None
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Reached)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise ValueError(
                f"{self.path}: is no progress of an enqueue ({error}); --restart ignores it"
            ) from None

    def save(self, reached: Reached, *, now: bool = False) -> None:
        """Keep how far the run is, at most once in SAVE_EVERY_S unless it has to be now.

        Raises:
            OSError: the file cannot be written.
        """
        if self.path is None or not (now or time.monotonic() - self._saved_at_s >= SAVE_EVERY_S):
            return
        written = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        written.write_bytes(msgspec.json.encode(reached))
        written.replace(self.path)
        self._saved_at_s = time.monotonic()

    def remove(self) -> None:
        """Remove the file, if there is one."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
