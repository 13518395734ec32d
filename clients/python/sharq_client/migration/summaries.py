"""Defines what an import tells its caller: progress while it runs, a summary at its end, and its errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

MOST_REFUSALS = 100
"""The most refused jobs that a summary names."""


class MissingExtra(ImportError):
    """A package is missing that the extra `import` of this distribution installs."""


class Refusal(msgspec.Struct, frozen=True):
    """A job that was not moved. It is still at the source.

    Attributes:
        queue_type, queue_id: the queue that it was to go to, as far as that is known; "" if not.
        job_id: its id at the source.
        reason: why it was not moved.
    """

    queue_type: str
    queue_id: str
    job_id: str
    reason: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of an import.

    Attributes:
        moved: the number of jobs that the new server has so far.
        total: the number of jobs to move that are known so far. It grows while producers send to the source.
        queues: the number of queues that were taken over so far.
        leased: the number of jobs that workers of the source still hold.
    """

    moved: int
    total: int
    queues: int
    leased: int


OnProgress: TypeAlias = Callable[[Progress], None]
"""A function that an import calls now and then, in its own thread."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an import or, of a dry run, what an import would do now.

    Attributes:
        dry_run: True if nothing was changed.
        types: the number of queue types.
        queues: the number of queues that were taken over in this run.
        moved: the number of jobs that the new server has acknowledged in this run; in a dry run, that it would get.
        duplicates: how many of these the new server had already, as after an interrupted run.
        waiting: the number of jobs that still wait at the source, as those for a queue that is full here.
        leased: the number of jobs that workers of the source held at the end.
        returned: the number of jobs that were put back into their queue because their lease had ended.
        discarded: the number of jobs whose lease had ended and that had no requeue left.
        without_interval: the number of queues with jobs whose interval the original has forgotten.
        without_payload: the number of job ids at the source that had no payload, such as the second of two equal ids.
        refused: the number of jobs that cannot be moved, or of which it is not known if they were.
        refusals: the first of these, each with its reason.
        seconds: how long it took.
    """

    dry_run: bool = False
    types: int = 0
    queues: int = 0
    moved: int = 0
    duplicates: int = 0
    waiting: int = 0
    leased: int = 0
    returned: int = 0
    discarded: int = 0
    without_interval: int = 0
    without_payload: int = 0
    refused: int = 0
    refusals: tuple[Refusal, ...] = ()
    seconds: float = 0.0


class Tally:
    """The numbers of an import while it runs, from which progress and summary are made."""

    def __init__(self) -> None:
        self.types: set[str] = set()
        self.queues = 0
        self.moved = 0
        self.duplicates = 0
        self.waiting = 0
        self.leased = 0
        self.returned = 0
        self.discarded = 0
        self.without_interval = 0
        self.without_payload = 0
        self.refused = 0
        self.refusals: list[Refusal] = []

    def refuse(self, refusal: Refusal) -> None:
        """Count a refused job, and keep it if it is one of the first."""
        self.refused += 1
        if len(self.refusals) < MOST_REFUSALS:
            self.refusals.append(refusal)

    def progress(self) -> Progress:
        """Return the progress so far."""
        total = self.moved + self.waiting
        return Progress(moved=self.moved, total=total, queues=self.queues, leased=self.leased)

    def summary(self, seconds: float, *, dry_run: bool = False) -> Summary:
        """Return the summary at the end."""
        return Summary(
            dry_run=dry_run,
            types=len(self.types),
            queues=self.queues,
            moved=self.moved,
            duplicates=self.duplicates,
            waiting=self.waiting,
            leased=self.leased,
            returned=self.returned,
            discarded=self.discarded,
            without_interval=self.without_interval,
            without_payload=self.without_payload,
            refused=self.refused,
            refusals=tuple(self.refusals),
            seconds=seconds,
        )
