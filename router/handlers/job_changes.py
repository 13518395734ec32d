"""Handlers that cancel jobs, alone, in bulk and by prefix, and that change a waiting job."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec import UNSET

from router.api import parsing
from router.api.life import parsing as life_parsing
from router.api.life.answers import Cancelled, CancelledMany, CancelResults, JobAnswer
from router.api.life.values import early_expiry
from router.api.response_shapes import FailureAnswer, count_failed
from router.bodies.parser import BodyParser
from router.handlers.caps.reasons import CapReasons
from router.handlers.job_answers import job_facts
from router.http.errors import failed
from router.http.request import Request, is_gone
from router.http.response import Response, answer
from router.settings import RouterSettings
from router.shards.dispatch import Dispatch
from router.shards.walks.jobs import cancel_matching
from sharq_core.errors import InvalidRequest, JobLeased, NotFound, NotWaiting, SharqError
from sharq_core.job_changes import CancelJob, CancelOutcome, CancelStatus, ChangeStatus, JobChange
from sharq_core.link.job_calls import Cancel, ChangeJob


class JobChangeHandlers:
    """The handlers of cancellations and changes of jobs."""

    def __init__(
        self, dispatch: Dispatch, parser: BodyParser, settings: RouterSettings, reasons: CapReasons
    ) -> None:
        self._dispatch = dispatch
        self._reasons = reasons
        self._parser = parser
        self._settings = settings

    async def cancel(self, request: Request) -> Response:
        """Cancel one job."""
        job = life_parsing.cancel(request.path_values, request.query)
        await request.parsed(self._parser, parsing.nothing)
        outcome = await self._dispatch.route_job(Cancel, job)
        return answer(_cancelled(outcome))

    async def cancel_bulk(self, request: Request) -> Response:
        """Cancel up to 1,000 jobs, each with its own result."""
        parsing.no_query(request.query)
        jobs = await request.parsed(self._parser, life_parsing.cancel_bulk)
        outcomes = await self._dispatch.cancel([job for job in jobs if isinstance(job, CancelJob)])
        results = _results(jobs, outcomes)
        return answer(CancelResults(failed=count_failed(results), results=results))

    async def cancel_prefix(self, request: Request) -> Response:
        """Cancel the queued and delayed jobs of a queue whose ids begin with a prefix."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        prefix = await request.parsed(self._parser, life_parsing.cancelled_prefix)
        request.may_last = True
        cancelled = await cancel_matching(self._dispatch, key, prefix, partial(is_gone, request))
        return answer(CancelledMany(cancelled=cancelled))

    async def change(self, request: Request) -> Response:
        """Change a queued or delayed job, and return its state."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        job_id = parsing.identifier(request.path_values, "job_id")
        change = await request.parsed(self._parser, life_parsing.change, self._settings.max_payload_bytes)
        changed = await self._dispatch.route(ChangeJob(key, job_id, change))
        if changed.status is ChangeStatus.NOT_WAITING:
            raise NotWaiting(
                "job_id: this job is leased, finished, dead, cancelled or expired; only one that waits can be changed"
            )
        if changed.status is ChangeStatus.EXPIRES_EARLY:
            raise _early(change)
        if changed.job is None:
            raise NotFound("job_id: no such job in this queue")
        (blocked_by,) = await self._reasons.of_jobs([changed.job])
        return answer(job_facts(JobAnswer, changed.job, blocked_by))


def _early(change: JobChange) -> InvalidRequest:
    """Return the error of a change after which the job would expire before it is due."""
    if change.expires_us is not UNSET or change.expires_at_us is not UNSET:
        return early_expiry(is_absolute=change.expires_at_us is not UNSET)
    if change.at_us is not UNSET:
        return InvalidRequest("at: expected a time before the job expires")
    return InvalidRequest("delay: expected a duration that ends before the job expires")


def _results(
    jobs: Sequence[CancelJob | SharqError], outcomes: list[CancelOutcome | SharqError]
) -> list[Cancelled | FailureAnswer]:
    """Return one result for each job, in order: its own error, or the next outcome of those that were sent."""
    remaining = iter(outcomes)
    return [_result(job if isinstance(job, SharqError) else next(remaining)) for job in jobs]


def _result(outcome: CancelOutcome | SharqError) -> Cancelled | FailureAnswer:
    try:
        return _cancelled(outcome)
    except SharqError as error:
        return failed(error)


def _cancelled(outcome: CancelOutcome | SharqError) -> Cancelled:
    """Return the answer for a job that is cancelled, now or before; raise the error of any other."""
    if isinstance(outcome, SharqError):
        raise outcome
    if outcome.status is CancelStatus.LEASED:
        raise JobLeased("job_id: a worker holds this job; with force it is cancelled all the same")
    if outcome.was is None:
        raise NotFound("job_id: no such job in this queue, or it is finished or expired")
    return Cancelled(was=outcome.was)
