"""Defines the numbers of a batch: jobs of one type that carry the same id.

Each partition counts its part of a batch (sharq_core/scheduler/lua/batches.lua).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec


class BatchCounts(msgspec.Struct, frozen=True, array_like=True):
    """The jobs of a batch by state.

    Attributes:
        cancelled: the number of jobs that were cancelled, deleted with their queues or dropped, alive or dead.
        is_cancelled: True if the batch was cancelled: it takes no further jobs.
        is_over: True if its last job ended so long ago that it may be forgotten.
    """

    queued: int = 0
    delayed: int = 0
    leased: int = 0
    finished: int = 0
    dead: int = 0
    cancelled: int = 0
    is_cancelled: bool = False
    is_over: bool = False

    @property
    def total(self) -> int:
        """The number of all jobs that were accepted with this batch."""
        return self.queued + self.delayed + self.leased + self.finished + self.dead + self.cancelled


class BatchState(enum.IntEnum):
    """The state of a batch in one partition."""

    UNKNOWN = 0
    OVER = 1
    """Its last job there ended so long ago that it may be forgotten."""
    GOES_ON = 2


class BatchStep(msgspec.Struct, frozen=True, array_like=True):
    """The answer of one step of the cancellation of a batch in a partition.

    Attributes:
        cancelled: the number of jobs that this step cancelled.
        scan: the cursor of the next step; empty at the end.
    """

    cancelled: int
    scan: str


def sum_of(parts: Iterable[BatchCounts]) -> BatchCounts:
    """Return the numbers of a batch from those of its partitions."""
    counts = list(parts)
    return BatchCounts(
        queued=sum(part.queued for part in counts),
        delayed=sum(part.delayed for part in counts),
        leased=sum(part.leased for part in counts),
        finished=sum(part.finished for part in counts),
        dead=sum(part.dead for part in counts),
        cancelled=sum(part.cancelled for part in counts),
        is_cancelled=any(part.is_cancelled for part in counts),
        is_over=all(part.is_over for part in counts),
    )
