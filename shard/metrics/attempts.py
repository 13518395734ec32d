"""Counts attempts: the number of each lease among those of its job, and the attempts that failed.

The numbers are plain integers, because every lease is counted. A type that has leased nothing has no values, and a type
that has leased something has all of them, so that shares of them can be computed from the start.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sharq_core.models import LeasedJob, LeaseOutcome, LeaseStatus, ReleaseJob
from sharq_core.process.counters import OTHER_TYPES

_BOUNDS = (1, 2, 3, 5, 10, 20, 50, 100)
"""The greatest attempt of each bucket of the histogram; a last bucket holds the later ones."""


MAX_LEASED_TYPES = 10_000
"""Most types whose leases are counted apart for reports, which have no label for each."""


class _TypeAttempts:
    """The attempts of one type.

    Attributes:
        by_number: for each bucket of the histogram, the number of leases.
        sum: of the numbers of all attempts.
        released: attempts that a worker released and that count.
        timed_out: attempts whose lease ended by time.
    """

    __slots__ = ("by_number", "released", "sum", "timed_out")

    def __init__(self) -> None:
        self.by_number = [0] * (len(_BOUNDS) + 1)
        self.sum = 0
        self.released = 0
        self.timed_out = 0


class AttemptCounts(Collector):
    """The attempts of jobs by type.

    Args:
        max_types: the number of types that are counted apart; all others are counted together.

    Attributes:
        all_leases: leases of all types.
    """

    def __init__(self, max_types: int) -> None:
        self._max_types = max_types
        self._by_type: dict[str, _TypeAttempts] = {}
        self._leases: dict[str, int] = {}
        self.all_leases = 0

    def leased(self, queue_type: str, jobs: Sequence[LeasedJob]) -> None:
        """Count leases by the attempts that they begin."""
        if not jobs:
            return
        attempts = self._of(queue_type)
        by_number = attempts.by_number
        for job in jobs:
            number = job.attempt
            by_number[bisect_left(_BOUNDS, number)] += 1
            attempts.sum += number
        self.all_leases += len(jobs)
        leases = self._leases.get(queue_type)
        if leases is not None or len(self._leases) < MAX_LEASED_TYPES:
            self._leases[queue_type] = (leases or 0) + len(jobs)

    def released(self, queue_type: str, jobs: Sequence[ReleaseJob], outcomes: Sequence[LeaseOutcome]) -> None:
        """Count the releases that were done and whose attempts count."""
        self._of(queue_type).released += sum(
            outcome.status is LeaseStatus.DONE and job.counts and not job.is_void
            for job, outcome in zip(jobs, outcomes, strict=True)
        )

    def timed_out(self, queue_type: str, count: int) -> None:
        """Count leases that ended by time."""
        self._of(queue_type).timed_out += count

    @property
    def all_failed(self) -> int:
        """The failed attempts of all types."""
        return sum(attempts.released + attempts.timed_out for attempts in self._by_type.values())

    def leases_of(self, queue_type: str) -> int:
        """Return the leases of a type; -1 if it is not counted apart."""
        leases = self._leases.get(queue_type)
        return leases if leases is not None else -1 if len(self._leases) >= MAX_LEASED_TYPES else 0

    def failed_of(self, queue_type: str) -> int:
        """Return the failed attempts of a type; -1 if it is not counted apart."""
        attempts = self._by_type.get(queue_type)
        if attempts is None:
            return -1 if OTHER_TYPES in self._by_type else 0
        return attempts.released + attempts.timed_out

    def collect(self) -> Iterator[Metric]:
        """Yield the histogram of attempts and the counter of failed ones."""
        numbers = HistogramMetricFamily(
            "sharq_lease_attempts",
            "Leases by the attempt that they begin; 1 is the first lease of a job",
            labels=["queue_type"],
        )
        failed = CounterMetricFamily(
            "sharq_failed_attempts",
            "Attempts that did not finish their job, by cause: released by the worker and counted, or timed out",
            labels=["queue_type", "cause"],
        )
        bounds = [*map(str, map(float, _BOUNDS)), "+Inf"]
        for queue_type, attempts in self._by_type.items():
            buckets = list(zip(bounds, accumulate(attempts.by_number), strict=True))
            numbers.add_metric([queue_type], buckets, attempts.sum)
            failed.add_metric([queue_type, "released"], attempts.released)
            failed.add_metric([queue_type, "timed_out"], attempts.timed_out)
        yield from (numbers, failed)

    def _of(self, queue_type: str) -> _TypeAttempts:
        attempts = self._by_type.get(queue_type)
        if attempts is None:
            name = queue_type if len(self._by_type) < self._max_types else OTHER_TYPES
            attempts = self._by_type.get(name)
            if attempts is None:
                attempts = self._by_type[name] = _TypeAttempts()
        return attempts
