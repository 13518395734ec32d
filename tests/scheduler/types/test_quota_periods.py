"""Quotas of a gathered type when costs are corrected, when their periods are not known, and when the clock steps."""

from __future__ import annotations

import pytest
import redis

from sharq_core.limits import BlockedBy, LimitUnit, QuotaUse
from sharq_core.models import FinishJob, ReleaseJob
from sharq_core.scheduler.campaigns.quotas import PeriodCalls
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tests.scheduler.drivers.quotas import (
    daily,
    hourly,
    lease,
    put_periods,
    set_quotas,
    us,
    use,
    used,
    zone_of,
)
from tests.scheduler.drivers.types import GATHERED, TypeDriver, fill, job
from tests.scheduler.stored.records import assert_records_agree, read_raw

COST = LimitUnit.COST
RETRY_US = SECOND_US


# Corrections.


def finish(sms: TypeDriver, job_id: str, token: str, cost: int) -> int | None:
    """Finish a job with its actual cost; returns the ready hint."""
    ref = FinishJob(GATHERED, "q", job_id, token, cost=cost)
    return sms.reply(sms.functions.finish(0, GATHERED, [ref], now_us=sms.now_us)).hint.ready_us


def test_a_correction_in_the_same_period_changes_what_is_used(sms: TypeDriver) -> None:
    set_quotas(sms, daily(10, unit=COST))
    sms.enqueue(job("1", cost=9), job("2", cost=5), job("3", cost=3), job("4", cost=1))
    (held,) = lease(sms)
    assert lease(sms) == []
    due_us = finish(sms, "1", held.lease, 2)
    assert due_us is not None and due_us <= sms.now_us, "the type is due again"
    assert used(sms) == [2]
    assert [leased.job_id for leased in lease(sms)] == ["2", "3"]
    assert used(sms) == [10]


def test_a_correction_upwards_counts_and_may_pass_the_quota(sms: TypeDriver) -> None:
    set_quotas(sms, daily(10, unit=COST))
    sms.enqueue(job("1", cost=3), job("2", cost=1))
    (held,) = lease(sms, 1)
    finish(sms, "1", held.lease, 30)
    assert used(sms) == [30]
    assert lease(sms) == []


def test_a_correction_of_a_lease_of_an_earlier_period_changes_nothing(sms: TypeDriver) -> None:
    set_quotas(sms, daily(10, unit=COST))
    sms.enqueue(job("1", cost=9), job("2", cost=8))
    (held,) = lease(sms)
    sms.advance(DAY_US)
    (held_now,) = lease(sms)
    finish(sms, "1", held.lease, 0)
    assert used(sms) == [8]
    finish(sms, "2", held_now.lease, 5)
    assert used(sms) == [5]


def test_a_correction_does_not_change_a_quota_of_jobs(sms: TypeDriver) -> None:
    set_quotas(sms, daily(1))
    sms.enqueue(job("1", cost=9), job("2", cost=8))
    (held,) = lease(sms)
    finish(sms, "1", held.lease, 0)
    assert used(sms) == [1]
    assert lease(sms) == []


def test_a_void_lease_stays_used(sms: TypeDriver) -> None:
    """As the slot of the rate does: more than the quota could leave otherwise, if the lease was received after all."""
    set_quotas(sms, daily(1))
    sms.enqueue(job("1"))
    (held,) = lease(sms)
    ref = ReleaseJob(GATHERED, "q", "1", held.lease, is_void=True)
    sms.value(sms.functions.release(0, GATHERED, [ref], now_us=sms.now_us))
    assert used(sms) == [1]
    assert lease(sms) == []


# Calendars that do not reach.


def test_without_its_periods_a_quota_allows_nothing(sms: TypeDriver) -> None:
    found = set_quotas(sms, daily(5), has_bounds=False)
    assert found.quotas == [QuotaUse(daily(5), 0, None)]
    fill(sms, "a", 9)
    assert sms.dequeue_reply().head_us == sms.now_us + RETRY_US
    assert sms.explain().blocked_by is BlockedBy.QUOTA
    put_periods(sms, daily(5))
    assert len(lease(sms)) == 5


def test_a_calendar_that_is_behind_closes_the_quota_until_it_is_extended(sms: TypeDriver) -> None:
    set_quotas(sms, daily(5))
    fill(sms, "a", 30)
    assert len(lease(sms)) == 5
    sms.advance(3 * DAY_US)
    assert len(lease(sms)) == 5, "four days ahead are known"
    sms.advance(3 * DAY_US)
    assert lease(sms) == []
    assert use(sms)[0].resets_at_us is None
    put_periods(sms, daily(5))
    assert len(lease(sms)) == 5


def test_an_extension_in_the_middle_of_a_period_keeps_what_was_used(sms: TypeDriver) -> None:
    set_quotas(sms, daily(5))
    fill(sms, "a", 30)
    lease(sms, 3)
    put_periods(sms, daily(5))
    assert used(sms) == [3]
    assert len(lease(sms)) == 2


def test_get_periods_tells_how_far_calendars_reach(sms: TypeDriver) -> None:
    set_quotas(sms, daily(5), hourly(5, "Asia/Kolkata"))
    calendars = sms.value(PeriodCalls(sms.keys).get_periods(0, now_us=sms.now_us))
    assert {calendar.zone for calendar in calendars} == {
        zone_of(daily(1)),
        zone_of(hourly(1, "Asia/Kolkata")),
    }
    for calendar in calendars:
        assert calendar.first_us <= sms.now_us - 2 * DAY_US + HOUR_US
        assert calendar.last_us >= sms.now_us + 3 * DAY_US - HOUR_US


# The store's clock.


def step_and_mend(sms: TypeDriver, step_us: int) -> None:
    """The store's clock steps, and a node notices it at once."""
    clock = sms.refresh().clock
    seen_us = sms.now_us + clock.shift_us - clock.unseen_us
    sms.advance(step_us)
    shift_us = clock.shift_us - step_us
    sms.value(sms.functions.set_clock(0, clock.number, seen_us, shift_us, now_us=sms.now_us))


@pytest.mark.parametrize("is_mended", [True, False])
def test_a_clock_that_goes_back_and_forth_gives_no_period_more_than_its_quota(
    sms: TypeDriver, is_mended: bool
) -> None:
    quota = daily(5)
    sms.now_us = us("2026-07-01T23:30")
    set_quotas(sms, quota)
    fill(sms, "a", 90)
    by_day: dict[int, int] = {}
    for step_us in (0, HOUR_US, -HOUR_US, HOUR_US, -2 * HOUR_US, HOUR_US, HOUR_US, DAY_US, -DAY_US):
        if is_mended:
            step_and_mend(sms, step_us)
        else:
            sms.advance(step_us)
        put_periods(sms, quota)
        sms.advance(SECOND_US)
        day = sms.now_us // DAY_US
        by_day[day] = by_day.get(day, 0) + len(lease(sms, 2)) + len(lease(sms, 2))
    assert max(by_day.values()) == 5 and len(by_day) == 3


def test_after_a_step_back_into_the_day_before_what_was_used_stays_used(sms: TypeDriver) -> None:
    """The clock may have been ahead, so that the leases were of that day in truth."""
    sms.now_us = us("2026-07-02T00:30")
    set_quotas(sms, daily(5))
    fill(sms, "a", 30)
    lease(sms, 4)
    step_and_mend(sms, -HOUR_US)
    assert use(sms) == [QuotaUse(daily(5), 4, us("2026-07-02T00:00"))]
    assert len(lease(sms)) == 1
    sms.now_us = us("2026-07-02T00:00")
    assert use(sms) == [QuotaUse(daily(5), 4, us("2026-07-03T00:00"))]
    assert len(lease(sms)) == 1


def test_after_a_step_ahead_of_years_and_back_the_quota_ends_with_its_day(sms: TypeDriver) -> None:
    sms.now_us = us("2026-07-01T12:00")
    set_quotas(sms, daily(5))
    fill(sms, "a", 30)
    lease(sms, 2)
    step_and_mend(sms, 800 * DAY_US)
    assert lease(sms) == [], "no period is known"
    put_periods(sms, daily(5))
    assert len(lease(sms)) == 5
    step_and_mend(sms, -800 * DAY_US)
    assert lease(sms) == []
    put_periods(sms, daily(5))
    assert lease(sms) == [], "what was used stays used"
    sms.now_us = us("2026-07-02T00:00")
    put_periods(sms, daily(5))
    assert len(lease(sms)) == 5


def test_a_step_over_midnight_is_found_by_a_worker_that_waits(sms: TypeDriver) -> None:
    sms.now_us = us("2026-07-01T12:00")
    set_quotas(sms, daily(5))
    fill(sms, "a", 30)
    lease(sms)
    due_us = sms.dequeue_reply().head_us
    assert due_us is not None and due_us - sms.now_us <= MINUTE_US
    step_and_mend(sms, DAY_US)
    assert len(lease(sms)) == 5


def test_another_node_goes_on_with_what_was_used(client: redis.Redis, prefix: str) -> None:
    first = TypeDriver(client, prefix)
    set_quotas(first, daily(5))
    fill(first, "a", 30)
    lease(first, 3)
    second = TypeDriver(client, prefix)
    second.now_us = first.now_us
    assert used(second) == [3]
    assert len(lease(second)) == 2


def test_the_first_call_of_a_period_may_be_one_without_the_key_of_the_queues(sms: TypeDriver) -> None:
    sms.now_us = us("2026-07-01T12:00")
    set_quotas(sms, daily(1))
    fill(sms, "a", 2)
    assert len(lease(sms)) == 1 and lease(sms) == []
    sms.now_us = us("2026-07-02T00:00") + SECOND_US
    call = sms.batches.drop_batches(0, GATHERED, ["none"], now_us=sms.now_us)
    assert sms.value(call) == 0
    assert_records_agree(read_raw(sms), sms)
    assert len(lease(sms)) == 1


def test_a_paused_type_is_due_in_time_after_its_periods_became_known(sms: TypeDriver) -> None:
    set_quotas(sms, daily(1))
    fill(sms, "a", 1)
    sms.now_us -= 400 * DAY_US
    sms.pause_type(is_paused=True)
    assert lease(sms) == [], "nobody knows the period, and the type looks again in a while"
    put_periods(sms, daily(1))
    assert lease(sms) == []
    assert_records_agree(read_raw(sms), sms)
