"""The quotas of a type in plain Python, for days and hours of zones whose offset never changes.

The rules of a type (types.py) ask them before each lease and tell them of each lease.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sharq_core.campaigns.quotas import PeriodLength, Zone
from sharq_core.limits import LimitUnit, Quota, QuotaUse
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US

OFFSETS_US = {"UTC": 0, "Asia/Kolkata": 330 * MINUTE_US, "Pacific/Marquesas": -570 * MINUTE_US}
"""Time by which the local clock of a zone is ahead of UTC."""

RETRY_US = SECOND_US
LOOK_AGAIN_US = 30 * SECOND_US

Reach = tuple[int, int]
"""The first and the last bound of the periods that the store knows of a zone."""


def period_at(zone: Zone, told_us: int) -> Reach:
    """Return the begin and the end of the local day or hour at a time of the store's clock."""
    length_us = DAY_US if zone.period is PeriodLength.DAY else HOUR_US
    offset_us = OFFSETS_US[zone.tz]
    begin_us = (told_us + offset_us) // length_us * length_us - offset_us
    return begin_us, begin_us + length_us


@dataclass
class Count:
    """A quota and what is used of it.

    period, past: the period that is counted, and the one that was before; used, past_used: the units used in them.
    first: the number of the first lease that counts in the period.
    is_out: the next job does not fit, so far as is known.
    is_stale: the store does not know the present period.
    """

    quota: Quota
    used: int = 0
    period: Reach = (0, 0)
    first: int = 0
    is_out: bool = False
    is_stale: bool = False
    past: int = 0
    past_used: int = 0

    @property
    def zone(self) -> Zone:
        """The days or hours that the quota counts by."""
        return Zone(self.quota.period, self.quota.tz)

    def units(self, cost: int) -> int:
        """The units that a job takes."""
        return cost if self.quota.unit is LimitUnit.COST else 1

    def open(self, told_us: int, reach: Reach, lease_number: int) -> bool:
        """Count the period of a time; returns True if it is another one."""
        self.is_stale = False
        if self.period[0] <= told_us < self.period[1]:
            return False
        if not reach[0] <= told_us < reach[1]:
            self.is_stale = True
            return False
        new = period_at(self.zone, told_us)
        used = self.past_used if self.past == new[0] else 0
        if new[0] < self.period[0]:
            used = max(used, self.used)
        if self.period[0]:
            self.past, self.past_used = self.period[0], self.used
        self.period, self.first, self.used = new, lease_number + 1, used
        self.is_out = used >= self.quota.quota
        return True

    def use(self) -> QuotaUse:
        """The quota as answers show it."""
        return QuotaUse(self.quota, self.used, None if self.is_stale else self.period[1])


@dataclass
class QuotaRules:
    """All quotas of a type.

    reach: the time for which the store knows the periods of each zone.
    until_us: when the quotas next allow a lease, by the partition's time; 0 for any time.
    """

    counts: list[Count] = field(default_factory=list)
    reach: dict[Zone, Reach] = field(default_factory=dict)
    until_us: int = 0
    _now_us: int = 0
    _shift_us: int = 0

    def open(self, told_us: int, now_us: int, lease_number: int) -> bool:
        """A call begins; returns True if a quota counts another period from now on."""
        self._now_us, self._shift_us = now_us, now_us - told_us
        moved = [
            count.open(told_us, self.reach.get(count.zone, (0, 0)), lease_number) for count in self.counts
        ]
        self._settle()
        return any(moved)

    def replace(self, quotas: list[Quota], reach: dict[Zone, Reach]) -> None:
        """An operator replaces all quotas, and a shard brings the periods of zones."""
        old = {(count.quota.unit, count.zone): count for count in self.counts}
        self.counts = []
        for quota in quotas:
            count = Count(quota)
            before = old.get((quota.unit, count.zone))
            if before is not None:
                count.used, count.period, count.first = before.used, before.period, before.first
                count.past, count.past_used = before.past, before.past_used
                count.is_out = before.used >= quota.quota
            self.counts.append(count)
        zones = {count.zone for count in self.counts}
        self.reach = {zone: found for zone, found in {**self.reach, **reach}.items() if zone in zones}

    def put(self, reach: dict[Zone, Reach]) -> int:
        """A shard brings the periods of zones; returns how many of them quotas count by."""
        wanted = {zone: found for zone, found in reach.items() if zone in self.reach or self._counts_by(zone)}
        self.reach |= wanted
        return len(wanted)

    def room(self, count: int) -> int:
        """Return how many jobs of cost 1 may be leased at once, at most count."""
        return min([count, *(found.quota.quota - found.used for found in self.counts)])

    def admits(self, cost: int) -> bool:
        """A job may be leased; if not, its quotas are out."""
        refusing = [
            count
            for count in self.counts
            if count.used and count.used + count.units(cost) > count.quota.quota
        ]
        for count in refusing:
            count.is_out = True
        self._settle()
        return not refusing

    def lease(self, cost: int) -> None:
        """A job is leased."""
        for count in self.counts:
            count.used += count.units(cost)
            count.is_out = count.is_out or count.used >= count.quota.quota
        self._settle()

    def correct(self, difference: int, lease_number: int) -> None:
        """A worker tells the actual cost of its job."""
        for count in self.counts:
            if count.quota.unit is LimitUnit.COST and lease_number >= count.first:
                count.used = max(count.used + difference, 0)
                count.is_out = (count.is_out and difference >= 0) or count.used >= count.quota.quota
        self._settle()

    def look_at_us(self, now_us: int) -> int:
        """The time at which a dequeue looks again: the store's clock may step meanwhile."""
        return min(self.until_us, now_us + LOOK_AGAIN_US)

    def _counts_by(self, zone: Zone) -> bool:
        return any(count.zone == zone for count in self.counts)

    def _settle(self) -> None:
        ends = [
            self._now_us + RETRY_US if count.is_stale else count.period[1] + self._shift_us
            for count in self.counts
            if count.is_stale or count.is_out
        ]
        self.until_us = max(ends, default=0)
