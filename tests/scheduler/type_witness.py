"""Watches the leases of a whole type for what holds whatever the model says: its limits (I14) and max_leased (I13)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from sharq_core.limits import Limit, LimitUnit
from sharq_core.models import LeasedJob
from tests.scheduler.witness import Witness


@dataclass
class Lease:
    """One lease, as the limits count it."""

    at_us: int
    token: str
    cost: int


@dataclass
class LimitHistory:
    """The leases of a type while a limit was in force, and the last one before it, µs."""

    limit: Limit
    before_us: int | None
    leases: list[Lease] = field(default_factory=list)

    def see(self, lease: Lease) -> None:
        """Judge every window that ends with this lease: what went before it must have left room for one more."""
        interval_us, burst = self.limit.interval_us, Fraction(round(self.limit.burst * 100), 100)
        used = 0
        for earlier in reversed(self.leases):
            used += earlier.cost if self.limit.unit is LimitUnit.COST else 1
            room = burst - 1 + Fraction(lease.at_us - earlier.at_us, interval_us)
            assert used <= room, f"{used} units before {lease} leave no room in {self.limit}"
        if burst == 1 and self.before_us is not None and not self.leases:
            assert lease.at_us - self.before_us >= interval_us, f"too close after a change to {self.limit}"
        self.leases.append(lease)


class TypeWitness(Witness):
    """Sees every change of a type's limits, and every lease, beside what a Witness sees."""

    def __init__(self) -> None:
        super().__init__()
        self._limits: list[LimitHistory] = []
        self._last_us: int | None = None

    def see_limits(self, limits: list[Limit]) -> None:
        """The limits in force from now on; those that were in force before go on."""
        old = {history.limit: history for history in self._limits}
        self._limits = [old.get(limit) or LimitHistory(limit, self._last_us) for limit in limits]

    def see_lease(self, job: LeasedJob, requeue_limit: int, now_us: int) -> None:
        """A lease by any of the type's queues."""
        super().see_lease(job, requeue_limit, now_us)
        for history in self._limits:
            history.see(Lease(now_us, job.lease, job.cost))
        self._last_us = now_us

    def see_correction(self, token: str, cost: int) -> None:
        """A worker told the actual cost: later leases are judged by it."""
        super().see_correction(token, cost)
        for history in self._limits:
            for lease in history.leases:
                if lease.token == token:
                    lease.cost = cost
