"""Reads the notes of jobs and the results of finished ones as lua/README.md describes them, and checks them."""

from __future__ import annotations

import struct
from typing import Any

_ENTRY = struct.Struct(">BH")
_ERROR = struct.Struct(">I7s")
_BOOK = struct.Struct(">7s7s7s")
_RECORD = struct.Struct(">B16s")
_LENGTH = struct.Struct(">BI")
_OVERHEAD = 128

ERROR, PROGRESS, TRACE, PERMITS = 1, 2, 3, 4
_MOST_TRACE_BYTES = 25 + 512


def parse_note(raw: bytes) -> dict[int, tuple[int, int, str]]:
    """Return the entries of a note by their kind: attempt (0 if it has none), time (µs, 0 for none) and text."""
    assert raw[0] == 1
    found: dict[int, tuple[int, int, str]] = {}
    at = 1
    while at < len(raw):
        kind, length = _ENTRY.unpack_from(raw, at)
        contents = raw[at + _ENTRY.size : at + _ENTRY.size + length]
        assert kind in (ERROR, PROGRESS, TRACE, PERMITS) and kind not in found and len(contents) == length
        at += _ENTRY.size + length
        if kind == ERROR:
            attempt, at_us = _ERROR.unpack_from(contents)
            found[kind] = attempt, int.from_bytes(at_us), contents[_ERROR.size :].decode()
        elif kind in (TRACE, PERMITS):
            assert kind == PERMITS or 25 <= length <= _MOST_TRACE_BYTES
            found[kind] = 0, 0, contents.hex()
        else:
            found[kind] = 0, int.from_bytes(contents[:7]), contents[7:].decode()
    return found


def parse_results(raw: dict[str, dict[bytes, Any]]) -> dict[str, bytes]:
    """Return the results by `type:queue_id:job_id`, after a check that their keys and their count agree.

    Args:
        raw: the hashes `results` and `counters`, and the sorted set `resulted`.
    """
    held = {name: record[_RECORD.size :] for name, record in raw["results"].items()}
    assert all(_RECORD.unpack_from(record)[0] == 1 for record in raw["results"].values())
    assert raw["resulted"].keys() == {name + _LENGTH.pack(0, len(text)) for name, text in held.items()}
    total, _, oldest_us = parse_book(raw["counters"].get(b":results"))
    assert total == sum(result_size(name.decode(), text) for name, text in held.items())
    assert bool(oldest_us) == bool(held)
    assert oldest_us <= min((int(at_us) for at_us in raw["resulted"].values()), default=oldest_us)
    return {name.decode(): text for name, text in held.items()}


def parse_book(raw: bytes | None) -> tuple[int, int, int]:
    """Return the bytes of the results, how many were dropped for their memory, and when the oldest came (µs)."""
    total, dropped, oldest_us = _BOOK.unpack(raw or bytes(_BOOK.size))
    return int.from_bytes(total), int.from_bytes(dropped), int.from_bytes(oldest_us)


def result_size(name: str, text: bytes) -> int:
    """Return the bytes that count for a result."""
    return len(text) + 2 * len(name) + _OVERHEAD
