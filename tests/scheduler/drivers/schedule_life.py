"""The life of one schedule, which uses every function about schedules."""

from __future__ import annotations

from sharq_core.campaigns.schedules import ScheduleRule, ScheduleStatus
from sharq_core.scheduler.campaigns.schedule_calls import FireStatus, ScheduleCalls
from tests.scheduler.drivers.driver import HOUR_US, SECOND_US, Driver, new_job


def use_schedules(driver: Driver) -> None:
    """Call every function about schedules."""
    calls, at, now_us = ScheduleCalls(driver.keys, driver.functions), driver.partition, driver.now_us
    version = driver.value(calls.claim_schedule(at, "daily", 0, at, None, now_us=now_us)).version
    rule, job = ScheduleRule(every_us=SECOND_US), new_job("", "scheduled", interval_us=0)
    put = calls.put_schedule(at, "daily", version, rule, now_us, job, b"{}", is_paused=True, now_us=now_us)
    assert driver.value(put).status is ScheduleStatus.DONE
    assert driver.value(calls.settle_schedule(at, "daily", version, at, now_us=now_us))
    resume = calls.pause_schedule(at, "daily", version, version, now_us, is_paused=False, now_us=now_us)
    assert driver.value(resume).status is ScheduleStatus.DONE
    (schedule,) = driver.value(calls.list_schedules(at, 0, 100, now_us=now_us)).schedules
    fire = calls.fire_schedule(at, schedule, now_us, now_us + SECOND_US, now_us=now_us)
    assert driver.value(fire).status is FireStatus.FIRED
    fired = driver.value(calls.get_schedule(at, "daily", now_us=now_us)).schedule
    assert fired is not None
    assert driver.value(calls.move_schedule(at, fired, None, now_us=now_us))
    driver.value(calls.drop_schedule(at, "daily", version, now_us=now_us))
    assert driver.value(calls.settle_schedule(at, "daily", version, None, now_us=now_us))
    assert driver.value(calls.forget_schedule(at, "daily", version, now_us=now_us + HOUR_US))
