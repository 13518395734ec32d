"""The shapes of requests and answers about windows.

router/api/campaigns/window_parsing.py turns the requests into values.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from router.api.campaigns.time_zones import TimeZone
from router.api.fields import Expected
from router.api.response_shapes import CursorOut, Shape, Success, UnreadOut
from sharq_core.campaigns.windows import MAX_EXCEPTIONS, MAX_RANGES

DAYS_TEXT = "days of the week: daily, a span such as mon-sat, or a list such as mon,wed,fri"
TIME_TEXT = "a time of the local clock as HH:MM, from 00:00 to 23:59"
END_TEXT = "a time of the local clock as HH:MM, from 00:00 to 24:00, other than the one in from"
DATE_TEXT = "a date as YYYY-MM-DD"
RANGES_TEXT = f"a list of 1 to {MAX_RANGES} ranges, each with days, from and to"
DATES_TEXT = f"a list of up to {MAX_EXCEPTIONS} dates as YYYY-MM-DD"

Days: TypeAlias = Annotated[
    str,
    Meta(
        max_length=27,
        description="The days of the week on which the range begins: `daily`, a span such as `mon-sat`, or a list such "
        "as `mon,wed,fri`.",
    ),
    Expected(DAYS_TEXT),
]
RangeBegin: TypeAlias = Annotated[
    str,
    Meta(max_length=5, description="The local time at which the range begins, `HH:MM`."),
    Expected(TIME_TEXT),
]
RangeEnd: TypeAlias = Annotated[
    str,
    Meta(
        max_length=5,
        description="The local time at which the range ends, `HH:MM`; `24:00` for the end of the day. A range whose "
        "end is earlier than its begin passes midnight, and belongs to the day on which it begins.",
    ),
    Expected(END_TEXT),
]
ClosedDates: TypeAlias = Annotated[
    list[Annotated[str, Expected(DATE_TEXT)]],
    Meta(
        max_length=MAX_EXCEPTIONS,
        description="Local dates, `YYYY-MM-DD`, on which nothing is open. A range that began the day before ends at "
        f"midnight. At most {MAX_EXCEPTIONS}.",
    ),
    Expected(DATES_TEXT),
]


class RangeEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A range of the local wall clock."""

    days: Days
    begins: RangeBegin = field(name="from")
    ends: RangeEnd = field(name="to")


class WindowBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The definition of a window: a time is open if the clock of the zone reads a minute of one of its ranges."""

    tz: TimeZone
    open: Annotated[
        list[RangeEntry],
        Meta(
            min_length=1,
            max_length=MAX_RANGES,
            description=f"1 to {MAX_RANGES} ranges in which the window is open.",
        ),
        Expected(RANGES_TEXT),
    ]
    closed_dates: ClosedDates | UnsetType = field(default=UNSET, name="except")


class RangeAnswer(Shape, frozen=True, kw_only=True):
    """A range of the local wall clock."""

    days: Annotated[str, Meta(description="The days of the week on which the range begins.")]
    begins: Annotated[str, Meta(description="The local time at which the range begins, `HH:MM`.")] = field(
        name="from"
    )
    ends: Annotated[str, Meta(description="The local time at which the range ends, `HH:MM`.")] = field(
        name="to"
    )


DefaultWindowOut: TypeAlias = Annotated[
    str | None,
    Meta(
        description="The window outside of which no job is leased, except those that ignore windows; null for none."
    ),
]
NameOut: TypeAlias = Annotated[str, Meta(description="The name of the window.")]
ZoneOut: TypeAlias = Annotated[str, Meta(description="The name of its time zone.")]
RangesOut: TypeAlias = Annotated[list[RangeAnswer], Meta(description="The ranges in which it is open.")]
DatesOut: TypeAlias = Annotated[list[str], Meta(description="The local dates on which nothing is open.")]
IsOpenOut: TypeAlias = Annotated[bool, Meta(description="True if it is open now, by the store's clock.")]
OpensAtOut: TypeAlias = Annotated[
    int | None,
    Meta(
        description="The time at which it opens next, in ms since the epoch; null if it is open, and if it does not "
        "open within 400 days."
    ),
]
ClosesAtOut: TypeAlias = Annotated[
    int | None,
    Meta(
        description="The time at which it closes, in ms since the epoch; null if it is closed, and if it stays open "
        "for as long as its openings are computed ahead, about 48 hours."
    ),
]


class WindowAnswer(Success, frozen=True, kw_only=True):
    """The state of one window."""

    name: NameOut
    tz: ZoneOut
    open: RangesOut
    closed_dates: DatesOut = field(name="except")
    is_open: IsOpenOut
    opens_at: OpensAtOut
    closes_at: ClosesAtOut
    uses: Annotated[
        int,
        Meta(
            description="Number of queues and gathered types that use it, by the window of their waiting or leased "
            "jobs or by their settings. A queue counts once for its jobs and once for its settings."
        ),
    ]
    unread_partitions: UnreadOut | UnsetType = UNSET


class WindowRow(Shape, frozen=True, kw_only=True):
    """One window of a list."""

    name: NameOut
    tz: ZoneOut
    open: RangesOut
    closed_dates: DatesOut = field(name="except")
    is_open: IsOpenOut
    opens_at: OpensAtOut
    closes_at: ClosesAtOut


class WindowRows(Success, frozen=True, kw_only=True):
    """A page of all windows, in the order of their creation."""

    windows: Annotated[list[WindowRow], Meta(description="The windows of the page.")]
    cursor: CursorOut
