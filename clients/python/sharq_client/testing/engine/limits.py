"""Defines what all queues of a type share: a pause, a hold, limits, and the most jobs that are leased at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, UnsetType

from sharq_client.requests import OnExpiry, RetryPolicy
from sharq_client.testing.engine.rates import slack_us
from sharq_client.testing.engine.records import LATEST_US

REASONS = (
    "all_paused", "type_paused", "paused", "type_hold", "hold", "empty", "delayed", "window", "quota",
    "type_max_leased", "max_leased", "type_rate", "rate",
)  # fmt: skip
"""The reasons why nothing is leased. If there are several, the first one in this order counts."""


class SharedLimit(msgspec.Struct, frozen=True):
    """A rate that all queues of a gathered type share, per job or per unit of cost."""

    unit: str
    interval_us: int
    burst: float = 1


class TypeChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the settings of a gathered type: UNSET keeps, None clears, a value sets."""

    limits: list[SharedLimit] | UnsetType | None = UNSET
    max_leased: int | UnsetType | None = UNSET
    hold_us: int | UnsetType | None = UNSET
    retry: RetryPolicy | UnsetType | None = UNSET
    expires_us: int | UnsetType | None = UNSET
    on_expiry: OnExpiry | UnsetType | None = UNSET


@dataclass
class Bucket:
    """A limit and the time at which it next allows a lease."""

    limit: SharedLimit
    tat_us: int

    @property
    def slack_us(self) -> int:
        """The lateness that the burst makes up for."""
        return slack_us(self.limit.interval_us, self.limit.burst)

    def room(self, now_us: int) -> int:
        """Return the number of jobs of cost 1 that may be leased at once."""
        return (now_us - max(self.tat_us, now_us - self.slack_us)) // self.limit.interval_us + 1

    def lease(self, now_us: int, cost: int) -> None:
        """Use the limit for one lease."""
        units = cost if self.limit.unit == "cost" else 1
        since_us = max(self.tat_us, now_us - self.slack_us)
        self.tat_us = min(since_us + units * self.limit.interval_us, LATEST_US)

    def correct(self, difference: int, last_us: int) -> None:
        """Move the limit by the difference of a job's cost, but not before one interval after the last lease."""
        if self.limit.unit == "cost":
            moved_us = self.tat_us + difference * self.limit.interval_us
            moved_us = max(moved_us, min(self.tat_us, last_us + self.limit.interval_us))
            self.tat_us = min(moved_us, LATEST_US)


@dataclass
class TypeRules:
    """The rules of a type.

    last_us: the last lease while anything was set, 0 for none. is_recorded: something was set when it last changed.
    served: the number of jobs that the present call leased.
    """

    is_all_paused: bool = False
    is_paused: bool = False
    held_until_us: int = 0
    max_leased: int | None = None
    buckets: list[Bucket] = field(default_factory=list)
    retry: RetryPolicy | None = None
    expires_us: int | None = None
    on_expiry: OnExpiry | None = None
    last_us: int = 0
    is_recorded: bool = False
    is_changed: bool = False
    served: int = 0

    @property
    def ready_us(self) -> int:
        """The time at which hold and limits next allow a lease."""
        return max([self.held_until_us, *(bucket.tat_us for bucket in self.buckets)])

    def is_full(self, leased: int) -> bool:
        """Return True if as many jobs of the type are leased as may be."""
        return self.max_leased is not None and leased >= self.max_leased

    def is_stopped(self, leased: int) -> bool:
        """Return True if it is not known when the next lease may be."""
        return self.is_all_paused or self.is_paused or self.is_full(leased)

    def allows(self, leased: int, now_us: int) -> bool:
        """Return True if a job may be leased now."""
        return not self.is_stopped(leased) and self.ready_us <= now_us

    def room(self, leased: int, now_us: int, count: int) -> int:
        """Return the number of jobs of cost 1 that may be leased at once, at most count."""
        if not self.allows(leased, now_us):
            return 0
        rooms = [bucket.room(now_us) for bucket in self.buckets]
        return min([count, *rooms, *([self.max_leased - leased] if self.max_leased else [])])

    def lease(self, now_us: int, cost: int) -> None:
        """Use all limits for one lease."""
        for bucket in self.buckets:
            bucket.lease(now_us, cost)
        self.served += 1
        self.last_us, self.is_changed = now_us, True

    def correct(self, difference: int) -> None:
        """Take the actual cost of a job."""
        for bucket in self.buckets:
            bucket.correct(difference, self.last_us)

    def hold(self, until_us: int) -> None:
        """Give nothing until then, or until an earlier hold ends."""
        self.held_until_us, self.is_changed = max(self.held_until_us, until_us), True

    def pause(self, *, is_paused: bool) -> None:
        """Pause the type, or end its pause and its hold."""
        self.is_paused, self.is_changed = is_paused, True
        if not is_paused:
            self.held_until_us = 0

    def change(self, change: TypeChange, now_us: int, *, was_ever_leased: bool) -> None:
        """Change the settings that are given."""
        if not isinstance(change.limits, UnsetType):
            self.last_us = self.last_us or (now_us if was_ever_leased else 0)
            self._replace(change.limits or (), self.last_us)
        if not isinstance(change.max_leased, UnsetType):
            self.max_leased = change.max_leased
        if not isinstance(change.retry, UnsetType):
            self.retry = change.retry
        if not isinstance(change.expires_us, UnsetType):
            self.expires_us = change.expires_us
        if not isinstance(change.on_expiry, UnsetType):
            self.on_expiry = change.on_expiry
        if not isinstance(change.hold_us, UnsetType):
            hold_us = change.hold_us
            self.held_until_us = 0 if hold_us is None else max(self.held_until_us, now_us + hold_us)
        self.is_changed = True

    def settle(self, now_us: int) -> None:
        """End a call: settings in which nothing is set are not kept, nor is the last lease."""
        if self.is_changed:
            is_limited = self.is_paused or self.held_until_us > now_us or self.max_leased or self.buckets
            self.is_recorded = bool(is_limited or self.retry or self.expires_us or self.on_expiry)
            if not self.is_recorded:
                self.last_us = self.held_until_us = 0
        self.is_changed, self.served = False, 0

    def blocked_by(self, leased: int, now_us: int) -> str | None:
        """Return the first reason of the type why nothing is leased; None if there is none."""
        reasons = (
            (self.is_all_paused, "all_paused"),
            (self.is_paused, "type_paused"),
            (self.held_until_us > now_us, "type_hold"),
            (self.is_full(leased), "type_max_leased"),
            (self.ready_us > now_us, "type_rate"),
        )
        return next((reason for holds, reason in reasons if holds), None)

    def _replace(self, limits: Sequence[SharedLimit], last_us: int) -> None:
        old = {bucket.limit: bucket.tat_us for bucket in self.buckets}
        self.buckets = [
            Bucket(limit, old[limit] if limit in old else self._first_us(limit, last_us)) for limit in limits
        ]

    def _first_us(self, limit: SharedLimit, last_us: int) -> int:
        """Return one interval after the last lease, or as many as an old limit of the unit waits."""
        if not last_us:
            return 0
        waits = [
            (bucket.tat_us - last_us) / bucket.limit.interval_us
            for bucket in self.buckets
            if bucket.limit.unit == limit.unit
        ]
        return min(last_us + math.ceil(max([1, *waits]) * limit.interval_us), LATEST_US)


def first_reason(*reasons: str | None) -> str | None:
    """Return the first of several reasons; None if there is none."""
    return min((reason for reason in reasons if reason), key=REASONS.index, default=None)
