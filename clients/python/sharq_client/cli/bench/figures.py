"""Defines the plan of a benchmark, and its results."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

MS_ROUNDING = 1.0
"""By how much two times of the wire, which are whole ms, may be closer than the store's own, which are µs."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The load.

    Attributes:
        customers: the number of queues.
        jobs: the most jobs of the first two phases.
        concurrency: the number of calls in flight.
        seconds: the time for all three phases, a third for each.
        batch: the number of jobs of one call.
        payload_bytes: the length of a payload.
        rate_per_s: the rate of each customer in the phase that measures the spacing.
    """

    customers: int
    jobs: int
    concurrency: int
    seconds: float
    batch: int
    payload_bytes: int
    rate_per_s: float

    @property
    def phase_s(self) -> float:
        """The time of one phase."""
        return self.seconds / 3


class Latency(msgspec.Struct, frozen=True):
    """The latencies of calls, in ms."""

    p50_ms: float
    p99_ms: float


class Throughput(msgspec.Struct, frozen=True):
    """The result of one phase.

    Attributes:
        latencies: the name of a call → its latencies.
    """

    jobs: int
    seconds: float
    per_s: float
    latencies: dict[str, Latency]


class Spacing(msgspec.Struct, frozen=True):
    """The spacing of the leases of customers with a rate.

    Attributes:
        interval_ms: the least time between two leases of one customer.
        smallest_ms: the smallest time that was seen, by the store's clock; None without two leases of one customer.
        promised: the leases that the rates allow in the time.
        delivered: the leases that there were.
        is_kept: True if no lease came too early.
    """

    customers: int
    rate: str
    interval_ms: float
    smallest_ms: float | None
    promised: int
    delivered: int
    is_kept: bool


class Figures(msgspec.Struct, frozen=True):
    """The result of a benchmark.

    Attributes:
        enqueue: jobs that were enqueued.
        whole: jobs that were leased and finished.
        errors: the number of calls that failed in the first two phases.
    """

    url: str
    enqueue: Throughput
    whole: Throughput
    spacing: Spacing
    errors: int


class CallTimes:
    """The latencies of the calls of one phase, by name."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._times_ms: dict[str, list[float]] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Measure the block as one call, unless it raises."""
        began_s = time.perf_counter()
        yield
        self._times_ms.setdefault(name, []).append((time.perf_counter() - began_s) * 1000)

    def throughput(self, jobs: int) -> Throughput:
        """Return the result of the phase that ends now."""
        seconds = time.monotonic() - self._started_s
        latencies = {name: _latency(times) for name, times in self._times_ms.items()}
        return Throughput(jobs, round(seconds, 3), round(jobs / seconds, 1), latencies)


def _latency(times_ms: list[float]) -> Latency:
    times_ms.sort()
    last = len(times_ms) - 1
    return Latency(round(times_ms[last // 2], 2), round(times_ms[int(last * 0.99)], 2))


def smallest_distance(leases_ms: Sequence[Sequence[int]]) -> float | None:
    """Return the smallest distance between two neighbouring times of one customer; None if there are none.

    Args:
        leases_ms: the times of the leases of each customer, in any order.
    """
    distances = [
        later - earlier
        for times in leases_ms
        for earlier, later in zip(sorted(times), sorted(times)[1:], strict=False)
    ]
    return min(distances, default=None)
