"""Quotas of a gathered type: never more in a local day or hour than the quota, and no less while jobs wait."""

from __future__ import annotations

import itertools

import pytest
import redis

from sharq_core.campaigns.quotas import Zone
from sharq_core.limits import BlockedBy, LimitUnit, Quota, QuotaUse, TypeSettings
from sharq_core.scheduler.campaigns.quotas import PeriodCalls
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tests.scheduler.drivers.quotas import (
    daily,
    hourly,
    lease,
    leases_until,
    periods_between,
    put_periods,
    set_quotas,
    us,
    use,
    used,
    zone_of,
)
from tests.scheduler.drivers.types import GATHERED, TypeDriver, fill, job, job_limit

COST = LimitUnit.COST
RETRY_US = SECOND_US
LOOK_AGAIN_US = 30 * SECOND_US


# Periods.


@pytest.mark.parametrize(
    ("tz", "around", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Asia/Kolkata", "2026-03-29", 24),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
    ],
)
def test_each_local_day_gives_exactly_the_quota(sms: TypeDriver, tz: str, around: str, hours: float) -> None:
    quota = daily(7, tz)
    sms.now_us = begin_us = us(f"{around}T12:00", tz) - DAY_US
    set_quotas(sms, quota)
    fill(sms, "a", 40)
    fill(sms, "b", 40)
    end_us = begin_us + 4 * DAY_US
    times = list(leases_until(sms, end_us, 10 * MINUTE_US))
    days = periods_between(quota, begin_us, end_us)
    lengths = [(day[1] - day[0]) / HOUR_US for day in days]
    assert hours in lengths and len(days) == 3
    for day_begin_us, day_end_us in days:
        in_day = [at for at in times if day_begin_us <= at < day_end_us]
        assert len(in_day) == 7
        assert all(at - day_begin_us < 10 * MINUTE_US for at in in_day), "they leave as the day begins"


@pytest.mark.parametrize(
    ("tz", "from_local", "minutes"),
    [
        ("Asia/Kolkata", "2026-03-29T00:00", {60}),
        ("Australia/Lord_Howe", "2026-04-05T00:00", {60, 90}),
        ("Europe/Berlin", "2026-10-25T00:00", {60}),
    ],
)
def test_each_local_hour_gives_exactly_the_quota(
    sms: TypeDriver, tz: str, from_local: str, minutes: set[int]
) -> None:
    quota = hourly(3, tz)
    sms.now_us = begin_us = us(from_local, tz) + 7 * MINUTE_US
    set_quotas(sms, quota)
    fill(sms, "a", 60)
    end_us = begin_us + 8 * HOUR_US
    times = list(leases_until(sms, end_us, 5 * MINUTE_US))
    hours = periods_between(quota, begin_us, end_us)
    assert {(end - begin) // MINUTE_US for begin, end in hours} == minutes
    assert {sum(begin <= at < end for at in times) for begin, end in hours} == {3}


def test_a_quota_ends_to_the_microsecond(sms: TypeDriver) -> None:
    quota = daily(2, "Europe/Berlin")
    sms.now_us = us("2026-07-01T12:00", "Europe/Berlin")
    set_quotas(sms, quota)
    fill(sms, "a", 9)
    assert len(lease(sms)) == 2
    midnight_us = us("2026-07-02T00:00", "Europe/Berlin")
    sms.now_us = midnight_us - 1
    assert lease(sms) == []
    sms.now_us = midnight_us
    assert len(lease(sms)) == 2


def test_several_quotas_hold_together(sms: TypeDriver) -> None:
    sms.now_us = us("2026-07-01T00:00")
    set_quotas(sms, daily(10), hourly(4), daily(25, unit=COST))
    fill(sms, "a", 30, cost=3)
    found = [len(list(leases_until(sms, sms.now_us + HOUR_US, MINUTE_US))) for _ in range(4)]
    assert found == [4, 4, 0, 0], "8 jobs cost 24 of 25 points, and the ninth does not fit"
    sms.now_us = us("2026-07-02T00:00")
    put_periods(sms, daily(1), hourly(1))
    assert len(lease(sms)) == 4


def test_a_quota_of_jobs_counts_jobs_whatever_they_cost(sms: TypeDriver) -> None:
    set_quotas(sms, daily(5))
    for number, cost in enumerate([1, 900, 3, 1, 77, 1, 1]):
        sms.enqueue(job(str(number), cost=cost))
    assert len(lease(sms)) == 5
    assert lease(sms) == []
    assert used(sms) == [5]


def test_a_quota_of_cost_is_never_passed_and_no_job_overtakes(sms: TypeDriver) -> None:
    set_quotas(sms, daily(10, unit=COST))
    for number, cost in enumerate([4, 4, 3, 1, 1]):
        sms.enqueue(job(str(number), cost=cost))
    assert [leased.job_id for leased in lease(sms)] == ["0", "1"]
    sms.enqueue(job("cheap", "other", cost=1))
    assert lease(sms) == []
    assert used(sms) == [8]
    assert sms.explain().blocked_by is BlockedBy.QUOTA
    sms.advance(DAY_US)
    assert {leased.job_id for leased in lease(sms)} == {"2", "3", "4", "cheap"}


def test_a_job_dearer_than_the_quota_goes_alone_in_a_period(sms: TypeDriver) -> None:
    set_quotas(sms, daily(10, unit=COST))
    sms.enqueue(job("dear", cost=50), job("next", cost=1))
    assert [leased.job_id for leased in lease(sms)] == ["dear"]
    assert used(sms) == [50]
    sms.advance(DAY_US)
    assert [leased.job_id for leased in lease(sms)] == ["next"]
    sms.enqueue(job("dear2", cost=50))
    assert lease(sms) == []
    sms.advance(DAY_US)
    assert [leased.job_id for leased in lease(sms)] == ["dear2"]


def test_quotas_and_limits_hold_together(sms: TypeDriver) -> None:
    sms.now_us = us("2026-07-01T12:00")
    sms.limit(job_limit())
    set_quotas(sms, daily(3))
    fill(sms, "a", 9)
    times = list(leases_until(sms, sms.now_us + MINUTE_US, SECOND_US // 2))
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [SECOND_US] * 2


# What callers are told.


def test_a_type_that_is_out_looks_at_no_queue_and_tells_when_the_period_ends(
    lone_client: redis.Redis, prefix: str
) -> None:
    sms = TypeDriver(lone_client, prefix)
    sms.now_us = us("2026-07-01T23:59:50")
    set_quotas(sms, daily(2))
    for queue in range(20):
        fill(sms, str(queue), 1)
    lease(sms)
    lone_client.config_resetstat()
    reply = sms.dequeue_reply()
    stats = lone_client.info("commandstats")
    assert reply.jobs == [] and reply.due_before == 0
    assert not {"cmdstat_zrange", "cmdstat_hmget", "cmdstat_zcount"} & stats.keys()
    assert reply.head_us == us("2026-07-02T00:00")
    explanation = sms.explain()
    assert (explanation.blocked_by, explanation.next_ready_in_us) == (
        BlockedBy.QUOTA,
        us("2026-07-02T00:00") - sms.now_us,
    )
    assert sms.type_summaries()[GATHERED].blocked_by is BlockedBy.QUOTA
    assert use(sms) == [QuotaUse(daily(2), 2, us("2026-07-02T00:00"))]


def test_a_type_that_is_out_for_long_looks_again_because_the_clock_may_step(sms: TypeDriver) -> None:
    sms.now_us = us("2026-07-01T01:00")
    set_quotas(sms, daily(1))
    fill(sms, "a", 2)
    assert sms.dequeue_reply().head_us == sms.now_us + LOOK_AGAIN_US
    assert sms.dequeue_reply().head_us == sms.now_us + LOOK_AGAIN_US
    sms.now_us = us("2026-07-01T02:00")
    assert sms.explain().next_ready_in_us == 22 * HOUR_US


def test_a_hold_comes_before_a_quota_and_a_quota_before_a_limit(sms: TypeDriver) -> None:
    sms.limit(job_limit(DAY_US), max_leased=1)
    set_quotas(sms, daily(1))
    fill(sms, "a", 3)
    lease(sms)
    assert sms.explain().blocked_by is BlockedBy.QUOTA
    sms.set_type(TypeSettings(hold_us=MINUTE_US))
    assert sms.explain().blocked_by is BlockedBy.TYPE_HOLD


# Changes.


def test_a_replaced_quota_keeps_what_was_used(sms: TypeDriver) -> None:
    set_quotas(sms, daily(5), hourly(100))
    fill(sms, "a", 30)
    assert len(lease(sms)) == 5
    assert [quota.used for quota in set_quotas(sms, hourly(7), daily(9)).quotas] == [5, 5]
    assert len(lease(sms)) == 2
    assert [quota.used for quota in set_quotas(sms, daily(6)).quotas] == [7]
    assert lease(sms) == []
    set_quotas(sms, daily(8))
    assert len(lease(sms)) == 1


def test_a_quota_of_another_unit_period_or_zone_begins_anew(sms: TypeDriver) -> None:
    set_quotas(sms, daily(5))
    fill(sms, "a", 30)
    lease(sms)
    for quota in (daily(3, unit=COST), hourly(2), daily(4, "Asia/Kolkata")):
        assert [found.used for found in set_quotas(sms, quota).quotas] == [0]
        assert len(lease(sms)) == quota.quota


def test_a_larger_quota_tells_that_queues_are_due(sms: TypeDriver) -> None:
    set_quotas(sms, daily(1))
    fill(sms, "a", 3)
    lease(sms)
    bounds = {zone_of(daily(2)): (sms.now_us - DAY_US, sms.now_us + DAY_US)}
    call = sms.types.set_type(0, GATHERED, TypeSettings(quotas=[daily(2)]), bounds=bounds, now_us=sms.now_us)
    due_us = sms.reply(call).hint.ready_us
    assert due_us is not None and due_us <= sms.now_us


def test_other_settings_leave_the_quotas_alone(sms: TypeDriver) -> None:
    set_quotas(sms, daily(5))
    fill(sms, "a", 30)
    lease(sms)
    found = sms.limit(job_limit())
    assert [quota.used for quota in found.quotas] == [5]
    assert sms.set_type(TypeSettings(max_leased=100, hold_us=None)).quotas == found.quotas


def test_cleared_quotas_leave_nothing_behind(sms: TypeDriver) -> None:
    set_quotas(sms, daily(1), hourly(1, "Asia/Kolkata"))
    names = {b":dUTC", b":hAsia/Kolkata", b":calendars", f":s{GATHERED}".encode()}
    assert names <= set(sms.client.hkeys(sms.key("counters")))
    set_quotas(sms)
    assert not names & set(sms.client.hkeys(sms.key("counters")))
    fill(sms, "a", 3)
    assert len(lease(sms)) == 3


def test_types_of_one_partition_share_the_calendar_of_a_zone(client: redis.Redis, prefix: str) -> None:
    drivers = [TypeDriver(client, prefix, queue_type=f"sms~{name}") for name in "ab"]
    for driver in drivers:
        set_quotas(driver, daily(1), daily(5, unit=COST))
    calls = PeriodCalls(drivers[0].keys)

    def zones() -> list[Zone]:
        return [calendar.zone for calendar in drivers[0].value(calls.get_periods(0))]

    assert zones() == [zone_of(daily(1))]
    set_quotas(drivers[0])
    assert zones() == [zone_of(daily(1))]
    set_quotas(drivers[1], hourly(3))
    assert zones() == [zone_of(hourly(3))]
    set_quotas(drivers[1])
    assert zones() == []
    assert put_periods(drivers[0], daily(1)) == 0, "periods that no quota counts by are not kept"
    assert zones() == []


def test_quotas_outlive_idle_time_and_the_type_itself(sms: TypeDriver) -> None:
    sms.now_us = us("2026-07-01T12:00")
    set_quotas(sms, daily(2))
    fill(sms, "a", 1)
    sms.finish("0", lease(sms)[0].lease, "a")
    for _ in range(3):
        sms.advance(HOUR_US)
        sms.reap()
        sms.dequeue()
    assert used(sms) == [1], "the day is not over"
    for _ in range(3):
        sms.advance(DAY_US)
        sms.reap()
    put_periods(sms, daily(2))
    assert sms.totals().enqueued == 0
    assert used(sms) == [0]
    fill(sms, "a", 5)
    assert len(lease(sms)) == 2


@pytest.mark.parametrize("quota", [daily(10**12), hourly(10**12, "America/Argentina/ComodRivadavia", COST)])
def test_the_largest_quota_fits(sms: TypeDriver, quota: Quota) -> None:
    set_quotas(sms, quota, daily(10**12), hourly(10**12))
    fill(sms, "a", 3)
    assert len(lease(sms)) == 3
    assert use(sms)[0].quota == quota
