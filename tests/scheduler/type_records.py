"""Reads the settings of a type as they are stored, by the layout of lua/README.md."""

from __future__ import annotations

import struct
from typing import Any

_SETTINGS = struct.Struct(">BB7s7sIB")
_LIFE = struct.Struct(">IHIB6sB")
_LIMIT = struct.Struct(">B6sIB7s")
_WINDOWS = struct.Struct(">IB")
_QUOTA = struct.Struct(">Bc7s7s7s7s7sB7s7sB")


def type_ready_us(counters: dict[bytes, Any], queue_type: str) -> int:
    """Return the time at which the hold and the limits of a type next allow a lease; 0 for any time.

    Also checks that the type's counts say that it has settings, if and only if it has any.
    """
    raw, counts = counters.get(b":s" + queue_type.encode()), counters.get(queue_type.encode())
    if counts is not None:
        assert bool(int.from_bytes(counts[90:91]) & 1) == (raw is not None)
    if raw is None:
        return 0
    *_, held_until, _, _, count = _SETTINGS.unpack_from(raw)
    newer = raw[_SETTINGS.size + count * _LIMIT.size :]
    assert len(newer) in (0, _LIFE.size) or _quotas_are_whole(counters, newer[_LIFE.size :])
    tats = [_LIMIT.unpack_from(raw, _SETTINGS.size + at * _LIMIT.size)[-1] for at in range(count)]
    return max(int.from_bytes(at) for at in (held_until, *tats))


def _quotas_are_whole(counters: dict[bytes, Any], raw: bytes) -> bool:
    """Return True if the rest of the settings is a window and some quotas, each of which has a calendar."""
    _, count = _WINDOWS.unpack_from(raw)
    at = _WINDOWS.size
    for _ in range(count):
        _, period, *numbers, is_out, _, _, length = _QUOTA.unpack_from(raw, at)
        quota, used = (int.from_bytes(number) for number in numbers[:2])
        assert is_out or used < quota
        name = period + raw[at + _QUOTA.size : at + _QUOTA.size + length]
        assert b":" + name in counters and bytes((len(name),)) + name in counters[b":calendars"]
        at += _QUOTA.size + length
    return count > 0 and at == len(raw)
