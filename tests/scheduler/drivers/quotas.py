"""Sets quotas of a gathered type on a real store, with the periods that a shard would bring."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from shard.calendar.period_keeper import bounds_around
from shard.calendar.periods import period_bounds
from sharq_core.campaigns.quotas import PeriodLength, Zone
from sharq_core.limits import LimitUnit, Quota, QuotaUse, TypeSettings, TypeStats
from sharq_core.models import LeasedJob
from sharq_core.scheduler.campaigns.quotas import PeriodCalls
from tests.scheduler.drivers.driver import DAY_US, SECOND_US
from tests.scheduler.drivers.types import TypeDriver

MOMENT_US = 100
"""Longer than a call that leases a hundred jobs puts a queue behind the others."""


def lease(driver: TypeDriver, count: int = 100) -> list[LeasedJob]:
    """Lease jobs for longer than the days of a test; then a moment passes, in which queues take their turns."""
    jobs = driver.dequeue(count, lease_us=400 * DAY_US)
    driver.advance(MOMENT_US)
    return jobs


def daily(quota: int, tz: str = "UTC", unit: LimitUnit = LimitUnit.JOB) -> Quota:
    """A quota of each local day."""
    return Quota(quota, PeriodLength.DAY, tz, unit)


def hourly(quota: int, tz: str = "UTC", unit: LimitUnit = LimitUnit.JOB) -> Quota:
    """A quota of each local hour."""
    return Quota(quota, PeriodLength.HOUR, tz, unit)


def us(local: str, tz: str = "UTC") -> int:
    """A local time such as 2026-03-28T12:00 in µs."""
    return round(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(tz)).timestamp()) * SECOND_US


def zone_of(quota: Quota) -> Zone:
    """The days or hours that a quota counts by."""
    return Zone(quota.period, quota.tz)


def set_quotas(driver: TypeDriver, *quotas: Quota, has_bounds: bool = True) -> TypeStats:
    """Set the quotas of the type; without bounds, their periods are not known."""
    bounds = {zone_of(quota): bounds_around(zone_of(quota), driver.now_us) for quota in quotas}
    call = driver.types.set_type(
        0,
        driver.queue_type,
        TypeSettings(quotas=list(quotas) or None),
        bounds=bounds if has_bounds else {},
        now_us=driver.now_us,
    )
    return driver.value(call)


def put_periods(driver: TypeDriver, *quotas: Quota, at_us: int | None = None) -> int:
    """Bring the periods around a time (the present) of the zones of quotas, as a shard's task does."""
    around_us = driver.now_us if at_us is None else at_us
    bounds = {zone_of(quota): bounds_around(zone_of(quota), around_us) for quota in quotas}
    return driver.value(PeriodCalls(driver.keys).put_periods(0, bounds, now_us=driver.now_us))


def use(driver: TypeDriver) -> list[QuotaUse]:
    """The quotas of the type and what is used of them."""
    return driver.type_stats().quotas


def used(driver: TypeDriver) -> list[int]:
    """The units of each quota that are used."""
    return [quota.used for quota in use(driver)]


def leases_until(driver: TypeDriver, end_us: int, step_us: int) -> Iterator[int]:
    """Yield the time of each lease while time passes in equal steps; the periods are kept known."""
    zones = [quota.quota for quota in use(driver)]
    while driver.now_us < end_us:
        put_periods(driver, *zones)
        at_us = driver.now_us
        yield from (at_us for _ in lease(driver))
        driver.now_us = at_us + step_us


def periods_between(quota: Quota, begin_us: int, end_us: int) -> list[tuple[int, int]]:
    """The begin and the end of each period of a quota that lies in a time as a whole."""
    bounds = period_bounds(quota.period, quota.tz, begin_us, end_us)
    return [pair for pair in pairwise(bounds) if pair[0] >= begin_us]
