"""Handlers of the state of single jobs and of dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from router.api import parsing
from router.api.life.answers import JobAnswer
from router.api.life.dead_letters import dropped_letters
from router.api.response_shapes import Done, Dropped, FailureAnswer, Queued, Redriven, count_failed
from router.bodies.parser import BodyParser
from router.handlers.caps.reasons import CapReasons
from router.handlers.job_answers import job_facts
from router.http.errors import failed
from router.http.request import Request, is_gone
from router.http.response import Response, answer
from router.longpoll.job_waits import JobWaits
from router.shards.dispatch import Dispatch
from router.shards.upgrade import LIFE
from sharq_core.errors import BatchCancelled, Duplicate, NotFound, OutcomeUnknown, SharqError, TooManyWindows
from sharq_core.job_life import DeadRef, RedriveStatus
from sharq_core.link.job_calls import DropDeadLetter, Redrive
from sharq_core.link.messages import GetJob
from sharq_core.logs.plurals import counted, was_or_were

_BATCH_CANCELLED = "job_id: the batch of this dead letter is cancelled"
_NO_ROOM = "job_id: the queue of this dead letter has waiting or leased jobs of too many windows"
_LIVE = "job_id: another live job of this queue has this id"
_NO_LETTER = "job_id: no such dead letter in this queue"
_ALREADY_LIVE = FailureAnswer(code=Duplicate.code, message=_LIVE)
_NOT_DEAD = FailureAnswer(code=NotFound.code, message=_NO_LETTER)


class JobHandlers:
    """The handlers of single jobs and of dead letters."""

    def __init__(
        self, dispatch: Dispatch, job_waits: JobWaits, parser: BodyParser, reasons: CapReasons
    ) -> None:
        self._dispatch = dispatch
        self._reasons = reasons
        self._job_waits = job_waits
        self._parser = parser

    async def job(self, request: Request) -> Response:
        """Return the state of one job, at once or when it has ended."""
        wait_us = parsing.job_wait_us(request.query)
        key = parsing.queue_key(request.path_values)
        job_id = parsing.identifier(request.path_values, "job_id")
        if wait_us:
            request.may_last = True
            status = await self._job_waits.status(key, job_id, wait_us, request.when_gone)
        else:
            knows_life = self._dispatch.formats >= LIFE
            status = await self._dispatch.route(GetJob(key, job_id, knows_life))
        if status is None:
            raise NotFound("job_id: no such job in this queue")
        (blocked_by,) = await self._reasons.of_jobs([status])
        return answer(job_facts(JobAnswer, status, blocked_by))

    async def redrive(self, request: Request) -> Response:
        """Enqueue dead letters again: all of a type, or those that the body names."""
        parsing.no_query(request.query)
        queue_type = parsing.queue_type_of(request.path_values)
        jobs = await request.parsed(self._parser, parsing.redrive, queue_type)
        if jobs is None:
            request.may_last = True
            has_left = partial(is_gone, request)
            return answer(Redriven(redriven=await self._dispatch.dead_walk(queue_type, has_left).redrive()))
        outcomes = await self._dispatch.redrive([job for job in jobs if isinstance(job, DeadRef)])
        results = _redrive_results(jobs, outcomes)
        return answer(Redriven(failed=count_failed(results), results=results))

    async def redrive_letter(self, request: Request) -> Response:
        """Enqueue one dead letter again."""
        parsing.no_query(request.query)
        letter = DeadRef(*parsing.job_path(request.path_values))
        await request.parsed(self._parser, parsing.nothing)
        status = await self._dispatch.route_job(Redrive, letter)
        if status is RedriveStatus.DUPLICATE:
            raise Duplicate(_LIVE)
        if status is RedriveStatus.NOT_FOUND:
            raise NotFound(_NO_LETTER)
        if status is RedriveStatus.BATCH_CANCELLED:
            raise BatchCancelled(_BATCH_CANCELLED)
        if status is RedriveStatus.NO_ROOM:
            raise TooManyWindows(_NO_ROOM)
        return answer(Done())

    async def drop_letter(self, request: Request) -> Response:
        """Drop one dead letter."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        job_id = parsing.identifier(request.path_values, "job_id")
        await request.parsed(self._parser, parsing.nothing)
        if not await self._dispatch.route(DropDeadLetter(key, job_id)):
            raise NotFound(_NO_LETTER)
        return answer(Done())

    async def drop_letters(self, request: Request) -> Response:
        """Drop up to 1,000 dead letters that the body names, and tell how many there were."""
        parsing.no_query(request.query)
        queue_type = parsing.queue_type_of(request.path_values)
        letters = await request.parsed(self._parser, dropped_letters, queue_type)
        outcomes = await self._dispatch.drop_letters(letters)
        return answer(Dropped(dropped=_count_dropped(outcomes)))

    async def drop_dead(self, request: Request) -> Response:
        """Drop all dead letters of a type."""
        parsing.no_query(request.query)
        queue_type = parsing.queue_type_of(request.path_values)
        await request.parsed(self._parser, parsing.nothing)
        request.may_last = True
        walk = self._dispatch.dead_walk(queue_type, partial(is_gone, request))
        return answer(Dropped(dropped=await walk.drop()))


def _count_dropped(outcomes: Sequence[bool | SharqError]) -> int:
    """Return how many letters were dropped; raise the first error, as OutcomeUnknown if some were dropped."""
    dropped = sum(outcome is True for outcome in outcomes)
    for outcome in outcomes:
        if isinstance(outcome, SharqError):
            if not dropped or outcome.perhaps_done:
                raise outcome
            done = f"{counted(dropped, 'dead letter')} {was_or_were(dropped)} dropped"
            raise OutcomeUnknown(f"{done}, then: {outcome.message}") from outcome
    return dropped


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
    if outcome is RedriveStatus.BATCH_CANCELLED:
        return failed(BatchCancelled(_BATCH_CANCELLED))
    if outcome is RedriveStatus.NO_ROOM:
        return failed(TooManyWindows(_NO_ROOM))
    return Queued(job_id=job.job_id) if outcome is RedriveStatus.QUEUED else _NOT_DEAD
