"""Watches the leases of a whole type for what holds whatever the model says: its limits (I14) and max_leased (I13)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from sharq_core.limits import Limit, LimitUnit


@dataclass
class Lease:
    """One lease, as the limits count it."""

    at_us: int
    token: str
    cost: int
    is_corrected: bool = False


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


class TypeWitness:
    """Sees every change of a type's limits, and every lease."""

    def __init__(self) -> None:
        self._histories: list[LimitHistory] = []
        self._last_us: int | None = None

    def see_limits(self, limits: list[Limit]) -> None:
        """The limits in force from now on; those that were in force before go on."""
        old = {history.limit: history for history in self._histories}
        self._histories = [old.get(limit) or LimitHistory(limit, self._last_us) for limit in limits]

    def see_lease(self, token: str, cost: int, now_us: int) -> None:
        """A lease by any of the type's queues."""
        for history in self._histories:
            history.see(Lease(now_us, token, cost))
        self._last_us = now_us

    def see_correction(self, token: str, cost: int) -> None:
        """A worker told the actual cost, which counts once: later leases are judged by it."""
        for history in self._histories:
            for lease in history.leases:
                if lease.token == token and not lease.is_corrected:
                    lease.cost, lease.is_corrected = cost, True
