"""Splits time into stretches in which the local clock of a zone runs evenly, between two changes of its offset.

Within a stretch, the local clock is the time plus a constant, so that each reading of it occurs once. Readings that a
change skips are in no stretch, and readings that a change repeats are in two. Times are whole seconds since the epoch,
and local seconds are those of the local clock, counted in the same way from 1970-01-01 00:00 of that clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec

DAY_S = 86_400
HOUR_S = 3_600

_STEP_S = 6 * HOUR_S
"""Distance of the times at which the offset is read. No zone changes its offset and changes it back within it."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()


class Stretch(msgspec.Struct, frozen=True):
    """A time in which the offset of a zone is constant.

    Attributes:
        begin, end: in seconds since the epoch; the end is not part of it.
        offset: the seconds by which the local clock is ahead of UTC.
    """

    begin: int
    end: int
    offset: int


def stretches(zone: ZoneInfo, begin: int, end: int) -> Iterator[Stretch]:
    """Yield the stretches of a zone from one time to another, in order; two that meet differ in their offsets."""
    current = Stretch(begin, begin, _offset(zone, begin))
    while current.end < end:
        until = min(current.end + _STEP_S, end)
        if _offset(zone, until) == current.offset:
            current = Stretch(current.begin, until, current.offset)
            continue
        change = _change(zone, current.end, until)
        yield Stretch(current.begin, change, current.offset)
        current = Stretch(change, change, _offset(zone, change))
    if current.end > current.begin:
        yield current


def local_date(second: int) -> date:
    """Return the date of a local second."""
    return date.fromordinal(_EPOCH_DAY + second // DAY_S)


def _offset(zone: ZoneInfo, at: int) -> int:
    offset = datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _change(zone: ZoneInfo, before: int, after: int) -> int:
    """Return the first second of another offset than at `before`; the offset at `after` is another one."""
    offset = _offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after
