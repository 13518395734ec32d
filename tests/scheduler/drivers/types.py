"""Runs the functions about a whole type on a real store, beside those of its queues (driver.py)."""

from __future__ import annotations

import redis

from sharq_core.limits import (
    Explanation,
    Limit,
    LimitUnit,
    QueueSettings,
    TypeSettings,
    TypeStats,
    TypeSummary,
)
from sharq_core.models import LeasedJob, NewJob
from sharq_core.scheduler.functions import Retention
from sharq_core.scheduler.limit_calls import TypeCalls
from tests.scheduler.drivers.driver import DAY_US, SECOND_US, Driver

GATHERED = "sms~carrier"
TENTH_US = SECOND_US // 10


def job_limit(interval_us: int = SECOND_US, burst: float = 1) -> Limit:
    """A limit that counts jobs."""
    return Limit(LimitUnit.JOB, interval_us, burst)


def cost_limit(interval_us: int = SECOND_US, burst: float = 1) -> Limit:
    """A limit that counts what jobs cost."""
    return Limit(LimitUnit.COST, interval_us, burst)


class TypeDriver(Driver):
    """One gathered type, at a clock that only the test moves."""

    def __init__(
        self,
        client: redis.Redis,
        prefix: str,
        *,
        retention: Retention | None = None,
        queue_type: str = GATHERED,
    ) -> None:
        super().__init__(client, prefix, retention=retention, queue_type=queue_type)
        self.types = TypeCalls(self.keys)

    def pause_all(self, is_paused: bool = True) -> None:
        """Pause everything, or resume it."""
        self.reply(self.types.pause_all(self.partition, is_paused=is_paused, now_us=self.now_us))

    def pause_type(self, is_paused: bool = True) -> int | None:
        """Pause the type, or resume it; returns the ready hint."""
        call = self.types.pause_type(self.partition, self.queue_type, is_paused=is_paused, now_us=self.now_us)
        return self.reply(call).hint.ready_us

    def set_type(self, settings: TypeSettings) -> TypeStats:
        """Change the type's settings."""
        return self.value(self.types.set_type(self.partition, self.queue_type, settings, now_us=self.now_us))

    def limit(self, *limits: Limit, max_leased: int | None = None) -> TypeStats:
        """Set limits and how many jobs may be leased at once."""
        return self.set_type(TypeSettings(limits=list(limits), max_leased=max_leased))

    def type_stats(self) -> TypeStats:
        """The type's settings and figures."""
        return self.value(self.types.get_type_stats(self.partition, self.queue_type, now_us=self.now_us))

    def explain(self) -> Explanation:
        """Why the type leases nothing."""
        return self.value(self.types.explain(self.partition, self.queue_type, now_us=self.now_us))

    def type_summaries(self) -> dict[str, TypeSummary]:
        """All types of the partition by their names."""
        found: dict[str, TypeSummary] = {}
        scan = 0
        while True:
            page = self.value(self.types.list_type_stats(self.partition, scan, 1000, now_us=self.now_us))
            found.update((summary.queue_type, summary) for summary in page.types)
            scan = page.scan
            if scan == 0:
                return found


def job(
    job_id: str, queue_id: str = "q", *, cost: int = 1, interval_us: int = 0, delay_us: int = 0
) -> NewJob:
    """A job of a queue without a limit of its own."""
    return NewJob(GATHERED, queue_id, job_id, b"1", -1, interval_us, delay_us=delay_us, cost=cost)


def fill(driver: TypeDriver, queue_id: str, count: int, *, cost: int = 1) -> None:
    """Queue jobs of one queue."""
    for first in range(0, count, 100):
        numbers = range(first, min(first + 100, count))
        driver.enqueue(*(job(str(number), queue_id, cost=cost) for number in numbers))


def weigh(driver: TypeDriver, queue_id: str, weight: int) -> None:
    """Set the weight of a queue."""
    driver.set_queue(QueueSettings(weight=weight), queue_id)


def lease(driver: TypeDriver, count: int = 100) -> list[LeasedJob]:
    """Lease jobs for longer than a test lasts."""
    return driver.dequeue(count, lease_us=DAY_US)


def leases_over(
    driver: TypeDriver, duration_us: int, step_us: int, count: int = 100
) -> list[tuple[int, LeasedJob]]:
    """Lease all that may be leased, at equal steps of the clock; returns time and job of each lease."""
    found: list[tuple[int, LeasedJob]] = []
    end_us = driver.now_us + duration_us
    while driver.now_us < end_us:
        found += [(driver.now_us, leased) for leased in lease(driver, count)]
        driver.advance(step_us)
    return found
