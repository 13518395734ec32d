"""Computes when a window is open: from the readings of the local wall clock to times since the epoch.

A time is open if the local clock reads a minute of one of the window's ranges. So a range is shorter on a day whose
clock skips a part of it, and longer on a day whose clock repeats a part of it. A range that passes midnight belongs to
the day on which it begins: an excepted date cancels the ranges that begin on it, and cuts the one that passes into it.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from shard.calendar.local_time import DAY_S, HOUR_S, Stretch, local_date, stretches
from sharq_core.campaigns.windows import DAY_MINUTES, Openings, Window, read_date, weekdays

AHEAD_S = 48 * HOUR_S
"""The time from now for which all openings are computed."""

BEHIND_S = HOUR_S
"""The time before now from which openings are computed: the clock of a store may step back a little."""

SEARCHED_S = 400 * DAY_S
"""The time from now in which the next opening is searched for, if there is none before."""

_CACHED = 4_096
"""Computations that are kept: a node computes the same window for each of its partitions."""

_SEARCH_STEP_S = 16 * DAY_S


class KnownOpenings(msgspec.Struct, frozen=True):
    """The openings of a window, in µs since the epoch.

    Attributes:
        until_us: all openings up to this time are in the list.
    """

    until_us: int
    openings: Openings


def openings_ahead(definition: bytes, now_us: int) -> KnownOpenings:
    """Return the openings of a window from shortly before now up to AHEAD_S, and at least the next one if there is any.

    Within an hour the answer is the same, because the range of time begins and ends at whole hours.

    Args:
        definition: the JSON text of a Window, whose zone the time zone database knows.
        now_us: by the store's clock.

    Returns:
        Without an opening in the next SEARCHED_S, an empty list, which is known until then.
    """
    return _openings(definition, now_us // (HOUR_S * 1_000_000) * HOUR_S)


@lru_cache(_CACHED)
def _openings(definition: bytes, hour: int) -> KnownOpenings:
    window = msgspec.json.decode(definition, type=Window)
    begin, until = hour - BEHIND_S, hour + HOUR_S + AHEAD_S
    openings = openings_between(window, begin, until)
    # The next opening may be months away: a window of one day a year. Jobs must know when it comes, and workers too.
    while not any(end > hour for _, end in openings) and until < hour + SEARCHED_S:
        since, until = until, min(until + _SEARCH_STEP_S, hour + SEARCHED_S)
        openings = openings_between(window, since, until)
    return KnownOpenings(until * 1_000_000, [(start * 1_000_000, end * 1_000_000) for start, end in openings])


def openings_between(window: Window, begin: int, end: int) -> list[tuple[int, int]]:
    """Return the times between two times at which a window is open, in order; no two touch.

    Args:
        begin, end: in seconds since the epoch; so are the times of the result.
    """
    reader = _Reader(window)
    times: list[tuple[int, int]] = []
    for stretch in stretches(ZoneInfo(window.tz), begin, end):
        for start, stop in reader.read(stretch):
            if times and times[-1][1] == start:
                times[-1] = (times[-1][0], stop)
            else:
                times.append((start, stop))
    return times


class _Reader:
    """The minutes that a window is open on each local date."""

    def __init__(self, window: Window) -> None:
        self._ranges = [(weekdays(span.days), *span.minutes()) for span in window.open]
        self._closed = frozenset(map(read_date, window.closed_dates))

    def read(self, stretch: Stretch) -> list[tuple[int, int]]:
        """Return the open times of a stretch, in order; those of two days may touch."""
        first, last = stretch.begin + stretch.offset, stretch.end + stretch.offset
        times: list[tuple[int, int]] = []
        for midnight in range(first // DAY_S * DAY_S, last, DAY_S):
            for begin, end in self._minutes(local_date(midnight)):
                start, stop = max(midnight + begin * 60, first), min(midnight + end * 60, last)
                if start < stop:
                    times.append((start - stretch.offset, stop - stretch.offset))
        return times

    def _minutes(self, day: date) -> list[tuple[int, int]]:
        """Return the open minutes of a date, as (begin, end), in order; no two touch."""
        if day in self._closed:
            return []
        own = self._begun_on(day)
        passed = [(0, end - DAY_MINUTES) for _, end in self._begun_on(day - timedelta(days=1))]
        spans = sorted([*((begin, min(end, DAY_MINUTES)) for begin, end in own), *passed])
        joined: list[tuple[int, int]] = []
        for begin, end in spans:
            if joined and begin <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            elif end > begin:
                joined.append((begin, end))
        return joined

    def _begun_on(self, day: date) -> list[tuple[int, int]]:
        if day in self._closed:
            return []
        return [(begin, end) for days, begin, end in self._ranges if day.weekday() in days]
