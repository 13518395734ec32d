"""Defines a queue: its jobs, its settings, and the slots of its rate."""

from __future__ import annotations

import bisect
import math
import operator
from collections import defaultdict
from dataclasses import dataclass, field

from sharq_client.requests import OnExpiry, RetryPolicy
from sharq_client.testing.engine.rates import slack_us
from sharq_client.testing.engine.records import LATEST_US, Job

KEPT_US = 600_000_000
"""The time for which a queue without jobs is kept."""

MINUTE_US = 60_000_000

_place = operator.attrgetter("place")


@dataclass(eq=False)
class Queue:
    """A queue.

    waiting: its queued jobs in their order. tat_us: when its rate next allows a lease (theoretical arrival time).
    place_us: its place in the line of queues, the smallest first; None if it is not ready. placed_by: the number of the
    call that put it there at that same time, so that queues take turns while the clock stands still.
    given: jobs that it gave in its present turn. settings: the fields that an operator has set.
    """

    queue_id: str
    has_interval: bool = True
    interval_us: int = 0
    burst: float = 1
    tat_us: int = 0
    last_us: int = 0
    held_us: int = 0
    active_us: int = 0
    is_pinned: bool = False
    is_paused: bool = False
    is_purged: bool = False
    max_leased: int | None = None
    weight: int | None = None
    retry: RetryPolicy | None = None
    expires_us: int | None = None
    on_expiry: OnExpiry | None = None
    settings: frozenset[str] = frozenset()
    waiting: list[Job] = field(default_factory=list)
    delayed: dict[str, Job] = field(default_factory=dict)
    leased: dict[str, Job] = field(default_factory=dict)
    minutes: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    place_us: int | None = None
    was_served: bool = False
    was_moved: bool = False
    served_after_us: int = 0
    placed_by: int = 0
    given: int = 0

    @property
    def length(self) -> int:
        """The number of queued and delayed jobs."""
        return len(self.waiting) + len(self.delayed)

    @property
    def is_full(self) -> bool:
        """True if as many of its jobs are leased as may be."""
        return self.max_leased is not None and len(self.leased) >= self.max_leased

    @property
    def slack_us(self) -> int:
        """The lateness that its burst makes up for."""
        return slack_us(self.interval_us, self.burst)

    @property
    def ready_us(self) -> int:
        """From when on its rate and its hold let it give a job."""
        return max(self.tat_us, self.held_us)

    def is_forgettable(self, now_us: int) -> bool:
        """Return True if the server would have forgotten it."""
        has_settings = self.settings or self.retry or self.expires_us or self.on_expiry
        if self.waiting or self.delayed or self.leased or self.is_pinned or self.is_paused or has_settings:
            return False
        is_quiet = self.is_purged or now_us - self.active_us > KEPT_US
        full_us = max(min(self.tat_us + self.slack_us, LATEST_US), self.held_us)
        return is_quiet and now_us >= full_us

    def insert(self, job: Job) -> None:
        """Put a queued job into its place."""
        bisect.insort(self.waiting, job, key=_place)

    def remove(self, job: Job) -> None:
        """Take a queued job out."""
        del self.waiting[bisect.bisect_left(self.waiting, job.place, key=_place)]

    def lease(self, now_us: int, cost: int) -> None:
        """Use the rate for one lease."""
        tat_us = max(self.tat_us, now_us - self.slack_us) + cost * self.interval_us
        self.tat_us = tat_us if cost == 1 else min(tat_us, LATEST_US)
        self.last_us, self.active_us, self.held_us = now_us, now_us, 0
        self.was_served = True

    def correct(self, cost: int, actual: int) -> None:
        """Pay for what a lease took too little, or take back what it took too much."""
        moved_us = min(self.tat_us + (actual - cost) * self.interval_us, LATEST_US)
        self.tat_us = max(moved_us, min(self.tat_us, self.last_us + self.interval_us))
        self.was_moved = True

    def hold(self, until_us: int) -> None:
        """Give nothing until then, or until an earlier hold ends."""
        self.held_us = max(self.held_us, until_us)
        self.was_moved = True

    def change_rate(self, interval_us: int, burst: float) -> None:
        """Set a rate, and move the slot that is waited for; a distance of several slots grows with the interval."""
        moved_us = self.tat_us - self.interval_us + interval_us
        beyond_us = self.tat_us - self.last_us
        if beyond_us > self.interval_us > 0:
            scaled_us = float(beyond_us) * interval_us / self.interval_us
            moved_us = int(min(self.last_us + math.ceil(scaled_us), LATEST_US))
        self.interval_us, self.burst = interval_us, burst
        self.tat_us = max(moved_us, self.last_us + interval_us - self.slack_us, 0)
        self.was_moved = True

    def adopt(self, interval_us: int | None, burst: float | None, max_leased: int | None) -> None:
        """Take the values of an enqueue, unless an operator has set them."""
        is_fixed = self.is_pinned or "interval" in self.settings
        if interval_us is None or (self.has_interval and is_fixed):
            interval_us = self.interval_us
        if burst is None or self.is_pinned or "burst" in self.settings:
            burst = self.burst
        self.has_interval = True
        if (interval_us, burst) != (self.interval_us, self.burst):
            self.change_rate(interval_us, burst)
        if max_leased is not None and not self.is_pinned and "max_leased" not in self.settings:
            self.max_leased = max_leased

    def stays_in_turn(self, *, may_give_more: bool) -> bool:
        """Count a job of its turn. Return True until it gave as many jobs as its weight."""
        if self.weight is None:
            return False
        self.given += 1
        if self.given >= self.weight or not may_give_more:
            self.given = 0
            return False
        self.was_served = False
        return True

    def settle(self, now_us: int, call: int) -> None:
        """Take its place in the line after a call: a queue that is new in it, or was just served, goes to the end.

        A queue whose turn goes on keeps its place, unless it has to wait.
        """
        place_us = self.place_us
        if self.is_paused or self.is_full or not self.waiting:
            self.place_us = None
        elif self.place_us is None or self.was_served:
            self.place_us = max(self.ready_us, now_us + self.served_after_us)
        elif self.was_moved:
            kept_us, waits = min(self.place_us, now_us), self.ready_us > now_us
            self.place_us = max(self.ready_us, kept_us) if waits or not self.given else kept_us
        if self.place_us != place_us or self.was_served:
            self.placed_by = call if self.place_us == now_us else 0
        self.was_served = self.was_moved = False
        self.served_after_us = 0

    def blocked_by(self, now_us: int) -> str | None:
        """Return the first reason why it gives nothing; None if it gives a job."""
        reasons = (
            (self.is_paused, "paused"),
            (self.held_us > now_us, "hold"),
            (not self.waiting and not self.delayed, "empty"),
            (not self.waiting, "delayed"),
            (self.is_full, "max_leased"),
            (self.tat_us > now_us, "rate"),
        )
        return next((reason for holds, reason in reasons if holds), None)
