"""Keeps how far the jobs of a file are enqueued, so that a run that ended early can go on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec


class Reached(msgspec.Struct, frozen=True):
    """The position in a file up to which its jobs are enqueued.

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

    def try_out(self) -> None:
        """Write a file like it and remove that again, so that a run finds out before it has sent anything.

        Raises:
            OSError: the file could not be written.
        """
        if self.path is not None:
            with self._written_beside(Reached()):
                pass

    def save(self, reached: Reached) -> None:
        """Keep how far the run is.

        Raises:
            OSError: the file cannot be written. It is as it was.
        """
        if self.path is not None:
            with self._written_beside(reached) as written:
                written.replace(self.path)

    def remove(self) -> None:
        """Remove the file, if there is one."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def _written_beside(self, reached: Reached) -> Iterator[Path]:
        """Write the content into a file beside it, which is gone afterwards unless it was put in its place."""
        assert self.path is not None
        written = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            written.write_bytes(msgspec.json.encode(reached))
            yield written
        finally:
            written.unlink(missing_ok=True)
