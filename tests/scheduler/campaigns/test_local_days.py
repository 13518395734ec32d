"""Windows and schedules in the store over days on which clocks change, with what a shard computes for them.

Time passes in steps, at a clock that only the test moves. The wall clock of the zone says what must happen.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from shard.calendar.openings import openings_ahead
from shard.calendar.schedules import _slots_at
from shard.calendar.slots import next_after
from sharq_core.campaigns.schedules import ScheduleRule
from sharq_core.scheduler.campaigns.schedule_calls import FireStatus, ScheduleCalls
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Driver, new_job
from tests.scheduler.drivers.quotas import us
from tests.scheduler.drivers.windows import WindowDriver, windowed
from tests.scheduler.stored.records import assert_keys_agree
from tests.unit.shard.calendar.test_openings import is_open, window

STEP_US = 10 * MINUTE_US
DAYS = 3
STEPS = DAYS * DAY_US // STEP_US


@pytest.mark.parametrize(
    ("tz", "around", "spans", "closed"),
    [
        ("America/New_York", "2026-03-08", [("daily", "01:30", "03:30")], []),
        ("America/New_York", "2026-11-01", [("daily", "01:10", "01:50")], []),
        ("Europe/Berlin", "2026-03-29", [("daily", "02:10", "02:50"), ("sun", "12:00", "13:00")], []),
        ("Europe/Berlin", "2026-10-25", [("daily", "01:00", "04:00")], []),
        ("Australia/Lord_Howe", "2026-04-05", [("daily", "01:00", "04:00")], []),
        ("Asia/Kolkata", "2026-06-05", [("mon-fri", "09:00", "17:30")], []),
        ("Asia/Kathmandu", "2026-06-05", [("fri", "22:00", "03:00")], []),
        ("America/New_York", "2026-12-25", [("daily", "20:00", "06:00")], ["2026-12-25"]),
        ("Europe/Berlin", "2026-03-29", [("daily", "22:00", "05:00")], ["2026-03-28"]),
    ],
)
def test_a_job_leaves_at_each_time_at_which_the_wall_clock_reads_an_open_minute(
    windows: WindowDriver, tz: str, around: str, spans: list[tuple[str, str, str]], closed: list[str]
) -> None:
    sending = window(tz, *spans, closed=tuple(closed))
    definition = msgspec.json.encode(sending)
    windows.now_us = begin_us = us(f"{around}T00:00", tz) - DAY_US
    known = openings_ahead(definition, begin_us)
    put = windows.calls.put_window(0, "w", definition, 0, known.until_us, known.openings, now_us=begin_us)
    version = windows.value(put).version
    for first in range(0, STEPS, 100):
        windows.enqueue(*(windowed(f"{number}", "w") for number in range(first, first + 100)))
    left, wanted = [], []
    for windows.now_us in range(begin_us, begin_us + DAYS * DAY_US, STEP_US):
        if windows.now_us % HOUR_US < STEP_US:
            known = openings_ahead(definition, windows.now_us)
            if windows.extend_window("w", version, known.until_us, *known.openings):
                windows.rescore_all()
        now_us = windows.now_us
        left += [now_us] * len(windows.dequeue(1, lease_us=400 * DAY_US))
        wanted += [now_us] * is_open(sending, now_us // SECOND_US)
    assert left == wanted
    assert 0 < len(wanted) < STEPS
    assert_keys_agree(windows)


@pytest.mark.parametrize(
    ("cron", "tz", "around", "wanted"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-29", ["28T02:30", "29T03:00", "30T02:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25", ["24T02:30", "25T02:30", "26T02:30"]),
        ("30 1 * * *", "America/New_York", "2026-11-01", ["31T01:30", "01T01:30", "02T01:30"]),
        ("30 2 * * *", "America/New_York", "2026-03-08", ["07T02:30", "08T03:00", "09T02:30"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-04", ["03T02:15", "04T02:30", "05T02:15"]),
        ("0 9 * * *", "Asia/Kathmandu", "2026-06-05", ["04T09:00", "05T09:00", "06T09:00"]),
    ],
)
@pytest.mark.parametrize("down_hours", [0, 7])
def test_a_schedule_fires_once_for_each_local_day(
    driver: Driver, cron: str, tz: str, around: str, wanted: list[str], down_hours: int
) -> None:
    """Also if no node runs for the night of the change: the slot in it is then fired at the start."""
    rule = ScheduleRule(cron=cron, tz=tz)
    calls = ScheduleCalls(driver.keys, driver.functions)
    midnight_us = us(f"{around}T00:00", tz)
    driver.now_us = begin_us = midnight_us - DAY_US
    slot_us = next_after(rule, begin_us)
    job = new_job("", interval_us=0)
    put = calls.put_schedule(0, "daily", 1, rule, slot_us, job, b"{}", is_paused=False, now_us=begin_us)
    driver.value(put)
    fired: list[str] = []
    for driver.now_us in range(begin_us, begin_us + DAYS * DAY_US, STEP_US):
        if midnight_us <= driver.now_us < midnight_us + down_hours * HOUR_US:
            continue
        known = driver.value(calls.get_schedule(0, "daily", now_us=driver.now_us)).schedule
        assert known is not None and known.slot_us is not None
        if driver.now_us < known.slot_us:
            continue
        slot_us, next_us = _slots_at(known, known.slot_us, driver.now_us)
        firing = calls.fire_schedule(0, known, slot_us, next_us, now_us=driver.now_us)
        assert driver.value(firing).status is FireStatus.FIRED
        at = int(driver.lease_one(lease_us=400 * DAY_US).job_id.rpartition("@")[2]) // 1000
        fired.append(f"{datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(tz)):%dT%H:%M}")
    assert fired == wanted
    assert_keys_agree(driver)
