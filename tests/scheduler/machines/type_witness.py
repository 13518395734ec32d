"""Watches the leases of a whole type for what holds whatever the model says.

That is its limits (I14), its quotas (I16) and max_leased (I13).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from sharq_core.campaigns.quotas import Zone
from sharq_core.limits import Limit, LimitUnit, Quota
from sharq_core.models import LeasedJob
from tests.scheduler.drivers.driver import START_US
from tests.scheduler.machines.witness import Witness
from tests.scheduler.models.quotas import period_at


@dataclass
class Lease:
    """One lease, as the limits count it."""

    at_us: int
    token: str
    cost: int


@dataclass
class LimitHistory:
    """The leases of a type while a limit was in force, and the last one before it, µs.

    refunds: what corrections gave back meanwhile, as (number of leases before it, units).
    """

    limit: Limit
    before_us: int | None
    leases: list[Lease] = field(default_factory=list)
    refunds: list[tuple[int, int]] = field(default_factory=list)

    def see(self, lease: Lease) -> None:
        """Judge every window that ends with this lease: what went before it must have left room for one more.

        What a correction gave back counts in the windows that began before it was told.
        """
        interval_us, burst = self.limit.interval_us, Fraction(round(self.limit.burst * 100), 100)
        used = 0
        refunds = self.refunds.copy()
        for index, earlier in reversed([*enumerate(self.leases)]):
            used += earlier.cost if self.limit.unit is LimitUnit.COST else 1
            while refunds and refunds[-1][0] > index:
                used -= refunds.pop()[1]
            room = burst - 1 + Fraction(lease.at_us - earlier.at_us, interval_us)
            assert used <= room, f"{used} units before {lease} leave no room in {self.limit}"
        if burst == 1 and self.before_us is not None and not self.leases:
            assert lease.at_us - self.before_us >= interval_us, f"too close after a change to {self.limit}"
        self.leases.append(lease)

    def see_correction(self, token: str, known: int, cost: int) -> None:
        """A lease cost more or less than it was known to cost. What it gave back counts from now on."""
        if self.limit.unit is LimitUnit.JOB:
            return
        if cost < known:
            self.refunds.append((len(self.leases), known - cost))
        for lease in self.leases:
            if lease.token == token:
                lease.cost = max(cost, known)


@dataclass
class QuotaHistory:
    """The leases of a type while a quota was in force, since the store's clock last went back."""

    quota: Quota
    leases: list[Lease] = field(default_factory=list)

    def see(self, lease: Lease) -> None:
        """Judge the period of this lease: what was leased in it must have left room, unless nothing was."""
        zone = Zone(self.quota.period, self.quota.tz)
        period = period_at(zone, lease.at_us)
        used = sum(
            self._units(earlier) for earlier in self.leases if period_at(zone, earlier.at_us) == period
        )
        assert not used or used + self._units(lease) <= self.quota.quota, (
            f"{lease} in {self.quota}: {used} used"
        )
        self.leases.append(lease)

    def _units(self, lease: Lease) -> int:
        return lease.cost if self.quota.unit is LimitUnit.COST else 1


class TypeWitness(Witness):
    """Sees every change of a type's limits and quotas, and every lease, beside what a Witness sees."""

    def __init__(self) -> None:
        super().__init__()
        self._quotas: list[QuotaHistory] = []
        self._told_us = START_US
        self._limits: list[LimitHistory] = []
        self._last_us: int | None = None

    def see_limits(self, limits: list[Limit]) -> None:
        """The limits in force from now on, each once; those that were in force before go on."""
        old = {history.limit: history for history in self._limits}
        self._limits = [
            old.get(limit) or LimitHistory(limit, self._last_us) for limit in dict.fromkeys(limits)
        ]

    def see_quotas(self, quotas: list[Quota]) -> None:
        """The quotas in force from now on."""
        self._quotas = [QuotaHistory(quota) for quota in quotas]

    def see_clock(self, told_us: int) -> None:
        """The store's clock, by which periods begin and end. What was used stays used when it goes back."""
        if told_us < self._told_us:
            self.see_quotas([history.quota for history in self._quotas])
        self._told_us = told_us

    def see_lease(self, job: LeasedJob, requeue_limit: int, now_us: int) -> None:
        """A lease by any of the type's queues."""
        super().see_lease(job, requeue_limit, now_us)
        for history in self._limits:
            history.see(Lease(now_us, job.lease, job.cost))
        for counted in self._quotas:
            counted.see(Lease(self._told_us, job.lease, job.cost))
        self._last_us = now_us

    def see_correction(self, token: str, cost: int) -> None:
        """A worker told the actual cost: later leases are judged by it."""
        super().see_correction(token, cost)
        for history in self._limits:
            history.see_correction(token, self.known_cost(token), cost)
        for lease in (lease for counted in self._quotas for lease in counted.leases):
            if lease.token == token:
                lease.cost = cost
