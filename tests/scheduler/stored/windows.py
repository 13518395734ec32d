"""Reads what the store keeps of windows, by the layouts of lua/README.md, and checks that it agrees with the queues.

Written apart from the Lua.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAIN = 124
"""The first class of the main line."""

_PART = struct.Struct(">IB")
_LINE = struct.Struct(">BIIII")
_WINDOW = struct.Struct(">B7s7sH")
_SETTINGS = struct.Struct(">BB7s7sIB")
_LIMIT_BYTES = 19
_LIFE_BYTES = 18


@dataclass(frozen=True)
class Line:
    """One line of a queue: its first class, the number of its window, and its jobs by state."""

    base: int
    number: int
    queued: int
    delayed: int
    leased: int


def parse_lines(raw: bytes) -> tuple[int, tuple[Line, ...], bytes]:
    """Return the number of a queue's window (0 for none), its lines, and the rest of its record."""
    if not raw:
        return 0, (), b""
    window, count = _PART.unpack_from(raw)
    rest = raw[_PART.size + count * _LINE.size :]
    lines = tuple(Line(*_LINE.unpack_from(raw, _PART.size + _LINE.size * at)) for at in range(count))
    for line in lines:
        assert line.base % 9 == 7
        assert line.base != MAIN
        assert line.base <= 241
    assert len({line.base for line in lines}) == len({line.number for line in lines}) == count
    assert window or lines or rest
    return window, lines, rest


def assert_uses_agree(
    counters: Mapping[bytes, Any], windows_of_queues: Iterable[int], lines: Iterable[Line]
) -> None:
    """Each window is used as often as is counted, and the index has exactly the present windows."""
    uses = Counter([*windows_of_queues, *(line.number for line in lines), *_of_types(counters)])
    del uses[0]
    assert uses == {
        int.from_bytes(field[2:]): int(number) for field, number in counters.items() if field[:2] == b":u"
    }
    names = {
        int.from_bytes(number): field[2:]
        for field, number in counters.items()
        if field[:2] == b":W" and field not in (b":W", b":W>")
    }
    present = set()
    for field, raw in counters.items():
        if field[:2] == b":w":
            name, is_dropped = _parse_window(raw)
            assert names[int.from_bytes(field[2:])] == name
            present |= set() if is_dropped else {int.from_bytes(field[2:])}
    assert set(uses) <= names.keys()
    index = counters.get(b":W", bytes(4))
    assert int.from_bytes(index[:4]) == max(names, default=0)
    assert [index[at : at + 4] for at in range(4, len(index), 4)] == [
        number.to_bytes(4) for number in sorted(present)
    ]


def _of_types(counters: Mapping[bytes, Any]) -> Iterable[int]:
    """Yield the numbers of the default windows of types, 0 for none."""
    for field, raw in counters.items():
        if field[:2] == b":s":
            *_, limits = _SETTINGS.unpack_from(raw)
            at = _SETTINGS.size + limits * _LIMIT_BYTES + _LIFE_BYTES
            yield int.from_bytes(raw[at : at + 4])


def _parse_window(raw: bytes) -> tuple[bytes, bool]:
    """Return the name of a window, and True if it was dropped; its openings are in order and do not touch."""
    window_format, _, _, count = _WINDOW.unpack_from(raw)
    assert window_format == 1
    at = _WINDOW.size
    times = [int.from_bytes(raw[at + 7 * index : at + 7 * index + 7]) for index in range(2 * count)]
    assert times == sorted(set(times))
    at += 14 * count
    name_end = at + 1 + raw[at]
    return raw[at + 1 : name_end], name_end == len(raw)
