"""Counts how the calls about jobs came out, by type. Plain integers, since each job is counted: a counter of the
metrics library takes a lock and half a microsecond for it. Not here: how they are exported (shard/metrics/node.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Protocol

OTHER_TYPES = "_other"
"""Label value of the types beyond the bound."""


class CallOutcome(Protocol):
    """The answer for one job."""

    @property
    def status(self) -> IntEnum: ...


class OutcomeCounts:
    """Outcomes of one verb.

    Args:
        statuses: those there are, numbered from 0 without a gap.
        max_types: types that are counted apart; the rest are together.
    """

    def __init__(self, statuses: type[IntEnum], max_types: int) -> None:
        self._words = [status.name.lower() for status in statuses]
        self._max_types = max_types
        self._by_type: dict[str, list[int]] = {}

    def count(self, queue_type: str, outcomes: Sequence[CallOutcome]) -> None:
        """Some jobs of one type were answered."""
        counts = self._by_type.get(queue_type) or self._new(queue_type)
        for outcome in outcomes:
            counts[outcome.status] += 1

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """(queue type, outcome, how many) of every type so far."""
        for queue_type, counts in self._by_type.items():
            for word, count in zip(self._words, counts, strict=True):
                yield queue_type, word, count

    def _new(self, queue_type: str) -> list[int]:
        name = queue_type if len(self._by_type) < self._max_types else OTHER_TYPES
        return self._by_type.setdefault(name, [0] * len(self._words))
