"""Runs the functions about a whole type on a real store, beside those of its queues (driver.py)."""

from __future__ import annotations

import redis

from sharq_core.limits import Explanation, Limit, LimitUnit, TypeSettings, TypeStats, TypeSummary
from sharq_core.scheduler.functions import Retention
from sharq_core.scheduler.type_calls import TypeCalls
from tests.scheduler.driver import SECOND_US, Driver

GATHERED = "sms~carrier"


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
