"""The rules of a type in plain Python: pauses, a hold, how many jobs may be leased at once, limits and quotas.

The model of the scheduler (model.py) asks it before each lease and tells it of each lease.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from sharq_core.job_life import OnExpiry, Retry
from sharq_core.limits import BlockedBy, Limit, LimitUnit, TypeSettings
from tests.scheduler.models.quotas import QuotaRules

LATEST_US = 2**53


@dataclass
class Bucket:
    """A limit and the time at which it next allows a lease."""

    limit: Limit
    tat_us: int

    @property
    def slack_us(self) -> int:
        """The lateness that the burst makes up."""
        hundredths = round(self.limit.burst * 100) - 100
        return min(math.floor(float(hundredths) * self.limit.interval_us / 100), LATEST_US)

    def room(self, now_us: int) -> int:
        """Return the number of jobs of cost 1 that may be leased at once."""
        since_us = max(self.tat_us, now_us - self.slack_us)
        return (now_us - since_us) // self.limit.interval_us + 1

    def lease(self, now_us: int, cost: int) -> None:
        """Use the limit for one lease."""
        units = cost if self.limit.unit is LimitUnit.COST else 1
        since_us = max(self.tat_us, now_us - self.slack_us)
        self.tat_us = min(since_us + units * self.limit.interval_us, LATEST_US)

    def correct(self, difference: int, last_us: int) -> None:
        """Move the limit by the difference of a job's cost, but not before one interval after the last lease."""
        if self.limit.unit is LimitUnit.COST:
            moved_us = self.tat_us + difference * self.limit.interval_us
            moved_us = max(moved_us, min(self.tat_us, last_us + self.limit.interval_us))
            self.tat_us = min(moved_us, LATEST_US)


@dataclass
class TypeRules:
    """The things that an operator set for a type, and what the limits remember.

    last_us: the last lease while anything was set, or the first limits if leases before them are not known; 0: none.
    is_recorded: the store keeps a record, because something was set when it was last written.
    is_changed: the present call writes the record.
    served: number of jobs that the present call leased.
    retry, expires_us, on_expiry: the defaults of the jobs of its queues.
    """

    is_all_paused: bool = False
    is_paused: bool = False
    held_until_us: int = 0
    max_leased: int | None = None
    buckets: list[Bucket] = field(default_factory=list)
    last_us: int = 0
    is_recorded: bool = False
    is_changed: bool = False
    served: int = 0
    retry: Retry | None = None
    expires_us: int | None = None
    on_expiry: OnExpiry | None = None
    quotas: QuotaRules = field(default_factory=QuotaRules)

    def open(self, told_us: int, now_us: int, lease_number: int) -> None:
        """A call begins: quotas count the period in which it runs."""
        if self.quotas.open(told_us, now_us, lease_number):
            self.is_changed = True

    def is_set(self, now_us: int) -> bool:
        """The store has a record of the settings."""
        is_limited = self.is_paused or self.held_until_us > now_us or self.max_leased or self.buckets
        return bool(is_limited or self.retry or self.expires_us or self.on_expiry or self.quotas.counts)

    @property
    def ready_us(self) -> int:
        """Return the time at which hold, limits and quotas next allow a lease."""
        return max(self._limits_us, self.quotas.until_us)

    def look_at_us(self, now_us: int) -> int:
        """Return the time at which a dequeue looks again."""
        return max(self._limits_us, self.quotas.look_at_us(now_us))

    @property
    def _limits_us(self) -> int:
        return max([self.held_until_us, *(bucket.tat_us for bucket in self.buckets)])

    def is_full(self, leased: int) -> bool:
        """As many jobs as allowed are leased."""
        return self.max_leased is not None and leased >= self.max_leased

    def is_stopped(self, leased: int) -> bool:
        """The time of the next possible lease is unknown."""
        return self.is_all_paused or self.is_paused or self.is_full(leased)

    def allows(self, leased: int, now_us: int) -> bool:
        """A job may be leased now."""
        return not self.is_stopped(leased) and self.ready_us <= now_us

    def leases_allowed(self, leased: int, now_us: int, count: int) -> int:
        """Return the number of jobs of cost 1 that may be leased at once, at most count."""
        if not self.allows(leased, now_us):
            return 0
        rooms = [bucket.room(now_us) for bucket in self.buckets if bucket.limit.interval_us]
        room = min([count, *rooms, *([self.max_leased - leased] if self.max_leased else [])])
        return self.quotas.room(room)

    def lease(self, now_us: int, cost: int) -> None:
        """Use all limits and quotas for one lease."""
        for bucket in self.buckets:
            bucket.lease(now_us, cost)
        self.quotas.lease(cost)
        self.served += 1
        self.last_us, self.is_changed = now_us, True

    def correct(self, difference: int, lease_number: int) -> None:
        """A worker tells the actual cost of its job."""
        for bucket in self.buckets:
            bucket.correct(difference, self.last_us)
        self.quotas.correct(difference, lease_number)

    def hold(self, until_us: int) -> None:
        """A hold only grows."""
        self.held_until_us, self.is_changed = max(self.held_until_us, until_us), True

    def pause(self, is_paused: bool) -> None:
        """A resume ends the hold, too."""
        self.is_paused, self.is_changed = is_paused, True
        if not is_paused:
            self.held_until_us = 0

    def change(self, change: TypeSettings, now_us: int, was_ever_leased: bool) -> None:
        """An operator changes the settings that are named."""
        if change.limits is not UNSET:
            self.last_us = self.last_us or (now_us if was_ever_leased else 0)
            self._replace(change.limits or [], self.last_us)
        if change.max_leased is not UNSET:
            self.max_leased = change.max_leased
        for name in ("retry", "expires_us", "on_expiry"):
            if getattr(change, name) is not UNSET:
                setattr(self, name, getattr(change, name))
        self.is_changed = True
        if change.hold_us is not UNSET:
            self.held_until_us = (
                0 if change.hold_us is None else max(self.held_until_us, now_us + change.hold_us)
            )

    def settle(self, now_us: int) -> None:
        """A call ends: settings in which nothing is set are not kept, nor is the last lease."""
        if self.is_changed:
            self.is_recorded = self.is_set(now_us)
            if not self.is_recorded:
                self.last_us = self.held_until_us = 0
        self.is_changed, self.served = False, 0

    def _replace(self, limits: Sequence[Limit], last_us: int) -> None:
        old = {bucket.limit: bucket.tat_us for bucket in self.buckets}
        self.buckets = [
            Bucket(limit, old[limit] if limit in old else self._first_us(limit, last_us)) for limit in limits
        ]

    def _first_us(self, limit: Limit, last_us: int) -> int:
        """One interval after the last lease, or as many as an old limit of the unit waits."""
        if not last_us:
            return 0
        waits = [
            (bucket.tat_us - last_us) / bucket.limit.interval_us
            for bucket in self.buckets
            if bucket.limit.unit is limit.unit and bucket.limit.interval_us
        ]
        return min(last_us + math.ceil(max([1, *waits]) * limit.interval_us), LATEST_US)

    def blocked_by(self, leased: int, now_us: int) -> BlockedBy | None:
        """The first reason of the type."""
        reasons = {
            BlockedBy.ALL_PAUSED: self.is_all_paused,
            BlockedBy.TYPE_PAUSED: self.is_paused,
            BlockedBy.TYPE_HOLD: self.held_until_us > now_us,
            BlockedBy.QUOTA: self.quotas.until_us > now_us,
            BlockedBy.TYPE_MAX_LEASED: self.is_full(leased),
            BlockedBy.TYPE_RATE: self.ready_us > now_us,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)


def first_reason(*reasons: BlockedBy | None) -> BlockedBy | None:
    """Return the reason that the answer shows if several apply."""
    order = list(BlockedBy)
    return min((reason for reason in reasons if reason), key=order.index, default=None)
