"""Reads the settings of a type as they are stored, by the layout of lua/README.md."""

from __future__ import annotations

import struct
from typing import Any

from tests.scheduler.models.quotas import LOOK_AGAIN_US

_SETTINGS = struct.Struct(">BB7s7sIB")
_LIFE = struct.Struct(">IHIB6sB")
_LIMIT = struct.Struct(">B6sIB7s")
_WINDOWS = struct.Struct(">IB")
_QUOTA = struct.Struct(">Bc7s7s7s7s7sB7s7sB")


def type_ready_us(counters: dict[bytes, Any], queue_type: str, told_us: int, now_us: int) -> int:
    """Return the time at which the hold, the limits and the quotas of a type next allow a lease; 0 for any time.

    A type that its quotas hold back looks again before their period ends. Also checks that the type's counts say that
    it has settings, if and only if it has any.
    """
    raw, counts = counters.get(b":s" + queue_type.encode()), counters.get(queue_type.encode())
    if counts is not None:
        assert bool(int.from_bytes(counts[90:91]) & 1) == (raw is not None)
    if raw is None:
        return 0
    *_, held_until, _, _, count = _SETTINGS.unpack_from(raw)
    newer = raw[_SETTINGS.size + count * _LIMIT.size :]
    assert len(newer) == 0 or len(newer) >= _LIFE.size
    quotas = _quotas(counters, newer[_LIFE.size :])
    is_held_back = any(is_out or not begins_us <= told_us < ends_us for is_out, begins_us, ends_us in quotas)
    tats = [_LIMIT.unpack_from(raw, _SETTINGS.size + at * _LIMIT.size)[-1] for at in range(count)]
    times = [int.from_bytes(at) for at in (held_until, *tats)]
    return max(*times, now_us + LOOK_AGAIN_US) if is_held_back else max(times)


def _quotas(counters: dict[bytes, Any], raw: bytes) -> list[tuple[bool, int, int]]:
    """Return (is_out, begins, ends) of each quota in the rest of the settings; each must have a calendar."""
    found: list[tuple[bool, int, int]] = []
    if not raw:
        return found
    window, count = _WINDOWS.unpack_from(raw)
    at = _WINDOWS.size
    for _ in range(count):
        _, period, *numbers, is_out, _, _, length = _QUOTA.unpack_from(raw, at)
        quota, used, begins_us, ends_us, _ = (int.from_bytes(number) for number in numbers)
        assert is_out or used < quota
        name = period + raw[at + _QUOTA.size : at + _QUOTA.size + length]
        assert b":" + name in counters and bytes((len(name),)) + name in counters[b":calendars"]
        found.append((bool(is_out), begins_us, ends_us))
        at += _QUOTA.size + length
    assert window + len(found) > 0
    assert at == len(raw)
    return found
