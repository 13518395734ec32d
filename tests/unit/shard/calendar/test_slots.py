"""The slots of schedules, on days on which the clocks change, too."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shard.calendar.slots import latest_by, next_after
from sharq_core.campaigns.schedules import ScheduleRule

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
DAY_US = 24 * 60 * MINUTE_US
BERLIN, LORD_HOWE, KOLKATA = "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"

CHANGES = {
    BERLIN: ["2026-03-28T22:00", "2026-10-24T22:00"],
    LORD_HOWE: ["2026-10-03T22:00", "2026-04-04T22:00"],
}
"""The evenings before the clocks change: by an hour, and by half an hour."""


EVENINGS = [(zone, day) for zone, days in CHANGES.items() for day in days]


def us(text: str, zone: str = "UTC") -> int:
    """A local time in µs since the epoch."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND_US


def local(at_us: int, zone: str) -> str:
    """A time as its local month, day, hour, minute and offset."""
    return datetime.fromtimestamp(at_us // SECOND_US, ZoneInfo(zone)).strftime("%m-%dT%H:%M%z")


def slots(rule: ScheduleRule, after_us: int, count: int) -> list[int]:
    """The next slots after a time."""
    found: list[int] = []
    for _ in range(count):
        slot_us = next_after(rule, found[-1] if found else after_us)
        assert slot_us is not None
        found.append(slot_us)
    return found


@pytest.mark.parametrize(
    ("cron", "zone", "after", "wanted"),
    [
        ("30 2 * * *", BERLIN, "2026-03-28T12:00", ["03-29T03:00+0200", "03-30T02:30+0200"]),
        ("30 2 * * *", BERLIN, "2026-10-24T12:00", ["10-25T02:30+0200", "10-26T02:30+0100"]),
        ("15,45 1-3 * * *", BERLIN, "2026-03-29T01:20", ["03-29T01:45+0100", "03-29T03:00+0200", "03-29T03:15+0200"]),
        ("0 * * * *", BERLIN, "2026-03-29T00:30", ["03-29T01:00+0100", "03-29T03:00+0200"]),
        ("0 * * * *", BERLIN, "2026-10-25T01:30", ["10-25T02:00+0200", "10-25T02:00+0100", "10-25T03:00+0100"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00", ["10-04T02:30+1100", "10-05T02:15+1100"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T12:00", ["04-05T01:45+1100", "04-06T01:45+1030"]),
        ("0 */3 * * *", LORD_HOWE, "2026-10-03T23:00", ["10-04T00:00+1030", "10-04T03:00+1100", "10-04T06:00+1100"]),
        ("0 */3 * * *", LORD_HOWE, "2026-04-04T23:00", ["04-05T00:00+1100", "04-05T03:00+1030", "04-05T06:00+1030"]),
        ("0 9 * * mon-fri", KOLKATA, "2026-11-27T10:00", ["11-30T09:00+0530", "12-01T09:00+0530"]),
        ("0 0 L * *", "UTC", "2028-02-01T00:00", ["02-29T00:00+0000", "03-31T00:00+0000"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", ["02-29T00:00+0000"]),
    ],
)  # fmt: skip
def test_slots_of_a_cron_expression(cron: str, zone: str, after: str, wanted: list[str]) -> None:
    rule = ScheduleRule(cron=cron, tz=zone)
    assert [local(slot_us, zone) for slot_us in slots(rule, us(after, zone), len(wanted))] == wanted


def test_a_slot_in_the_second_pass_of_a_repeated_hour_is_later_than_the_time_that_it_follows() -> None:
    """The library counts from the first pass: its first answers here are in the past."""
    second_pass_us = us("2026-10-25T01:10") + SECOND_US // 2
    rule = ScheduleRule(cron="0,20,40 2 * * *", tz=BERLIN)
    assert local(second_pass_us, BERLIN) == "10-25T02:10+0100"
    assert [local(slot_us, BERLIN) for slot_us in slots(rule, second_pass_us, 1)] == ["10-26T02:00+0100"]


@pytest.mark.parametrize(
    "cron", ["30 2 * * *", "*/30 * * * *", "15,45 1-3 * * *", "* 2 * * *", "0 */3 * * *", "7 2 * * sun"]
)
@pytest.mark.parametrize(("zone", "evening"), EVENINGS)
def test_the_latest_slot_up_to_any_time_is_that_of_the_way_forward(
    cron: str, zone: str, evening: str
) -> None:
    rule = ScheduleRule(cron=cron, tz=zone)
    walk = slots(rule, us(evening, zone), 1)
    while walk[-1] < walk[0] + 9 * DAY_US:
        walk += slots(rule, walk[-1], 1)
    assert walk == sorted(set(walk))
    for now_us in range(walk[0], walk[0] + DAY_US, 10 * MINUTE_US):
        passed = [slot_us for slot_us in walk if slot_us <= now_us]
        assert latest_by(rule, walk[0], now_us) == passed[-1]
        assert next_after(rule, now_us) == walk[len(passed)]


def test_the_latest_of_years_of_missed_slots_is_found_at_once() -> None:
    rule = ScheduleRule(cron="* * * * *")
    first_us, now_us = us("2000-01-01T00:00"), us("2026-11-29T12:00")
    assert latest_by(rule, first_us, now_us) == now_us
    assert latest_by(rule, first_us, now_us - 1) == now_us - MINUTE_US


@given(
    every_ms=st.integers(1000, 10**10),
    now_us=st.integers(10**15, 2 * 10**15),
    ahead_us=st.integers(-(10**13), 10**13),
)
def test_slots_at_equal_distances_stay_in_step(every_ms: int, now_us: int, ahead_us: int) -> None:
    rule = ScheduleRule(every_us=every_ms * 1000)
    first_us = next_after(rule, now_us)
    assert first_us is not None
    assert first_us % 1000 == 0, "the job's id has whole ms"
    assert 0 <= first_us - now_us - rule.every_us < 1000
    later_us = next_after(rule, now_us + ahead_us, first_us)
    assert later_us is not None
    assert 0 < later_us - (now_us + ahead_us) <= rule.every_us
    assert (later_us - first_us) % rule.every_us == 0
    if ahead_us > rule.every_us + 1000:
        assert latest_by(rule, first_us, now_us + ahead_us) == later_us - rule.every_us


def test_a_rule_without_a_further_slot_and_an_unknown_time_zone() -> None:
    assert next_after(ScheduleRule(cron="0 0 */31 2 mon#5"), us("2026-01-01T00:00")) is None
    with pytest.raises(ZoneInfoNotFoundError):
        next_after(ScheduleRule(cron="* * * * *", tz="Mars/Olympus"), us("2026-01-01T00:00"))


def test_times_are_those_of_the_zone_and_not_of_this_machine() -> None:
    noon_us = us("2026-11-29T12:00")
    (slot_us,) = slots(ScheduleRule(cron="0 9 * * *", tz="America/New_York"), noon_us, 1)
    assert datetime.fromtimestamp(slot_us / 1e6, UTC).hour == 14
