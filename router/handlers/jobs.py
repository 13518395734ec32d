"""Handlers of single jobs: their status, and dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from msgspec import UNSET, Raw

from router.api import parsing
from router.bodies.parser import BodyParser
from router.handlers.list_answers import list_answer, list_pieces
from router.http.errors import failed
from router.http.request import Request, is_gone
from router.http.response import (
    DeadJob,
    Dropped,
    FailureAnswer,
    JobAnswer,
    Queued,
    Redriven,
    Response,
    answer,
    count_failed,
)
from router.shards.dispatch import Dispatch
from sharq_core.errors import NotFound, SharqError
from sharq_core.models import DeadLetter, DeadRef, JobStatus, RedriveStatus

DEFAULT_PAGE = 100

MAX_LIST_BYTES = 8 << 20
"""Of one answer with dead letters, as of a dequeue's; one page more at the most."""

LISTINGS_AT_ONCE = 2
"""Pages of dead letters that are read side by side, so that other requests come in between."""

_LETTER_BYTES = 300
"""Of a letter besides its payload."""

_ALREADY_LIVE = FailureAnswer(code="duplicate", message="job_id: a live job of this queue has it")
_NOT_DEAD = FailureAnswer(code="not_found", message="no such dead letter")


class JobHandlers:
    """What became of jobs."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser) -> None:
        self._dispatch = dispatch
        self._parser = parser
        self._turns = asyncio.Semaphore(LISTINGS_AT_ONCE)

    async def job(self, request: Request) -> Response:
        """What is known of one job."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        status = await self._dispatch.job(key, parsing.identifier(request.path_values, "job_id"))
        if status is None:
            raise NotFound("no such job")
        return answer(_job_answer(status))

    async def list_dead(self, request: Request) -> Response:
        """A page of a type's dead letters."""
        queue_type = parsing.identifier(request.path_values, "queue_type")
        limit, cursor = parsing.page(request.query)
        listing = _DeadListing(self._dispatch, self._turns, queue_type, cursor)
        pages = listing.pages(limit or DEFAULT_PAGE)
        return await list_answer(list_pieces("jobs", pages, lambda: {"cursor": listing.cursor}))

    async def redrive(self, request: Request) -> Response:
        """Queue dead letters again: all of a type, or those that the body names."""
        parsing.no_query(request.query)
        queue_type = parsing.identifier(request.path_values, "queue_type")
        jobs = await self._parser.run(parsing.redrive, await request.body(), queue_type)
        if jobs is None:
            request.may_last = True
            has_left = partial(is_gone, request)
            return answer(Redriven(redriven=await self._dispatch.redrive_all(queue_type, has_left)))
        outcomes = await self._dispatch.redrive([job for job in jobs if isinstance(job, DeadRef)])
        results = _redrive_results(jobs, outcomes)
        return answer(Redriven(failed=count_failed(results), results=results))

    async def drop_dead(self, request: Request) -> Response:
        """Drop all dead letters of a type."""
        parsing.no_query(request.query)
        queue_type = parsing.identifier(request.path_values, "queue_type")
        await self._parser.run(parsing.nothing, await request.body())
        request.may_last = True
        return answer(Dropped(dropped=await self._dispatch.drop_dead(queue_type, partial(is_gone, request))))


class _DeadListing:
    """A listing of dead letters, read page by page.

    Args:
        turns: bounds the listings of which a page is read and written at this moment.

    Attributes:
        cursor: where it begins, and then where the next page does; None at the end.
    """

    def __init__(
        self, dispatch: Dispatch, turns: asyncio.Semaphore, queue_type: str, cursor: str | None
    ) -> None:
        self.cursor = cursor
        self._dispatch = dispatch
        self._turns = turns
        self._queue_type = queue_type

    async def pages(self, limit: int) -> AsyncIterator[list[DeadJob]]:
        """Yield up to limit letters, fewer when they come to MAX_LIST_BYTES."""
        size = 0
        while True:
            async with self._turns:
                letters, self.cursor = await self._dispatch.list_dead(self._queue_type, limit, self.cursor)
            yield [_dead_job(letter) for letter in letters]
            limit -= len(letters)
            size += sum(len(letter.payload) for letter in letters) + _LETTER_BYTES * len(letters)
            if self.cursor is None or limit <= 0 or size >= MAX_LIST_BYTES:
                return


def _job_answer(status: JobStatus) -> JobAnswer:
    until_us = status.lease_expires_at_us
    return JobAnswer(
        state=status.state,
        attempt=status.attempt,
        enqueued_at=status.enqueued_at_us // 1000,
        lease_expires_at=UNSET if until_us is None else until_us // 1000,
        position=UNSET if status.position is None else status.position,
        payload=UNSET if status.payload is None else Raw(status.payload),
    )


def _dead_job(letter: DeadLetter) -> DeadJob:
    return DeadJob(
        queue_id=letter.queue_id,
        job_id=letter.job_id,
        payload=Raw(letter.payload),
        attempt=letter.attempt,
        enqueued_at=letter.enqueued_at_us // 1000,
        dead_at=letter.dead_at_us // 1000,
    )


def _redrive_results(
    jobs: Sequence[DeadRef | SharqError], outcomes: list[RedriveStatus | SharqError]
) -> list[Queued | FailureAnswer]:
    """One result a job: its own error, or the outcome of those that were sent, in order."""
    left = iter(outcomes)
    return [_redrive_result(job, job if isinstance(job, SharqError) else next(left)) for job in jobs]


def _redrive_result(job: DeadRef | SharqError, outcome: RedriveStatus | SharqError) -> Queued | FailureAnswer:
    if isinstance(job, SharqError):
        return failed(job)
    if isinstance(outcome, SharqError):
        return failed(outcome)
    if outcome is RedriveStatus.DUPLICATE:
        return _ALREADY_LIVE
    return Queued(job_id=job.job_id) if outcome is RedriveStatus.QUEUED else _NOT_DEAD
