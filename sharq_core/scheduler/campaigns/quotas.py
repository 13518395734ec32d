"""Packs and decodes quotas, and makes the calls about the periods that they count by.

The call that sets quotas is the one for all settings of a type (scheduler/limit_calls.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any, TypeAlias

from msgspec import UNSET

from sharq_core.campaigns.quotas import Calendar, PeriodLength, Zone
from sharq_core.limits import LimitUnit, Quota, QuotaUse, TypeSettings
from sharq_core.scheduler import library
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import decoder
from sharq_core.store.commands import Word

Bounds: TypeAlias = Mapping[Zone, Sequence[int]]
"""Zone → when its periods begin and end, in µs by the store's clock, in order."""

UNITS = (LimitUnit.JOB, LimitUnit.COST)
"""The units by their numbers in type_settings.lua, less one."""

_WINDOW, _QUOTAS = 1, 2
"""Flags of set_type.lua's CAMPAIGN."""

_QUOTA = Struct(">BB7s")
"""The head of set_type.lua's QUOTA: unit, period, quota; the zone follows."""

_NUMBER_BYTES = 7
_QUOTA_REPLY = 6
_CALENDAR_REPLY = 3

_PERIODS = {length.value[:1].encode(): length for length in PeriodLength}


class PeriodCalls:
    """The maker of one deployment's calls about periods. They take `now_us` (None for the store's clock), for tests."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def put_periods(self, partition: int, bounds: Bounds, *, now_us: int | None = None) -> FunctionCall[int]:
        """Replace the bounds of the zones that quotas of a partition count by. Value: number of zones replaced."""
        arguments: list[Word] = []
        for zone, of_zone in bounds.items():
            arguments += _name(zone), _packed(of_zone)
        return make_call(self._keys, library.PUT_PERIODS, partition, "", now_us, arguments, _decode_count)

    def get_periods(self, partition: int, *, now_us: int | None = None) -> FunctionCall[list[Calendar]]:
        """Read how far the calendars of a partition reach."""
        return make_call(self._keys, library.GET_PERIODS, partition, "", now_us, [], _decode_calendars)


def campaign_settings(settings: TypeSettings, bounds: Bounds) -> bytes:
    """Return a type's settings about campaigns as set_type.lua unpacks them: its window and its quotas."""
    named = _WINDOW * (settings.window is not UNSET) + _QUOTAS * (settings.quotas is not UNSET)
    window = (settings.window or "").encode()
    quotas = settings.quotas or []
    zones = dict.fromkeys(Zone(quota.period, quota.tz) for quota in quotas)
    calendars = [(_name(zone), _packed(bounds[zone])) for zone in zones if zone in bounds]
    return b"".join(
        (
            bytes((named, len(window))),
            window,
            bytes((len(quotas),)),
            *map(_quota, quotas),
            bytes((len(calendars),)),
            *(bytes((len(name),)) + name + len(raw).to_bytes(2) + raw for name, raw in calendars),
        )
    )


def read_campaign_settings(raw: Sequence[Any], at: int) -> tuple[str | None, list[QuotaUse], int]:
    """Return the window and the quotas of a type from a reply of get_type_stats.lua, and the index after them.

    Args:
        at: the index of the window in the reply.
    """
    window, count = raw[at : at + 2]
    first, after = at + 2, at + 2 + count * _QUOTA_REPLY
    quotas = [_quota_use(*raw[start : start + _QUOTA_REPLY]) for start in range(first, after, _QUOTA_REPLY)]
    return window.decode() or None, quotas, after


def _quota(quota: Quota) -> bytes:
    unit, tz = 1 + UNITS.index(quota.unit), quota.tz.encode()
    head = _QUOTA.pack(unit, ord(quota.period[0]), quota.quota.to_bytes(_NUMBER_BYTES))
    return head + bytes((len(tz),)) + tz


def _quota_use(unit: int, quota: int, period: bytes, tz: bytes, used: int, ends_us: int) -> QuotaUse:
    definition = Quota(quota, _PERIODS[period], tz.decode(), UNITS[unit - 1])
    return QuotaUse(definition, used, ends_us if ends_us >= 0 else None)


def _name(zone: Zone) -> bytes:
    """Return the name of a zone's calendar (periods.lua)."""
    return zone.period[0].encode() + zone.tz.encode()


def _packed(bounds: Sequence[int]) -> bytes:
    return b"".join(bound.to_bytes(_NUMBER_BYTES) for bound in bounds)


@decoder
def _decode_count(raw: list[Any]) -> int:
    return int(raw[4])


@decoder
def _decode_calendars(raw: list[Any]) -> list[Calendar]:
    return [
        Calendar(Zone(_PERIODS[raw[at][:1]], raw[at][1:].decode()), raw[at + 1], raw[at + 2])
        for at in range(4, len(raw), _CALENDAR_REPLY)
    ]
