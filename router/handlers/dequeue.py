"""Handler of dequeue, with and without `count` and `wait`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw

from router.api import parsing
from router.api.fields import DEFAULT_QUEUE_TYPE
from router.api.life.trace_values import traceparent_out, tracestate_out
from router.api.response_shapes import BulkDequeueAnswer, DequeuedJob, NothingReadyAnswer, SingleDequeueAnswer
from router.bodies.parser import BodyParser
from router.handlers.caps.reasons import CapReasons
from router.http.request import Request, has_left, is_gone, may_have_left
from router.http.response import NO_STORE_HEADERS, Response
from router.longpoll.dequeues import Polls
from router.settings import RouterSettings
from router.shards.dispatch import Dispatch
from sharq_core.errors import InvalidRequest, SharqError
from sharq_core.models import LeasedJob

log = logging.getLogger(__name__)

LeasedT = TypeVar("LeasedT", DequeuedJob, SingleDequeueAnswer)

_EMPTY_BODY = b'{"status":"failure"}'
_encode = msgspec.json.Encoder().encode


class DequeueHandlers:
    """The handler of dequeue."""

    def __init__(
        self,
        dispatch: Dispatch,
        polls: Polls,
        parser: BodyParser,
        settings: RouterSettings,
        reasons: CapReasons,
    ) -> None:
        self._dispatch = dispatch
        self._polls = polls
        self._parser = parser
        self._settings = settings
        self._reasons = reasons

    async def dequeue(self, request: Request) -> Response:
        """Lease ready jobs of some types. Void the leases again if the client has left (I6)."""
        count, lease_us, wait_us, named = parsing.dequeue(request.query, self._settings)
        queue_types = named or (DEFAULT_QUEUE_TYPE,)
        if "queue_type" in request.path_values:
            queue_types = (parsing.queue_type_of(request.path_values),)
            if named:
                raise InvalidRequest("type: expected no type in the query, because the path names one")
        if request.body_exists:
            await request.parsed(self._parser, parsing.nothing)
        request.may_last = wait_us > 0
        jobs = await self._polls.dequeue(
            queue_types, count or 1, lease_us, wait_us, partial(is_gone, request), request.when_gone
        )
        # Nobody works on jobs that the client does not receive, so they go back at once, not when the leases
        # end.
        if (
            jobs
            and may_have_left(request)
            and await has_left(request, partial(self._polls.void_leases, jobs))
        ):
            await self._polls.void_leases(jobs)
            return Response(_EMPTY_BODY, 404, "gone", NO_STORE_HEADERS)
        if not jobs:
            return Response(await self._nothing_ready(queue_types), 404, "empty", NO_STORE_HEADERS)
        names_type = bool(named)
        body = _encode(
            _leased(SingleDequeueAnswer, jobs[0], names_type)
            if count is None
            else BulkDequeueAnswer(jobs=[_leased(DequeuedJob, job, names_type) for job in jobs])
        )
        return Response(body, headers=NO_STORE_HEADERS)

    async def _nothing_ready(self, queue_types: Sequence[str]) -> bytes:
        """Return the body of an empty answer, with the reason if the shards can tell it."""
        try:
            explanation = await self._dispatch.explain(*queue_types)
        except SharqError as error:
            # The dequeue itself is answered: nothing was ready.
            log.debug("empty_unexplained queue_type=%s error=%r", ",".join(queue_types), error.message)
            return _EMPTY_BODY
        if explanation is None or explanation.blocked_by is None:
            return _EMPTY_BODY
        reason = await self._reasons.of(explanation)
        if reason.text is None:
            return _EMPTY_BODY
        ready_in_us = reason.next_ready_in_us
        return _encode(
            NothingReadyAnswer(
                blocked_by=reason.text,
                next_ready_in=UNSET if ready_in_us is None else -(-ready_in_us // 1000),
            )
        )


def _leased(shape: type[LeasedT], job: LeasedJob, names_type: bool) -> LeasedT:  # noqa: FBT001 - for every job
    """Return the answer for a leased job.

    `lease_expires_at` is rounded down, so that minus a lease of whole ms it is the ms in which the lease started.
    """
    return shape(
        queue_type=job.queue_type if names_type else UNSET,
        queue_id=job.queue_id,
        job_id=job.job_id,
        payload=Raw(job.payload),
        requeues_remaining=job.requeues_remaining,
        current_queue_length=job.queue_length,
        lease=job.lease,
        lease_expires_at=job.leased_until_us // 1000,
        enqueued_at=job.enqueued_at_us // 1000,
        attempt=job.attempt,
        cost=job.cost,
        priority=job.priority,
        expires_at=None if job.expires_at_us is None else job.expires_at_us // 1000,
        traceparent=traceparent_out(job.trace) if job.trace else UNSET,
        tracestate=tracestate_out(job.trace) if job.trace else UNSET,
    )
