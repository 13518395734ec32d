"""Handlers of finish, extend and release, single and bulk."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET
from multidict import MultiDict

from router.api import parsing
from router.api.response_shapes import (
    Extended,
    FailureAnswer,
    Finished,
    LeaseDone,
    LeaseResults,
    count_failed,
)
from router.bodies.parser import BodyParser
from router.http.errors import failed
from router.http.request import Request
from router.http.response import Response, answer
from router.shards.dispatch import Dispatch
from sharq_core.errors import LeaseLost, NotFound, SharqError
from sharq_core.link.messages import Extend, Finish, Release
from sharq_core.models import ExtendJob, FinishJob, LeaseOutcome, LeaseStatus, ReleaseJob

_DONE_BODY = b'{"status":"success"}'


class LeaseHandlers:
    """The handlers of finish, extend and release."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser) -> None:
        self._dispatch = dispatch
        self._parser = parser

    async def finish(self, request: Request) -> Response:
        """End a lease and forget the job."""
        job = await request.parsed(
            self._parser, parsing.finish, request.path_values, MultiDict(request.query)
        )
        outcome = await self._dispatch.route_job(Finish, job)
        result_kept = _check(outcome).result_kept
        return Response(_DONE_BODY) if result_kept is None else answer(Finished(result_kept=result_kept))

    async def extend(self, request: Request) -> Response:
        """Extend a lease."""
        job = await request.parsed(
            self._parser, parsing.extend, request.path_values, MultiDict(request.query)
        )
        outcome = await self._dispatch.route_job(Extend, job)
        return answer(Extended(lease_expires_at=_check(outcome).leased_until_us // 1000))

    async def release(self, request: Request) -> Response:
        """Release a job, unfinished."""
        job = await request.parsed(
            self._parser, parsing.release, request.path_values, MultiDict(request.query)
        )
        outcome = await self._dispatch.route_job(Release, job)
        _check(outcome)
        return Response(_DONE_BODY)

    async def finish_bulk(self, request: Request) -> Response:
        """Finish up to 1,000 jobs, each with its own result."""
        parsing.no_query(request.query)
        jobs = await request.parsed(self._parser, parsing.finish_bulk)
        return _results(
            jobs, await self._dispatch.finish([job for job in jobs if isinstance(job, FinishJob)])
        )

    async def extend_bulk(self, request: Request) -> Response:
        """Extend up to 1,000 leases, each with its own result."""
        parsing.no_query(request.query)
        jobs = await request.parsed(self._parser, parsing.extend_bulk)
        return _results(
            jobs, await self._dispatch.extend([job for job in jobs if isinstance(job, ExtendJob)])
        )

    async def release_bulk(self, request: Request) -> Response:
        """Release up to 1,000 jobs, each with its own result."""
        parsing.no_query(request.query)
        jobs = await request.parsed(self._parser, parsing.release_bulk)
        return _results(
            jobs, await self._dispatch.release([job for job in jobs if isinstance(job, ReleaseJob)])
        )


def _results(
    jobs: Sequence[FinishJob | ExtendJob | ReleaseJob | SharqError], outcomes: list[LeaseOutcome | SharqError]
) -> Response:
    """Return one result for each job, in order: its own error, or the next outcome of those that were sent."""
    remaining = iter(outcomes)
    results = [_result(job if isinstance(job, SharqError) else next(remaining)) for job in jobs]
    return answer(LeaseResults(failed=count_failed(results), results=results))


def _result(outcome: LeaseOutcome | SharqError) -> LeaseDone | FailureAnswer:
    try:
        done = _check(outcome)
    except SharqError as error:
        return failed(error)
    return LeaseDone(
        lease_expires_at=done.leased_until_us // 1000 if done.leased_until_us else UNSET,
        result_kept=UNSET if done.result_kept is None else done.result_kept,
    )


def _check(outcome: LeaseOutcome | SharqError) -> LeaseOutcome:
    """Return a successful outcome; raise the error of any other."""
    if isinstance(outcome, SharqError):
        raise outcome
    if outcome.status is LeaseStatus.NOT_FOUND:
        raise NotFound("this job has no such lease")
    if outcome.status is LeaseStatus.LOST:
        raise LeaseLost("lease: another lease of this job exists, or it is finished, dead or deleted")
    return outcome
