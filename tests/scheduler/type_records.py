"""Reads the settings of a type as they are stored, by the layout of lua/README.md."""

from __future__ import annotations

import struct
from typing import Any

_SETTINGS = struct.Struct(">BB7s7sIB")
_LIFE = struct.Struct(">IHIB6sB")
_LIMIT = struct.Struct(">B6sIB7s")


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
    assert len(raw) - _SETTINGS.size - count * _LIMIT.size in (0, _LIFE.size)
    tats = [_LIMIT.unpack_from(raw, _SETTINGS.size + at * _LIMIT.size)[-1] for at in range(count)]
    return max(int.from_bytes(at) for at in (held_until, *tats))
