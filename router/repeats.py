"""What may be said again to another shard when the first one did not answer: only what does no harm when done twice."""

from __future__ import annotations

from typing import TypeVar, cast

import msgspec

from sharq_core.errors import OutcomeUnknown, SharqError, Unavailable
from sharq_core.messages import Call, Enqueue, Extend, Finish

ReplyT = TypeVar("ReplyT")


def repeated(call: Call[ReplyT], error: SharqError) -> Call[ReplyT] | None:
    """The call to make after this one failed with this error, or None when it must not be made again.

    What was certainly not done is made again as it was. What was perhaps done is made again only where a job's id or a
    lease makes that safe: an enqueue as a `repeat`, a finish or an extend by their leases.
    """
    if isinstance(error, Unavailable):
        return call
    if not isinstance(error, OutcomeUnknown):
        return None
    if isinstance(call, Enqueue):
        jobs = [msgspec.structs.replace(job, repeat=True) for job in call.jobs]
        return cast(Call[ReplyT], Enqueue(jobs))
    has_leases = isinstance(call, Extend) or (
        isinstance(call, Finish) and all(job.lease is not None for job in call.jobs)
    )
    return call if has_leases else None
