"""Defines the periods that quotas count by: days and hours of a zone, and their calendars."""

from __future__ import annotations

from enum import StrEnum

import msgspec

MAX_QUOTA = 10**12


class PeriodLength(StrEnum):
    """The period of a quota."""

    DAY = "day"
    HOUR = "hour"


class Zone(msgspec.Struct, frozen=True, array_like=True):
    """The days or the hours of a time zone, by which a quota counts.

    Attributes:
        tz: a name of the time zone database.
    """

    period: PeriodLength
    tz: str


class Calendar(msgspec.Struct, frozen=True, array_like=True):
    """The span of time for which a partition knows the periods of a zone.

    Attributes:
        first_us, last_us: the first and the last bound between two periods, µs by the store's clock; 0 for none.
    """

    zone: Zone
    first_us: int
    last_us: int
