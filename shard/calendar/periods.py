"""Computes when the days and hours of a zone end, for quotas that count by the local clock.

A day ends when the local clock first shows a later date, so a day has 23 to 25 hours where the clock is changed by an
hour. An hour ends when the clock reads a full hour or shows another one, so an hour that the clock repeats counts as
two, and one that a change of half an hour cuts or repeats in part has 30 or 90 minutes.
"""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

from shard.calendar.local_time import DAY_S, HOUR_S, stretches
from sharq_core.campaigns.quotas import PeriodLength

_BEFORE_S = 2 * DAY_S
"""The time before `begin` from which days and hours are read, longer than any of them."""

_CACHED = 4_096


def period_bounds(length: PeriodLength, tz: str, begin_us: int, end_us: int) -> tuple[int, ...]:
    """Return the times at which a period of a zone ends and the next one begins, in order.

    Args:
        tz: the name of a zone that the time zone database knows.
        begin_us, end_us: in µs since the epoch; so are the times of the result.

    Returns:
        First the beginning of the period that `begin_us` is in, then each bound after it and before `end_us`.
    """
    bounds = _bounds(length, tz, begin_us // 1_000_000, -(-end_us // 1_000_000))
    return tuple(bound * 1_000_000 for bound in bounds if bound * 1_000_000 < end_us)


@lru_cache(_CACHED)
def _bounds(length: PeriodLength, tz: str, begin: int, end: int) -> tuple[int, ...]:
    is_hour = length is PeriodLength.HOUR
    period_s = HOUR_S if is_hour else DAY_S
    bounds: list[int] = []
    shown: int | None = None
    for stretch in stretches(ZoneInfo(tz), begin - _BEFORE_S, end):
        first, last = stretch.begin + stretch.offset, stretch.end + stretch.offset
        for local in (first, *range((first // period_s + 1) * period_s, last, period_s)):
            number = local // period_s
            # A clock that is set back over midnight shows a date again, which is the same day. A clock that is set back
            # to a full hour begins that hour again.
            is_next = shown is not None and (
                (number != shown or local % period_s == 0) if is_hour else number > shown
            )
            if is_next:
                bounds.append(local - stretch.offset)
            shown = number if is_hour or shown is None else max(number, shown)
    current = max((bound for bound in bounds if bound <= begin), default=begin)
    return (current, *(bound for bound in bounds if bound > begin))
