"""Defines windows, as they are sent and as the server answers them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class OpenRange(msgspec.Struct, frozen=True, rename={"begins": "from", "ends": "to"}):
    """A range of the local wall clock.

    Attributes:
        days: the days on which it begins: "daily", a span such as "mon-sat", or a list such as "mon,wed,fri".
        begins: the local time at which it begins, "HH:MM".
        ends: the local time at which it ends, "HH:MM" up to "24:00". If that is earlier, the range ends on the next
            day.
    """

    days: str
    begins: str
    ends: str


class Window(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"closed_dates": "except"}
):
    """The definition of a window: it is open if the clock of the zone reads a minute of one of its ranges.

    Attributes:
        tz: the name of the time zone, such as "America/New_York".
        open: 1 to 50 ranges.
        closed_dates: up to 400 local dates, "YYYY-MM-DD", on which nothing is open.
    """

    tz: str
    open: Sequence[OpenRange]
    closed_dates: Sequence[str] = ()


class WindowState(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"closed_dates": "except"},
):
    """A window and its state.

    Attributes:
        tz, open, closed_dates: as in Window.
        is_open: True if it is open now, by the store's clock.
        opens_at: when it opens next, in ms since the epoch; None if it is open, or does not open within 400 days.
        closes_at: when it closes; None if it is closed, or stays open for the next two days.
        uses: the number of queues and gathered types that use it; None in a list.
        unread_partitions: the partitions that `uses` is without, because their data is broken.
    """

    name: str
    tz: str
    open: Sequence[OpenRange]
    closed_dates: Sequence[str]
    is_open: bool
    opens_at: int | None
    closes_at: int | None
    uses: int | None = None
    unread_partitions: list[int] = []
