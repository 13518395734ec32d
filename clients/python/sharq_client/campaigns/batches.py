"""Defines what the server tells of a batch."""

from __future__ import annotations

import msgspec


class BatchStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The number of jobs of a batch by state, over all queues of its type. The first six add up to `total`.

    Attributes:
        queued: jobs that wait in their queues, those behind a rate or a hold, too.
        delayed: jobs that wait for their time.
        leased: jobs that a worker holds.
        finished: jobs whose work is done.
        dead: jobs that are dead letters.
        cancelled: jobs that were cancelled, deleted with their queues or dropped, alive or dead.
        total: all jobs that were accepted with this batch.
        unread_partitions: the partitions that the numbers are without, because their data is broken.
    """

    queued: int
    delayed: int
    leased: int
    finished: int
    dead: int
    cancelled: int
    total: int
    unread_partitions: list[int] = []

    @property
    def has_ended(self) -> bool:
        """True if no job of the batch waits or is leased. False while some of its jobs cannot be counted."""
        return self.queued + self.delayed + self.leased == 0 and not self.unread_partitions
