"""Days and hours end by the local clock, so a day has 23 to 25 hours."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.calendar.periods import period_bounds
from sharq_core.campaigns.quotas import PeriodLength
from tests.unit.shard.calendar.test_openings import CHANGES, DAY_S, ZONES, seconds

SECOND_US = 1_000_000


def bounds(length: PeriodLength, tz: str, begin: int, end: int) -> list[int]:
    """Return the bounds of periods, in seconds."""
    return [at // SECOND_US for at in period_bounds(length, tz, begin * SECOND_US, end * SECOND_US)]


@pytest.mark.parametrize(
    ("tz", "day", "hours"),
    [
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("America/New_York", "2026-11-02", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Asia/Kolkata", "2026-03-29", 24),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Asia/Beirut", "2026-03-29", 23),
        ("Asia/Beirut", "2026-10-24", 25),
        ("America/Havana", "2026-11-01", 25),
    ],
)
def test_a_day_lasts_from_its_first_moment_to_that_of_the_next(tz: str, day: str, hours: float) -> None:
    noon = seconds(f"{day}T12:00", tz)
    begin, end, *_ = bounds(PeriodLength.DAY, tz, noon, noon + DAY_S)
    assert (end - begin) / 3600 == hours
    assert datetime.fromtimestamp(begin, ZoneInfo(tz)).date().isoformat() == day


@pytest.mark.parametrize(
    ("tz", "around", "minutes"),
    [
        ("Asia/Kolkata", "2026-03-29T00:00", [60, 60, 60, 60]),
        ("Europe/Berlin", "2026-10-25T00:30", [60, 60, 60, 60, 60]),  # It repeats 02:00 to 03:00.
        ("Australia/Lord_Howe", "2026-04-05T00:30", [60, 90, 60, 60]),  # It repeats 01:30 to 02:00.
        ("Australia/Lord_Howe", "2026-10-04T00:30", [60, 60, 30, 60]),  # It skips 02:00 to 02:30.
    ],
)
def test_an_hour_ends_when_the_clock_reads_a_full_hour_or_another_one(
    tz: str, around: str, minutes: list[int]
) -> None:
    begin = seconds(around, tz)
    found = bounds(PeriodLength.HOUR, tz, begin, begin + 8 * 3600)
    lengths = [(after - before) // 60 for before, after in pairwise(found)]
    assert lengths[: len(minutes)] == minutes


def test_the_first_bound_is_the_beginning_of_the_present_period() -> None:
    begin = seconds("2026-06-01T10:30")
    assert bounds(PeriodLength.DAY, "UTC", begin, begin + 2 * DAY_S) == [
        seconds("2026-06-01"),
        seconds("2026-06-02"),
        seconds("2026-06-03"),
    ]
    assert bounds(PeriodLength.HOUR, "UTC", seconds("2026-06-01T10:00"), seconds("2026-06-01T11:00")) == [
        seconds("2026-06-01T10:00")
    ]


@settings(max_examples=100, deadline=None)
@given(tz=st.sampled_from(ZONES), around=st.sampled_from(CHANGES), shift_min=st.integers(-2000, 2000))
def test_a_day_begins_at_each_minute_that_shows_a_later_date_than_all_before(
    tz: str, around: datetime, shift_min: int
) -> None:
    begin = int(around.timestamp()) + shift_min * 60
    zone, found = ZoneInfo(tz), []
    latest = max(
        datetime.fromtimestamp(begin - minute, zone).date() for minute in range(60, 2 * DAY_S + 60, 60)
    )
    for minute in range(begin, begin + 2 * DAY_S, 60):
        today = datetime.fromtimestamp(minute, zone).date()
        if today > latest:
            latest = today
            found.append(minute)
    days = bounds(PeriodLength.DAY, tz, begin - 1, begin + 2 * DAY_S)
    assert days[1:] == found
    assert days[0] <= begin - 1 < (days[1] if len(days) > 1 else begin + 2 * DAY_S)


@settings(max_examples=100, deadline=None)
@given(tz=st.sampled_from(ZONES), around=st.sampled_from(CHANGES), shift_min=st.integers(-2000, 2000))
def test_an_hour_begins_at_each_minute_that_reads_full_or_shows_another_hour(
    tz: str, around: datetime, shift_min: int
) -> None:
    begin = int(around.timestamp()) + shift_min * 60
    zone, found = ZoneInfo(tz), []
    for minute in range(begin, begin + DAY_S, 60):
        before, now = (datetime.fromtimestamp(at, zone) for at in (minute - 60, minute))
        if now.minute == 0 or (before.date(), before.hour) != (now.date(), now.hour):
            found.append(minute)
    assert bounds(PeriodLength.HOUR, tz, begin - 1, begin + DAY_S)[1:] == found


def test_utc_days_begin_at_midnight() -> None:
    begin = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    assert bounds(PeriodLength.DAY, "UTC", begin, begin + 3 * DAY_S) == [
        begin + day * DAY_S for day in range(3)
    ]
