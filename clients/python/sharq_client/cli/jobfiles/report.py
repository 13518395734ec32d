"""Counts the outcomes of the jobs of a file, and reports each line that failed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from sharq_client.cli.jobfiles.lines import Record
from sharq_client.cli.jobfiles.progress_file import Reached
from sharq_client.errors import SharqError

MAX_TOLD = 100
"""The most lines that are reported one by one. A wrong column would report every line of the file."""

_PLACE = re.compile(r"^jobs\[\d+\]\.?")
"""The place of a job in its call, in a message of the server. A person knows it by its line."""


class FailedLine(msgspec.Struct, frozen=True):
    """A line whose job is not enqueued."""

    line: int
    code: str
    message: str


class FileSummary(msgspec.Struct, frozen=True):
    """The result of a run, as --json writes it.

    Attributes:
        queued: jobs that the server has from this run.
        duplicates: jobs that it had already.
        failed: lines whose jobs are not enqueued.
        failures: the first MAX_TOLD of them.
        line: the last line up to which all jobs are answered.
        is_complete: True if the whole file was sent.
        seconds: the time that it took.
    """

    queued: int
    duplicates: int
    failed: int
    failures: list[FailedLine]
    line: int
    is_complete: bool
    seconds: float


class FileReport:
    """The counts of one run.

    Args:
        name: the name of the file, for messages.
        tell: is called with the message of each of the first MAX_TOLD failed lines.
        rejected: a file that gets the failed lines as they are; None for none.
        header: is written to it first if it is empty.

    Attributes:
        reached: the position up to which all jobs are answered.
        read_bytes: the same as bytes of the stored file.
    """

    def __init__(
        self, name: str, tell: Callable[[str], None], rejected: BinaryIO | None = None, header: bytes = b""
    ) -> None:
        self._name = name
        self._tell = tell
        self._rejected = rejected
        self._header = header
        self._started_s = time.monotonic()
        self.queued = self.duplicates = self.failed = 0
        self._failures: list[FailedLine] = []
        self.reached = Reached()
        self.read_bytes = 0

    @property
    def sent(self) -> int:
        """The number of jobs that the server has answered."""
        return self.queued + self.duplicates + self.failed

    def enqueued(self, *, is_duplicate: bool) -> None:
        """Count a job that the server has."""
        self.queued += not is_duplicate
        self.duplicates += is_duplicate

    def bad(self, record: Record, problem: str) -> None:
        """Count a line that is no job."""
        self._failed(record, "bad_line", problem)

    def refused(self, record: Record, error: SharqError) -> None:
        """Count a job that the server refused."""
        self._failed(record, error.code, _PLACE.sub("", error.message))

    def flush_rejected(self) -> None:
        """Write the failed lines so far into their file.

        Raises:
            OSError: they cannot be written.
        """
        if self._rejected is not None:
            self._rejected.flush()

    def summary(self, *, is_complete: bool) -> FileSummary:
        """Return the result so far."""
        return FileSummary(
            self.queued,
            self.duplicates,
            self.failed,
            self._failures,
            self.reached.line,
            is_complete,
            round(time.monotonic() - self._started_s, 3),
        )

    def _failed(self, record: Record, code: str, message: str) -> None:
        self.failed += 1
        if self._rejected is not None:
            self._rejected.write(
                (self._header if self.failed == 1 else b"") + record.text.rstrip(b"\r\n") + b"\n"
            )
        if self.failed <= MAX_TOLD:
            self._failures.append(FailedLine(record.line, code, message))
            self._tell(f"sharq: {self._name}:{record.line}: {message}")
        if self.failed == MAX_TOLD:
            self._tell(f"sharq: {self._name}: further lines that fail are only counted")
