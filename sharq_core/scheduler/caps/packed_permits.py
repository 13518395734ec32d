"""Packs permits as job_permits.lua keeps them, and reads them back."""

from __future__ import annotations

from collections.abc import Iterable

from sharq_core.caps import Permit

_SERIAL_BYTES = 7


def pack_permits(permits: Iterable[Permit]) -> bytes:
    """Return the permits of one lease, empty for none."""
    return b"".join(
        bytes((len(name),)) + name.encode() + serial.to_bytes(_SERIAL_BYTES) for name, serial in permits
    )


def read_permits(raw: bytes) -> tuple[Permit, ...]:
    """Return the permits of one lease."""
    permits: list[Permit] = []
    at = 0
    while at < len(raw):
        name_end = at + 1 + raw[at]
        end = name_end + _SERIAL_BYTES
        permits.append((raw[at + 1 : name_end].decode(), int.from_bytes(raw[name_end:end])))
        at = end
    return tuple(permits)
