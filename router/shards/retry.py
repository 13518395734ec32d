"""Decides which calls may be repeated at another shard after a failure: only those that do no harm if done twice."""

from __future__ import annotations

from typing import TypeVar, cast

import msgspec

from sharq_core.errors import OutcomeUnknown, SharqError, Unavailable
from sharq_core.link.messages import Call, Enqueue, Failure
from sharq_core.models import Enqueued, EnqueueStatus, ExtendJob, FinishJob, NewJob

ReplyT = TypeVar("ReplyT")
JobT = TypeVar("JobT")


def repeated(call: Call[ReplyT], error: SharqError) -> Call[ReplyT] | None:
    """Return the call to make after a call failed with an error; None if it must not be repeated.

    A call that was certainly not done is repeated as it was. A call that was perhaps done is repeated only if a job id
    or a lease makes that safe: an enqueue as a `repeat`, a finish or an extend by its lease.
    """
    if isinstance(error, Unavailable):
        return call
    jobs = getattr(call, "jobs", None)
    if not isinstance(error, OutcomeUnknown) or jobs is None:
        return None
    if isinstance(call, Enqueue):
        return cast(Call[ReplyT], Enqueue([msgspec.structs.replace(job, repeat=True) for job in call.jobs]))
    return None if any(repeated_job(job) is None for job in jobs) else call


def is_refused(answer: object) -> bool:
    """Return True if a job was not done by the call with this answer, and not found done either.

    After a call that was perhaps done this proves nothing: that call may still run, or it reached another server.
    """
    if isinstance(answer, Enqueued):
        return answer.status not in (EnqueueStatus.QUEUED, EnqueueStatus.DUPLICATE)
    return isinstance(answer, Failure)


def repeated_job(job: JobT) -> JobT | None:
    """Return the job to send again after its call was perhaps done; None if it must not be sent again."""
    if isinstance(job, NewJob):
        return cast(JobT, msgspec.structs.replace(job, repeat=True))
    if isinstance(job, ExtendJob) or (isinstance(job, FinishJob) and job.lease is not None):
        return job
    return None
