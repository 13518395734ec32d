"""Counts what the limits of gathered types count: leased jobs, and the points of their costs.

The numbers are plain integers, because every lease of a gathered type is counted. shard/metrics/type_caps.py exports
the share of each limit.
"""

from __future__ import annotations

from collections.abc import Sequence

from sharq_core.models import LeasedJob


class UnitCounts:
    """The units that the gathered types of this node have leased so far."""

    def __init__(self) -> None:
        self._used: dict[str, tuple[int, int]] = {}

    def add(self, queue_type: str, jobs: Sequence[LeasedJob]) -> None:
        """Count leased jobs of a gathered type and their costs, as they were known at the lease."""
        count, cost = self._used.get(queue_type, (0, 0))
        self._used[queue_type] = count + len(jobs), cost + sum(job.cost for job in jobs)

    def used(self, queue_type: str) -> tuple[int, int]:
        """Return the numbers of jobs and of points of cost that a type has leased."""
        return self._used.get(queue_type, (0, 0))

    def keep(self, queue_types: set[str]) -> None:
        """Forget all other types."""
        self._used = {name: used for name, used in self._used.items() if name in queue_types}
