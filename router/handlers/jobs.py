"""Handlers of the state of single jobs and of dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from msgspec import UNSET, Raw

from router.api import parsing
from router.api.response_shapes import (
    DeadJob,
    Dropped,
    FailureAnswer,
    JobAnswer,
    Queued,
    Redriven,
    count_failed,
)
from router.bodies.parser import BodyParser
from router.handlers.list_answers import list_answer, list_pieces
from router.http.errors import failed
from router.http.request import Request, is_gone
from router.http.response import Response, answer
from router.shards.dispatch import Dispatch
from sharq_core.dead_letters import DeadLetter, DeadRef, RedriveStatus
from sharq_core.errors import NotFound, SharqError
from sharq_core.link.messages import GetJob
from sharq_core.models import JobStatus

DEFAULT_PAGE = 100

MAX_LIST_BYTES = 8 << 20
"""Size at which an answer with dead letters ends, as a dequeue's does; it may be exceeded by one page."""

LISTINGS_AT_ONCE = 1
"""Pages of dead letters that are read at the same time. The limit leaves room for other requests."""

_LETTER_BYTES = 300
"""Size of a dead letter in an answer without its payload, in bytes."""

_ALREADY_LIVE = FailureAnswer(code="duplicate", message="job_id: another live job of this queue has this id")
_NOT_DEAD = FailureAnswer(code="not_found", message="no such dead letter")


class JobHandlers:
    """The handlers of single jobs and of dead letters."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser) -> None:
        self._dispatch = dispatch
        self._parser = parser
        self._turns = asyncio.Semaphore(LISTINGS_AT_ONCE)

    async def job(self, request: Request) -> Response:
        """Return the state of one job."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        status = await self._dispatch.route(GetJob(key, parsing.identifier(request.path_values, "job_id")))
        if status is None:
            raise NotFound("no such job")
        return answer(_job_answer(status))

    async def list_dead(self, request: Request) -> Response:
        """Return a page of the dead letters of a type."""
        queue_type = parsing.queue_type_of(request.path_values)
        limit, cursor = parsing.page(request.query)
        listing = _DeadListing(self._dispatch, self._turns, queue_type, cursor)
        pages = listing.pages(limit or DEFAULT_PAGE)
        return await list_answer(list_pieces("jobs", pages, lambda: {"cursor": listing.cursor}))

    async def redrive(self, request: Request) -> Response:
        """Enqueue dead letters again: all of a type, or those that the body names."""
        parsing.no_query(request.query)
        queue_type = parsing.queue_type_of(request.path_values)
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
        queue_type = parsing.queue_type_of(request.path_values)
        await self._parser.run(parsing.nothing, await request.body())
        request.may_last = True
        return answer(Dropped(dropped=await self._dispatch.drop_dead(queue_type, partial(is_gone, request))))


class _DeadListing:
    """A listing of dead letters, read page by page.

    Args:
        turns: bounds the number of listings that read and write a page at the same time.

    Attributes:
        cursor: the start of the next page; None at the end.
    """

    def __init__(
        self, dispatch: Dispatch, turns: asyncio.Semaphore, queue_type: str, cursor: str | None
    ) -> None:
        self.cursor = cursor
        self._dispatch = dispatch
        self._turns = turns
        self._queue_type = queue_type

    async def pages(self, limit: int) -> AsyncIterator[list[DeadJob]]:
        """Yield up to `limit` dead letters, fewer if they reach MAX_LIST_BYTES, a page at a time."""
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
    """Return one result for each job, in order: its own error, or the next outcome of those that were sent."""
    remaining = iter(outcomes)
    return [_redrive_result(job, job if isinstance(job, SharqError) else next(remaining)) for job in jobs]


def _redrive_result(job: DeadRef | SharqError, outcome: RedriveStatus | SharqError) -> Queued | FailureAnswer:
    if isinstance(job, SharqError):
        return failed(job)
    if isinstance(outcome, SharqError):
        return failed(outcome)
    if outcome is RedriveStatus.DUPLICATE:
        return _ALREADY_LIVE
    return Queued(job_id=job.job_id) if outcome is RedriveStatus.QUEUED else _NOT_DEAD
