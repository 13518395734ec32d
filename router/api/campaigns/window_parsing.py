"""Parses requests about windows into values, or raises an error that names the field."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from router.api.campaigns.time_zones import TimeZone, read_zone
from router.api.campaigns.window_shapes import (
    DATE_TEXT,
    DAYS_TEXT,
    END_TEXT,
    TIME_TEXT,
    RangeEntry,
    WindowBody,
)
from router.api.decoding import Decoder
from sharq_core.campaigns.windows import (
    DAY_MINUTES,
    MAX_EXCEPTIONS,
    MAX_RANGES,
    OpenRange,
    Window,
    minute_of_day,
    read_date,
    weekdays,
)
from sharq_core.errors import InvalidRequest


def _bounded_list(name: str, item: type[Any], most: int, least: int) -> type[Any]:
    """Return the type of a JSON list whose decoder stops at the first item past the most that are allowed."""
    fields: list[Any] = [
        (f"item{index}", item) if index < least else (f"item{index}", item | UnsetType, UNSET)
        for index in range(most)
    ]
    return msgspec.defstruct(name, fields, array_like=True, forbid_unknown_fields=True)


_RANGES: Any = _bounded_list("RawRanges", Raw, MAX_RANGES, least=1)
_DATES: Any = _bounded_list("RawDates", str, MAX_EXCEPTIONS, least=0)


class _RawWindow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A WindowBody whose ranges are not decoded yet, so that a message can name the field of a range."""

    tz: TimeZone
    open: _RANGES
    closed_dates: _DATES | UnsetType = field(default=UNSET, name="except")


_WINDOW: Decoder[Any] = Decoder(WindowBody, msgspec.json.Decoder(_RawWindow))
_RANGE = Decoder(RangeEntry)


def window(body: bytes) -> Window:
    """Return the window that a body defines; raise InvalidRequest if it is wrong."""
    form = _WINDOW.from_json(body)
    zone = read_zone(form.tz, "tz")
    ranges = tuple(_range(text, f"open[{index}]") for index, text in enumerate(_items(form.open)))
    dates = () if form.closed_dates is UNSET else _items(form.closed_dates)
    return Window(zone, ranges, tuple(_date(text, f"except[{index}]") for index, text in enumerate(dates)))


def _items(bounded: Struct) -> list[Any]:
    return [item for item in msgspec.structs.astuple(bounded) if item is not UNSET]


def _range(text: Raw, place: str) -> OpenRange:
    entry = _RANGE.from_json(text, place)
    try:
        weekdays(entry.days)
    except ValueError:
        raise InvalidRequest(f"{place}.days: expected {DAYS_TEXT}") from None
    begin = _minute(entry.begins, f"{place}.from", TIME_TEXT)
    end = _minute(entry.ends, f"{place}.to", END_TEXT)
    if begin == DAY_MINUTES:
        raise InvalidRequest(f"{place}.from: expected {TIME_TEXT}")
    if begin == end:
        raise InvalidRequest(f"{place}.to: expected {END_TEXT}")
    return OpenRange(entry.days, entry.begins, entry.ends)


def _minute(text: str, place: str, expected: str) -> int:
    try:
        return minute_of_day(text)
    except ValueError:
        raise InvalidRequest(f"{place}: expected {expected}") from None


def _date(text: str, place: str) -> str:
    try:
        return read_date(text).isoformat()
    except ValueError:
        raise InvalidRequest(f"{place}: expected {DATE_TEXT}") from None
