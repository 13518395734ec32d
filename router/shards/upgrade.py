"""Refuses what a shard of an older version would misread, while such a shard is a member.

An older shard drops the fields at the end of a job that it does not know, in silence, and an unknown call ends the
link. So a router sends neither before every member handles them (sharq_core/link/messages.py, FORMATS).
"""

from __future__ import annotations

from typing import Any

from sharq_core.errors import Unavailable
from sharq_core.link.messages import Addressed, Call, QueueCall, SetRate
from sharq_core.models import FinishJob, NewJob, ReleaseJob


def refusal(newer: str) -> Unavailable:
    """Return the error of a request that not every shard can handle yet; nothing was done.

    Args:
        newer: the field or the call.
    """
    return Unavailable(
        f"{newer}: a shard of this cluster runs an older version that does not support it; upgrade every shard first"
    )


def newer_field_of_job(job: Addressed) -> str | None:
    """Return the name of a field that a shard of format 1 does not know; None if there is none."""
    if "~" in job.queue_type:
        return "queue_type with ~"
    if isinstance(job, NewJob):
        return _first(
            cost=job.cost != 1,
            max_leased=job.max_leased is not None,
            burst=isinstance(job.burst, float),
        )
    if isinstance(job, FinishJob | ReleaseJob):
        return _first(
            cost=job.cost is not None,
            hold=bool(job.hold_us),
            hold_type=bool(job.hold_type_us),
            count=isinstance(job, ReleaseJob) and not job.counts,
        )
    return None


def newer_part_of_call(call: Call[Any]) -> str | None:
    """Return the name of the call or field that a shard of format 1 does not know; None if there is none."""
    if call.formats > 1:
        return "this call"
    if isinstance(call, SetRate) and isinstance(call.burst, float):
        return "burst"
    if isinstance(call, QueueCall) and not call.is_read and "~" in call.key.queue_type:
        return "queue_type with ~"
    return None


def _first(**is_used: bool) -> str | None:
    return next((name for name, is_present in is_used.items() if is_present), None)
