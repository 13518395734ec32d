"""Handlers of enqueue, single and bulk."""

from __future__ import annotations

from msgspec import UNSET

from router import requests
from router.answers import Answer, Failed, Queued, QueuedJobs, answer
from router.body_parser import BodyParser
from router.dispatch import Dispatch
from router.errors import failed
from router.incoming import Request
from router.settings import RouterSettings
from sharq_core.errors import InvalidRequest, QueueFull, SharqError
from sharq_core.models import Enqueued, EnqueueStatus, NewJob

_QUEUED_BODY = b'{"status":"queued"}'


class EnqueueHandlers:
    """Jobs come in."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser, settings: RouterSettings) -> None:
        self._dispatch = dispatch
        self._parser = parser
        self._settings = settings

    async def enqueue(self, request: Request) -> Answer:
        """One job for the queue of the path."""
        requests.no_query(request.query)
        job, has_new_id = await self._parser.run(
            requests.enqueue, await request.body(), request.path_values, self._settings
        )
        outcome = await self._dispatch.enqueue_one(job)
        if outcome.status is EnqueueStatus.QUEUED and job.max_queued_length is None and not has_new_id:
            return Answer(_QUEUED_BODY, 201)
        result = "duplicate" if outcome.status is EnqueueStatus.DUPLICATE else "ok"
        return answer(_queued(job, outcome, has_new_id, "interval"), 201, result)

    async def enqueue_bulk(self, request: Request) -> Answer:
        """Up to 1,000 jobs, each with a result of its own."""
        requests.no_query(request.query)
        jobs = await self._parser.run(requests.enqueue_bulk, await request.body(), self._settings)
        outcomes = iter(await self._dispatch.enqueue([job for job in jobs if isinstance(job, NewJob)]))
        results = [
            failed(job)
            if isinstance(job, SharqError)
            else _result(job, next(outcomes), f"jobs[{index}].interval")
            for index, job in enumerate(jobs)
        ]
        return answer(QueuedJobs(results=results))


def _result(job: NewJob, outcome: Enqueued | SharqError, interval_field: str) -> Queued | Failed:
    if isinstance(outcome, SharqError):
        return failed(outcome)
    try:
        return _queued(job, outcome, True, interval_field)
    except SharqError as error:
        return failed(error)


def _queued(job: NewJob, outcome: Enqueued, with_id: bool, interval_field: str) -> Queued:
    """The answer of a job that is queued, now or before; raises what refused it."""
    if outcome.status is EnqueueStatus.FULL:
        raise QueueFull(outcome.queue_length)
    if outcome.status is EnqueueStatus.NO_INTERVAL:
        raise InvalidRequest(f"{interval_field}: required, for this queue has none yet")
    return Queued(
        job_id=job.job_id if with_id else UNSET,
        duplicate=True if outcome.status is EnqueueStatus.DUPLICATE else UNSET,
        current_queue_length=UNSET if job.max_queued_length is None else outcome.queue_length,
    )
