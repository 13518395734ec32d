"""The interfaces of the counters that the node's parts write to; shard/metrics/node.py implements and exports them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sharq_core.models import LeasedJob


class OutcomeCounter(Protocol):
    """A metric of the outcomes of one verb."""

    def count(self, queue_type: str, outcomes: Sequence[Any], /) -> None:
        """Count the outcomes of one call."""
        ...


class LeaseCounter(Protocol):
    """The metrics of leases that begin and of those that expire.

    Attributes:
        units: the units that gathered types have leased.
    """

    units: UnitCounts

    def leased(self, queue_type: str, ready_for_us: list[int]) -> None:
        """Record for each leased job how long it had been ready, in µs."""
        ...

    def reaped(self, queue_type: str, ended: int, died: int) -> None:
        """Count leases that expired, and the jobs among them that became dead letters."""
        ...


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
