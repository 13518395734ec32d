"""Defines the values of windows: their definitions as people write them, and the form that a partition keeps."""

from __future__ import annotations

import enum
import re
from datetime import date
from typing import TypeAlias

import msgspec

MAX_WINDOWS = 1_000
"""Most windows of a deployment."""

MOST_IN_QUEUE = 26
"""Most windows of which a queue may have waiting or leased jobs at one time (queue_windows.lua)."""

MAX_RANGES = 50
"""Most ranges of a window."""

MAX_EXCEPTIONS = 400
"""Most excepted dates of a window."""

DAY_MINUTES = 1440

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The days of the week, in the order of date.weekday()."""

DAILY = "daily"

Openings: TypeAlias = list[tuple[int, int]]
"""(begin, end) in µs since the epoch by the store's clock, in order; no two touch. The end is not part of it."""

_TIME = re.compile(r"([0-2][0-9]):([0-5][0-9])")


class OpenRange(msgspec.Struct, frozen=True, rename={"begins": "from", "ends": "to"}):
    """A range of the local wall clock, on some days of the week.

    Attributes:
        days: "daily", a span such as "mon-sat", or a list such as "mon,wed,fri".
        begins: the time at which it begins, "HH:MM".
        ends: the time at which it ends, "HH:MM" up to "24:00". If it is earlier than `begins`, the range ends on the
            next day, and belongs to the day on which it begins.
    """

    days: str
    begins: str
    ends: str

    def minutes(self) -> tuple[int, int]:
        """Return the minutes of the day at which it begins and ends; an end on the next day is past DAY_MINUTES."""
        begin, end = minute_of_day(self.begins), minute_of_day(self.ends)
        return begin, end if end > begin else end + DAY_MINUTES


class Window(msgspec.Struct, frozen=True, rename={"closed_dates": "except"}):
    """The definition of a window.

    Attributes:
        tz: the name of its time zone in the IANA database, such as "America/New_York".
        open: its ranges; a time is open if it is in one of them.
        closed_dates: the local dates, "YYYY-MM-DD", on which nothing is open.
    """

    tz: str
    open: tuple[OpenRange, ...]
    closed_dates: tuple[str, ...] = ()


class StoredWindow(msgspec.Struct, frozen=True, array_like=True):
    """A window as a partition keeps it.

    Attributes:
        version: grows with each PUT of the window.
        until_us: its openings are known up to this time; from then on it counts as closed.
        openings: the known openings that are not over.
        uses: how many queues and gathered types of the partition use it, by their jobs or by their settings.
        definition: the JSON text of a Window.
        now_us: the store's clock when it was read.
    """

    name: str
    version: int
    until_us: int
    openings: Openings
    uses: int
    definition: bytes
    now_us: int

    @property
    def closes_at_us(self) -> int | None:
        """The end of the present opening; None if it is closed, and if the opening lasts for as long as is known."""
        end = next((end for begin, end in self.openings if begin <= self.now_us < end), None)
        return end if end is not None and end < self.until_us else None

    @property
    def opens_at_us(self) -> int | None:
        """The beginning of the next opening; None if it is open, and if none is known."""
        if self.is_open:
            return None
        return next((begin for begin, _ in self.openings if begin > self.now_us), None)

    @property
    def is_open(self) -> bool:
        """True if jobs may be leased now."""
        return any(begin <= self.now_us < end for begin, end in self.openings)


class WindowPage(msgspec.Struct, frozen=True, array_like=True):
    """A page of the windows of a partition.

    Attributes:
        scan: the position of the next page; 0 at the end.
        must_rescore: a change of a window has not reached all queues yet.
    """

    windows: list[StoredWindow]
    scan: int
    must_rescore: bool = False


class PutStatus(enum.IntEnum):
    """The outcome of a put of a window in a partition. Only DONE changed anything."""

    DONE = 0
    OLDER = 1
    FULL = 2


class PutOutcome(msgspec.Struct, frozen=True, array_like=True):
    """The answer of a partition to a put.

    Attributes:
        version: that of the window in the partition after the call; 0 if it has none.
        must_rescore: the ready times of queues that use the window must be computed anew.
    """

    status: PutStatus
    version: int
    must_rescore: bool = False


class DropStatus(enum.IntEnum):
    """The outcome of the removal of a window from a partition. Only DONE changed anything."""

    DONE = 0
    UNKNOWN = 1
    USED = 2


def minute_of_day(text: str) -> int:
    """Return the minute of the day of a time "HH:MM", 0 to DAY_MINUTES; raise ValueError if it is none."""
    match = _TIME.fullmatch(text)
    minute = int(match[1]) * 60 + int(match[2]) if match else DAY_MINUTES + 1
    if minute > DAY_MINUTES:
        raise ValueError("not a time from 00:00 to 24:00")
    return minute


def weekdays(days: str) -> frozenset[int]:
    """Return the numbers of the days (0 for Monday) of a span, a list or DAILY; raise ValueError if it is none.

    A span may pass Sunday: "sat-mon" has three days.
    """
    if days == DAILY:
        return frozenset(range(len(WEEKDAYS)))
    first, dash, last = days.partition("-")
    if not dash:
        return frozenset(WEEKDAYS.index(day) for day in days.split(","))
    begin, end = WEEKDAYS.index(first), WEEKDAYS.index(last)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def read_date(text: str) -> date:
    """Return a date written "YYYY-MM-DD"; raise ValueError if it is none."""
    read = date.fromisoformat(text)
    if read.isoformat() != text:
        raise ValueError("not a date as YYYY-MM-DD")
    return read
