"""The interfaces of the counters that the node's parts write to; shard/metrics/node.py implements and exports them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from shard.metrics.unit_counts import UnitCounts
from sharq_core.models import LeasedJob


class OutcomeCounter(Protocol):
    """A metric of the outcomes of one verb."""

    def count(self, queue_type: str, jobs: Sequence[Any], outcomes: Sequence[Any], /) -> None:
        """Count the outcomes of the jobs of one call; both are in the same order."""
        ...


class ExpiryCounter(Protocol):
    """The metrics of jobs that expire."""

    def expired(self, queue_type: str, expired: int, dropped: int) -> None:
        """Count jobs that expired, and those of them that were dropped; the others became dead letters."""
        ...


class LeaseCounter(ExpiryCounter, Protocol):
    """The metrics of leases that begin, of those that end by time, and of jobs that expire.

    Attributes:
        units: the units that gathered types have leased.
    """

    units: UnitCounts

    def leased(self, queue_type: str, jobs: list[LeasedJob], ready_for_us: list[int]) -> None:
        """Record the attempt of each leased job, and how long it had been ready, in µs."""
        ...

    def reaped(self, queue_type: str, ended: int, died: int) -> None:
        """Count leases that ended by time, and the jobs among them that became dead letters."""
        ...


class ResultCounter(Protocol):
    """The metric of the results of finished jobs."""

    def count_results(self, outcomes: Sequence[Any], /) -> None:
        """Count the results that the store kept, and those for which it had no room."""
        ...
