"""The bodies of windows: each wrong field is named, with the values that it may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from router.api.campaigns import window_parsing
from sharq_core.campaigns.windows import OpenRange, Window, weekdays
from sharq_core.errors import InvalidRequest

RANGE = {"days": "mon-sat", "from": "08:00", "to": "21:00"}
BODY: dict[str, Any] = {"tz": "America/New_York", "open": [RANGE], "except": ["2026-12-25"]}


def parse(**changes: Any) -> Window:
    """Return the window of a body with some fields changed; `None` stands for null, and `...` for an absent field."""
    body = {name: value for name, value in {**BODY, **changes}.items() if value is not ...}
    return window_parsing.window(msgspec.json.encode(body))


def test_a_window_keeps_its_definition_as_written() -> None:
    window = parse()
    assert window == Window("America/New_York", (OpenRange("mon-sat", "08:00", "21:00"),), ("2026-12-25",))
    assert msgspec.json.decode(msgspec.json.encode(window)) == BODY
    assert parse(**{"except": ...}).closed_dates == ()


@pytest.mark.parametrize(
    ("days", "numbers"),
    [
        ("daily", {0, 1, 2, 3, 4, 5, 6}),
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("sat-mon", {5, 6, 0}),
        ("sun-sun", {6}),
        ("mon,wed,fri", {0, 2, 4}),
        ("sun", {6}),
    ],
)
def test_days_are_a_span_a_list_or_daily(days: str, numbers: set[int]) -> None:
    assert weekdays(days) == numbers
    assert parse(open=[{**RANGE, "days": days}]).open[0].days == days


def changed(field: str, value: object) -> Callable[[], Window]:
    """Return the parsing of a body whose second range has a field changed."""
    entry = {**RANGE, field: value}
    return lambda: parse(open=[RANGE, {name: part for name, part in entry.items() if part is not ...}])


DAYS = "expected days of the week: daily, a span such as mon-sat, or a list such as mon,wed,fri"
BEGIN = "expected a time of the local clock as HH:MM, from 00:00 to 23:59"
END = "expected a time of the local clock as HH:MM, from 00:00 to 24:00, other than the one in from"
ZONE = "expected the name of a time zone, such as America/New_York, Asia/Kolkata or UTC"
RANGES = "expected a list of 1 to 50 ranges, each with days, from and to"
DATES = "expected a list of up to 400 dates as YYYY-MM-DD"


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: parse(tz="Mars/Olympus"), f"tz: {ZONE}; 'Mars/Olympus' is unknown"),
        (lambda: parse(tz="../UTC"), f"tz: {ZONE}; '../UTC' is unknown"),
        (lambda: parse(tz=3), f"tz: {ZONE}, got an integer"),
        (lambda: parse(tz=...), "tz: required"),
        (lambda: parse(open=...), "open: required"),
        (lambda: parse(open=[]), f"open: {RANGES}"),
        (lambda: parse(open=[RANGE] * 51), f"open: {RANGES}, got more"),
        (lambda: parse(open=["08:00-21:00"]), "open[0]: expected a JSON object, got a string"),
        (changed("days", "monday"), f"open[1].days: {DAYS}"),
        (changed("days", "mon-fri,sun"), f"open[1].days: {DAYS}"),
        (changed("days", ""), f"open[1].days: {DAYS}"),
        (changed("days", 1), f"open[1].days: {DAYS}, got an integer"),
        (changed("from", "8:00"), f"open[1].from: {BEGIN}"),
        (changed("from", "24:00"), f"open[1].from: {BEGIN}"),
        (changed("from", "\u0660\u0668:00"), f"open[1].from: {BEGIN}"),
        (changed("from", ...), "open[1].from: required"),
        (changed("to", "24:01"), f"open[1].to: {END}"),
        (changed("to", "08:60"), f"open[1].to: {END}"),
        (changed("to", "08:00"), f"open[1].to: {END}"),
        (changed("tz", "UTC"), "open[1].tz: unknown; the known fields are: days, from, to"),
        (lambda: parse(**{"except": ["2026-02-30"]}), "except[0]: expected a date as YYYY-MM-DD"),
        (lambda: parse(**{"except": ["20261225"]}), "except[0]: expected a date as YYYY-MM-DD"),
        (lambda: parse(**{"except": ["2026-12-25"] * 401}), f"except: {DATES}, got more"),
        (lambda: parse(**{"except": "2026-12-25"}), f"except: {DATES}, got a string"),
        (lambda: parse(**{"except": None}), f"except: {DATES}, got null"),
        (lambda: parse(name="day"), "name: unknown; the known fields are: tz, open, except"),
    ],
)
def test_each_wrong_field_is_named(read: Callable[[], Window], message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read()
    assert refused.value.message == message


def test_as_many_ranges_and_dates_as_allowed_are_read() -> None:
    window = parse(open=[RANGE] * 50, **{"except": ["2026-12-25"] * 400})
    assert (len(window.open), len(window.closed_dates)) == (50, 400)
