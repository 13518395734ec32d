"""Shows the progress of a run on a terminal: a bar with the rate and the time that remains."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sharq_client.cli.jobfiles.report import FileReport

RATE_OVER_S = 5.0
"""The time over which the rate is measured."""


class Meter:
    """The bar, during a `with` block. Without a terminal it shows nothing, and `tell` writes plain lines.

    Args:
        size_bytes: the size of the file; None if it is not known. The meter then only counts.
    """

    def __init__(self, size_bytes: int | None) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        columns: list[ProgressColumn] = [
            TextColumn("{task.fields[jobs]:,} jobs"),
            TextColumn("{task.fields[rate]:,.0f}/s"),
        ]
        if size_bytes:
            columns = [
                BarColumn(None),
                TextColumn("{task.percentage:>3.0f} %"),
                *columns,
                TextColumn("ETA"),
                TimeRemainingColumn(),
            ]
        else:
            columns.append(TimeElapsedColumn())
        self._progress = Progress(
            *columns, console=self._console, expand=bool(size_bytes), disable=not self._console.is_terminal
        )
        self._task = self._progress.add_task("", total=size_bytes or None, jobs=0, rate=0.0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def tell(self, text: str) -> None:
        """Write a line to stderr, above the bar."""
        self._console.print(text, markup=False, soft_wrap=True)

    def show(self, report: FileReport) -> None:
        """Bring the bar up to date."""
        now_s = time.monotonic()
        self._samples.append((now_s, report.sent))
        while self._samples[0][0] < now_s - RATE_OVER_S and len(self._samples) > 2:
            self._samples.popleft()
        since_s, sent = self._samples[0]
        rate = (report.sent - sent) / max(now_s - since_s, 0.001)
        self._progress.update(self._task, completed=report.read_bytes, jobs=report.sent, rate=rate)
