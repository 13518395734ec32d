"""What may be said again to another shard when the first one did not answer: only what does no harm when done twice."""

from __future__ import annotations

from typing import TypeVar, cast

import msgspec

from sharq_core.errors import OutcomeUnknown, SharqError, Unavailable
from sharq_core.link.messages import Call, Enqueue
from sharq_core.models import ExtendJob, FinishJob, NewJob

ReplyT = TypeVar("ReplyT")
JobT = TypeVar("JobT")


def repeated(call: Call[ReplyT], error: SharqError) -> Call[ReplyT] | None:
    """The call to make after this one failed with this error, or None when it must not be made again.

    What was certainly not done is made again as it was. What was perhaps done is made again only where a job's id or a
    lease makes that safe: an enqueue as a `repeat`, a finish or an extend by their leases.
    """
    if isinstance(error, Unavailable):
        return call
    jobs = getattr(call, "jobs", None)
    if not isinstance(error, OutcomeUnknown) or jobs is None:
        return None
    if isinstance(call, Enqueue):
        return cast(Call[ReplyT], Enqueue([msgspec.structs.replace(job, repeat=True) for job in call.jobs]))
    return None if any(repeated_job(job) is None for job in jobs) else call


def repeated_job(job: JobT) -> JobT | None:
    """What to ask about a job after it was perhaps done, or None when it must not be asked again."""
    if isinstance(job, NewJob):
        return cast(JobT, msgspec.structs.replace(job, repeat=True))
    if isinstance(job, ExtendJob) or (isinstance(job, FinishJob) and job.lease is not None):
        return job
    return None
