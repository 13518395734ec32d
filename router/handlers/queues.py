"""Handlers of one queue: change its rate, show, pause, resume and delete it."""

from __future__ import annotations

import logging

from msgspec import UNSET, UnsetType

from router.api import parsing
from router.bodies.parser import BodyParser
from router.handlers import rate_warnings
from router.http.request import Request
from router.http.response import DeletedAnswer, Done, QueueAnswer, RateSet, Response, answer
from router.shards.dispatch import Dispatch
from sharq_core.errors import NotFound, SharqError
from sharq_core.models import QueueKey, QueueStats

log = logging.getLogger(__name__)

_UNKNOWN_QUEUE = "no such queue"


class QueueHandlers:
    """The handlers of one queue."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser) -> None:
        self._dispatch = dispatch
        self._parser = parser

    async def interval(self, request: Request) -> Response:
        """Change the rate, and pin or unpin it."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        interval_us, burst, pin = await self._parser.run(parsing.rate, await request.body())
        if not await self._dispatch.set_rate(key, interval_us, burst, pin):
            raise NotFound(_UNKNOWN_QUEUE)
        return answer(RateSet(warning=await self._warning(key, interval_us, burst)))

    async def _warning(self, key: QueueKey, interval_us: int, burst: int | None) -> str | UnsetType:
        """Return the warning about a rate that is not kept, and log it; UNSET if the rate is kept.

        If the request has no burst, the queue's own burst counts.
        """
        text = rate_warnings.warning(interval_us, burst)
        if text is not None and burst is None:
            try:
                text = rate_warnings.warning(interval_us, (await self._dispatch.queue(key)).burst)
            except SharqError as error:
                log.debug("burst_unknown error=%r", error.message)
        if text is None:
            return UNSET
        rate_warnings.unkept.note(key.queue_type, key.queue_id, text)
        return text

    async def queue(self, request: Request) -> Response:
        """Return the state of the queue."""
        parsing.no_query(request.query)
        stats = await self._dispatch.queue(parsing.queue_key(request.path_values))
        if not stats.is_known:
            raise NotFound(_UNKNOWN_QUEUE)
        return answer(_queue_answer(stats))

    async def pause(self, request: Request) -> Response:
        """Pause the queue: it accepts jobs but hands none out."""
        return await self._set_paused(request, is_paused=True)

    async def resume(self, request: Request) -> Response:
        """Resume the queue."""
        return await self._set_paused(request, is_paused=False)

    async def _set_paused(self, request: Request, is_paused: bool) -> Response:
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        await self._parser.run(parsing.nothing, await request.body())
        return _done(await self._dispatch.set_paused(key, is_paused))

    async def deletequeue(self, request: Request) -> Response:
        """Drop the queued and delayed jobs of the queue."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        purge = await self._parser.run(parsing.purge_all, await request.body())
        deleted = await self._dispatch.delete_queue(key, purge)
        if deleted.cancelled == 0:
            return answer(DeletedAnswer(status="Failure", message="No queued calls found"))
        purged = " and purged related resources" if purge else ""
        return answer(
            DeletedAnswer(status="Success", message=f"Successfully removed all queued calls{purged}")
        )


def _done(was_found: bool) -> Response:
    if not was_found:
        raise NotFound(_UNKNOWN_QUEUE)
    return answer(Done())


def _queue_answer(stats: QueueStats) -> QueueAnswer:
    """Return the answer for a queue.

    The time until the queue is ready is rounded up, so that the queue is ready after it. An age is rounded down.
    """
    whole_ms, rest_us = divmod(stats.interval_us, 1000)
    ready_in_us, age_us = stats.next_ready_in_us, stats.oldest_age_us
    return QueueAnswer(
        interval=stats.interval_us / 1000 if rest_us else whole_ms,
        burst=int(stats.burst),
        pinned=stats.is_pinned,
        paused=stats.is_paused,
        queued=stats.queued,
        delayed=stats.delayed,
        leased=stats.leased,
        next_ready_in=None if ready_in_us is None else -(-ready_in_us // 1000),
        oldest_age=None if age_us is None else age_us // 1000,
    )
