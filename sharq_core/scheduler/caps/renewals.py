"""Decodes the permits that must be renewed before the leases of an extend can be extended."""

from __future__ import annotations

from struct import Struct
from typing import Any

from msgspec import structs

from sharq_core.models import LeaseOutcome
from sharq_core.scheduler.caps.packed_permits import read_permits
from sharq_core.scheduler.replies import Reply, decode_extend

_PERMITS = Struct(">HH")
"""extend.lua's PERMITS: the index of the job, the length of its permits, which follow."""


def decode_unextended(raw: list[Any]) -> Reply[list[LeaseOutcome]]:
    """Decode the reply of an extend, which may end with the permits of leases that were not extended."""
    if not isinstance(raw[-1], bytes):
        return decode_extend(raw)
    reply = decode_extend(raw[:-1])
    outcomes = list(reply.value or ())
    at, packed = 0, raw[-1]
    while at < len(packed):
        index, length = _PERMITS.unpack_from(packed, at)
        at += _PERMITS.size + length
        outcomes[index] = structs.replace(outcomes[index], permits=read_permits(packed[at - length : at]))
    return structs.replace(reply, value=outcomes)
