"""Windows open and close by the local wall clock, on the days on which the clock is changed, too."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.calendar.openings import AHEAD_S, openings_ahead, openings_between
from sharq_core.campaigns.windows import DAY_MINUTES, OpenRange, Window, weekdays
from tests.support.extent import is_full

DAY_S = 86_400

ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "America/Havana",
    "Africa/Casablanca",
    "Pacific/Apia",
)

CHANGES = (
    datetime(2026, 3, 7, 18, tzinfo=UTC),  # New York skips 02:00 to 03:00 on the 8th.
    datetime(
        2026, 10, 31, 18, tzinfo=UTC
    ),  # New York repeats 01:00 to 02:00, and Havana 00:00 to 01:00, on 1 Nov.
    datetime(
        2026, 3, 28, 18, tzinfo=UTC
    ),  # Berlin skips 02:00 to 03:00 and Beirut 00:00 to 01:00 on the 29th.
    datetime(2026, 10, 24, 18, tzinfo=UTC),  # Berlin repeats 02:00 to 03:00, and Beirut 23:00 to 24:00.
    datetime(2026, 4, 4, 6, tzinfo=UTC),  # Adelaide repeats an hour, and Lord Howe half an hour.
    datetime(2026, 10, 3, 6, tzinfo=UTC),  # Adelaide skips an hour, and Lord Howe half an hour.
    datetime(2011, 12, 29, 0, tzinfo=UTC),  # Apia skips 30 December.
)


def seconds(text: str, tz: str = "UTC") -> int:
    """Return the seconds since the epoch of a local time, the first of a repeated one."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz)).timestamp())


def local(at: int, tz: str) -> str:
    """Return what the wall clock of a zone reads."""
    return f"{datetime.fromtimestamp(at, ZoneInfo(tz)):%a %H:%M}"


def window(tz: str, *ranges: tuple[str, str, str], closed: tuple[str, ...] = ()) -> Window:
    """Return a window with ranges of (days, from, to)."""
    return Window(tz, tuple(OpenRange(*span) for span in ranges), closed)


def is_open(definition: Window, at: int) -> bool:
    """Return whether a window is open, from the reading of the wall clock alone."""
    clock = datetime.fromtimestamp(at, ZoneInfo(definition.tz))
    today, minute = clock.date(), clock.hour * 60 + clock.minute
    yesterday = today - timedelta(days=1)
    if today.isoformat() in definition.closed_dates:
        return False
    for span in definition.open:
        begin, end = span.minutes()
        if today.weekday() in weekdays(span.days) and begin <= minute < end:
            return True
        is_of_yesterday = yesterday.weekday() in weekdays(span.days) and minute + DAY_MINUTES < end
        if is_of_yesterday and yesterday.isoformat() not in definition.closed_dates:
            return True
    return False


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-07", 13), ("2026-03-08", 13), ("2026-11-01", 13)],
)
def test_a_range_of_the_day_lasts_as_long_on_each_day(day: str, hours: int) -> None:
    sending = window("America/New_York", ("daily", "08:00", "21:00"))
    begin = seconds(f"{day}T08:00", "America/New_York")
    found = openings_between(sending, begin - 6 * 3600, begin + 18 * 3600)
    assert found == [(begin, begin + hours * 3600)]


@pytest.mark.parametrize(
    ("tz", "day", "begin", "end", "minutes"),
    [
        ("America/New_York", "2026-03-08", "01:00", "04:00", 120),
        ("America/New_York", "2026-11-01", "00:30", "04:00", 270),
        ("Europe/Berlin", "2026-03-29", "01:00", "04:00", 120),
        ("Europe/Berlin", "2026-10-25", "01:00", "04:00", 240),
        ("Australia/Adelaide", "2026-10-04", "01:00", "04:00", 120),
        ("Australia/Adelaide", "2026-04-05", "01:00", "04:00", 240),
        ("Australia/Lord_Howe", "2026-10-04", "01:00", "04:00", 150),
        ("Australia/Lord_Howe", "2026-04-05", "01:00", "04:00", 210),
        ("Asia/Beirut", "2026-03-29", "00:00", "04:00", 180),
    ],
)
def test_a_range_over_a_change_of_the_clock_has_the_minutes_that_the_clock_shows(
    tz: str, day: str, begin: str, end: str, minutes: int
) -> None:
    night = window(tz, ("daily", begin, end))
    noon = seconds(f"{day}T12:00", tz)
    ((start, stop),) = openings_between(night, noon - 13 * 3600, noon)
    assert (stop - start) // 60 == minutes


def test_a_range_in_a_skipped_hour_does_not_open_that_day() -> None:
    night = window("Europe/Berlin", ("daily", "02:10", "02:50"))
    begin = seconds("2026-03-28T00:00", "Europe/Berlin")
    days = [local(start, "Europe/Berlin") for start, _ in openings_between(night, begin, begin + 3 * DAY_S)]
    assert days == ["Sat 02:10", "Mon 02:10"]


def test_a_range_in_a_repeated_hour_opens_twice_that_day() -> None:
    night = window("Europe/Berlin", ("daily", "02:10", "02:50"))
    begin = seconds("2026-10-25T00:00", "Europe/Berlin")
    found = openings_between(night, begin, begin + DAY_S)
    assert [(stop - start) // 60 for start, stop in found] == [40, 40]
    assert found[1][0] - found[0][0] == 3600


def test_a_zone_of_half_an_hour_opens_at_its_own_time() -> None:
    sending = window("Asia/Kolkata", ("mon-fri", "09:00", "17:30"))
    assert openings_between(sending, seconds("2026-06-01"), seconds("2026-06-02")) == [
        (seconds("2026-06-01T03:30"), seconds("2026-06-01T12:00"))
    ]


def test_a_range_past_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    party = window("UTC", ("fri", "22:00", "03:00"))
    begin = seconds("2026-06-01")
    assert openings_between(party, begin, begin + 7 * DAY_S) == [
        (seconds("2026-06-05T22:00"), seconds("2026-06-06T03:00"))
    ]


def test_nothing_is_open_on_an_excepted_date() -> None:
    # The 25th is a Friday. Its own range does not begin, and the range of the 24th ends at midnight.
    night = window("UTC", ("daily", "20:00", "06:00"), closed=("2026-12-25",))
    assert openings_between(night, seconds("2026-12-24T12:00"), seconds("2026-12-27T12:00")) == [
        (seconds("2026-12-24T20:00"), seconds("2026-12-25T00:00")),
        (seconds("2026-12-26T20:00"), seconds("2026-12-27T06:00")),
    ]


def test_ranges_that_touch_or_overlap_are_one_opening() -> None:
    always = window("America/New_York", ("daily", "00:00", "24:00"))
    begin = seconds("2026-03-07")
    assert openings_between(always, begin, begin + 4 * DAY_S) == [(begin, begin + 4 * DAY_S)]
    halves = window(
        "UTC", ("daily", "08:00", "12:00"), ("daily", "11:00", "13:00"), ("daily", "13:00", "14:00")
    )
    assert openings_between(halves, begin, begin + DAY_S) == [(begin + 8 * 3600, begin + 14 * 3600)]


def test_a_date_that_a_zone_skips_has_no_opening() -> None:
    sending = window("Pacific/Apia", ("daily", "08:00", "20:00"))
    begin = seconds("2011-12-29T00:00", "Pacific/Apia")
    days = [
        datetime.fromtimestamp(start, ZoneInfo("Pacific/Apia")).date()
        for start, _ in openings_between(sending, begin, begin + 3 * DAY_S)
    ]
    assert days == [date(2011, 12, 29), date(2011, 12, 31), date(2012, 1, 1)]


def test_the_openings_of_the_next_two_days_are_known_for_the_whole_hour() -> None:
    definition = msgspec.json.encode(window("UTC", ("daily", "08:00", "09:00")))
    now_us = seconds("2026-06-01T08:20") * 1_000_000
    known = openings_ahead(definition, now_us)
    assert known.until_us >= now_us + AHEAD_S * 1_000_000
    assert [start // 1_000_000 for start, _ in known.openings] == [
        seconds(f"2026-06-0{day}T08:00") for day in (1, 2, 3)
    ]
    assert openings_ahead(definition, now_us + 39 * 60 * 1_000_000) is known


def test_the_next_opening_is_found_a_year_ahead() -> None:
    holidays = [date(2026, 6, 1) + timedelta(days=day) for day in range(364)]
    once = window("UTC", ("daily", "08:00", "09:00"), closed=tuple(map(str, holidays)))
    known = openings_ahead(msgspec.json.encode(once), seconds("2026-06-01") * 1_000_000)
    assert known.openings[0][0] // 1_000_000 == seconds("2027-05-31T08:00")
    assert known.until_us > known.openings[0][1]


def test_a_window_that_never_opens_has_no_openings_for_400_days() -> None:
    holidays = [date(2026, 6, 1) + timedelta(days=day) for day in range(-3, 420)]
    never = window("UTC", ("daily", "08:00", "09:00"), closed=tuple(map(str, holidays)))
    known = openings_ahead(msgspec.json.encode(never), seconds("2026-06-01") * 1_000_000)
    assert known.openings == []
    assert known.until_us == (seconds("2026-06-01") + 400 * DAY_S) * 1_000_000


times = st.integers(0, DAY_MINUTES - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
days = st.sampled_from(["daily", "mon-fri", "sat-mon", "sun", "mon,wed,sat", "sat,sun"])
ranges = st.tuples(days, times, st.one_of(times, st.just("24:00"))).filter(lambda span: span[1] != span[2])


@settings(max_examples=400 if is_full() else 60, deadline=None)
@given(
    tz=st.sampled_from(ZONES),
    spans=st.lists(ranges, min_size=1, max_size=3),
    around=st.sampled_from(CHANGES),
    shift_min=st.integers(-2000, 2000),
    closed=st.lists(st.integers(-1, 3), max_size=2),
)
def test_each_minute_is_open_if_the_wall_clock_reads_an_open_minute(
    tz: str, spans: list[tuple[str, str, str]], around: datetime, shift_min: int, closed: list[int]
) -> None:
    begin = int(around.timestamp()) + shift_min * 60
    dates = tuple({(around + timedelta(days=day)).date().isoformat() for day in closed})
    sending = window(tz, *spans, closed=dates)
    found = openings_between(sending, begin, begin + 2 * DAY_S)
    assert all(
        start < stop and (not at or found[at - 1][1] < start) for at, (start, stop) in enumerate(found)
    )
    opened = {minute for start, stop in found for minute in range(start, stop, 60)}
    assert opened == {minute for minute in range(begin, begin + 2 * DAY_S, 60) if is_open(sending, minute)}
