"""Handlers of enqueue, single and bulk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from msgspec import UNSET, UnsetType, json, structs

from router.api import parsing
from router.api.campaigns.values import needs_rate, too_many_windows, unknown_window
from router.api.life.trace_values import TRACEPARENT, with_trace_of
from router.api.life.values import early_expiry
from router.api.response_shapes import FailureAnswer, Queued, QueuedJobs, count_failed
from router.bodies.parser import BodyParser
from router.handlers import rate_warnings
from router.http.errors import failed
from router.http.request import Request
from router.http.response import Response, answer
from router.settings import RouterSettings
from router.shards.dispatch import Dispatch
from sharq_core.errors import BatchCancelled, QueueFull, SharqError
from sharq_core.link.messages import Enqueue
from sharq_core.models import Enqueued, EnqueueStatus, NewJob

_QUEUED_BODY = b'{"status":"queued"}'


class EnqueueHandlers:
    """The handlers of enqueue."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser, settings: RouterSettings) -> None:
        self._dispatch = dispatch
        self._parser = parser
        self._settings = settings

    async def enqueue(self, request: Request) -> Response:
        """Enqueue one job into the queue that the path names."""
        parsing.no_query(request.query)
        job, has_new_id = await request.parsed(
            self._parser, parsing.enqueue, request.path_values, self._settings
        )
        if TRACEPARENT in request.headers and not job.trace:
            job = with_trace_of(job, request.headers)
        outcome = await self._dispatch.route_job(Enqueue, job)
        warning = _warn(job) if 0 < (job.interval_us or 0) < rate_warnings.SURE_FROM_US else UNSET
        if outcome.status is EnqueueStatus.QUEUED and job.max_queued_length is None and not has_new_id:
            return Response(_QUEUED_BODY if warning is UNSET else _warned_body(warning), 201)
        result = "duplicate" if outcome.status is EnqueueStatus.DUPLICATE else "ok"
        queued = _queued(job, outcome, "", with_id=has_new_id)
        return answer(structs.replace(queued, warning=warning), 201, result)

    async def enqueue_bulk(self, request: Request) -> Response:
        """Enqueue up to 1,000 jobs, each with its own result."""
        parsing.no_query(request.query)
        jobs = await request.parsed(self._parser, parsing.enqueue_bulk, self._settings)
        outcomes = iter(await self._dispatch.enqueue([job for job in jobs if isinstance(job, NewJob)]))
        results = [
            failed(job) if isinstance(job, SharqError) else _result(job, next(outcomes), f"jobs[{index}].")
            for index, job in enumerate(jobs)
        ]
        return answer(QueuedJobs(failed=count_failed(results), warning=_warning(jobs), results=results))


@lru_cache(1000)
def _warned_body(warning: str) -> bytes:
    return json.encode(Queued(warning=warning))


def _warn(job: NewJob) -> str | UnsetType:
    """Return the warning about the rate of a job, and log it; UNSET if the rate is kept."""
    text = rate_warnings.warning(job.interval_us or 0, job.burst)
    if text is None:
        return UNSET
    rate_warnings.unkept.note(job.queue_type, job.queue_id, text)
    return text


def _warning(jobs: Sequence[NewJob | SharqError]) -> str | UnsetType:
    """Return one warning for the whole call: the first job's, and the number of jobs that have one."""
    unkept = [
        index
        for index, job in enumerate(jobs)
        if isinstance(job, NewJob)
        and job.interval_us
        and job.interval_us < rate_warnings.SURE_FROM_US
        and rate_warnings.warning(job.interval_us, job.burst) is not None
    ]
    if not unkept:
        return UNSET
    first = jobs[unkept[0]]
    assert isinstance(first, NewJob)
    total = f"; this applies to {len(unkept)} of the {len(jobs)} jobs" if len(unkept) > 1 else ""
    return f"jobs[{unkept[0]}].{_warn(first)}{total}"


def _result(job: NewJob, outcome: Enqueued | SharqError, place: str) -> Queued | FailureAnswer:
    if isinstance(outcome, SharqError):
        return failed(outcome)
    try:
        return _queued(job, outcome, place, with_id=True)
    except SharqError as error:
        return failed(error)


def _queued(job: NewJob, outcome: Enqueued, place: str, *, with_id: bool) -> Queued:
    """Return the answer for a job that is queued, now or before; raise the error that refused it.

    Args:
        place: the path of its fields in the body, as `jobs[3].`; empty for the body itself.
    """
    if outcome.status is EnqueueStatus.FULL:
        raise QueueFull(outcome.queue_length)
    if outcome.status is EnqueueStatus.NO_INTERVAL:
        raise needs_rate(place)
    if outcome.status is EnqueueStatus.EXPIRES_EARLY:
        raise early_expiry(is_absolute=job.expires_at_us is not None, place=place)
    if outcome.status is EnqueueStatus.UNKNOWN_WINDOW:
        raise unknown_window(job.window, place)
    if outcome.status is EnqueueStatus.TOO_MANY_WINDOWS:
        raise too_many_windows(place)
    if outcome.status is EnqueueStatus.BATCH_CANCELLED:
        raise BatchCancelled(f"{place}batch: this batch is cancelled")
    return Queued(
        job_id=job.job_id if with_id else UNSET,
        duplicate=True if outcome.status is EnqueueStatus.DUPLICATE else UNSET,
        current_queue_length=UNSET if job.max_queued_length is None else outcome.queue_length,
    )
