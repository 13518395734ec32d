"""Counts the outcomes of calls about jobs by type; shard/metrics/node.py exports them.

The counters are plain integers because every job is counted: a counter of the metrics library takes a lock and half a
microsecond each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, Protocol

from sharq_core.models import LeasedJob

OTHER_TYPES = "_other"
"""The label value that the types beyond the bound share."""


class CallOutcome(Protocol):
    """The answer for one job."""

    @property
    def status(self) -> IntEnum:
        """The outcome."""
        ...


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


class OutcomeCounts:
    """The outcomes of one verb.

    Args:
        statuses: the possible statuses, numbered from 0 without a gap.
        max_types: the number of types that are counted apart; all others are counted together.
    """

    def __init__(self, statuses: type[IntEnum], max_types: int) -> None:
        self._words = [status.name.lower() for status in statuses]
        self._max_types = max_types
        self._by_type: dict[str, list[int]] = {}

    def count(self, queue_type: str, outcomes: Sequence[CallOutcome]) -> None:
        """Count the outcomes of some jobs of one type."""
        counts = self._by_type.get(queue_type) or self._new(queue_type)
        for outcome in outcomes:
            counts[outcome.status] += 1

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """Yield (queue type, outcome, count) for every type so far."""
        for queue_type, counts in self._by_type.items():
            for word, count in zip(self._words, counts, strict=True):
                yield queue_type, word, count

    def _new(self, queue_type: str) -> list[int]:
        name = queue_type if len(self._by_type) < self._max_types else OTHER_TYPES
        return self._by_type.setdefault(name, [0] * len(self._words))
