"""Decodes the corrections of jobs whose queues have caps, which finish and release tell for the ledgers."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, TypeAlias

from msgspec import structs

from sharq_core.limits import CapCorrection
from sharq_core.models import LeaseOutcome
from sharq_core.scheduler.replies import Reply
from sharq_core.scheduler.status_replies import cap_names_of

Outcomes: TypeAlias = Reply[list[LeaseOutcome]]

_CORRECTION = Struct(">HqB")
"""reports.lua's CORRECTION: the index of the job, the difference, the length of the names, which follow."""


def decode_corrected(decode: Callable[[list[Any]], Outcomes], raw: list[Any]) -> Outcomes:
    """Decode a reply about leases that may end with corrections; `decode` takes what stands before them."""
    if not isinstance(raw[-1], bytes):
        return decode(raw)
    reply = decode(raw[:-1])
    outcomes = list(reply.value or ())
    at, packed = 0, raw[-1]
    while at < len(packed):
        index, difference, length = _CORRECTION.unpack_from(packed, at)
        at += _CORRECTION.size + length
        correction = CapCorrection(cap_names_of(packed[at - length : at]), difference)
        outcomes[index] = structs.replace(outcomes[index], corrected=correction)
    return structs.replace(reply, value=outcomes)
