"""Handlers of one queue: change its rate and settings, show, pause, hold, resume and delete it."""

from __future__ import annotations

import logging

from msgspec import UNSET, UnsetType

from router.api import parsing, queue_parsing
from router.api.campaigns.values import unknown_window
from router.api.decoding import to_ms
from router.api.life.answers import retry_answer
from router.api.limits import HOLD_UNTIL_TEXT
from router.api.queue_shapes import DeletedAnswer, QueueAnswer, RateSet
from router.api.response_shapes import Done
from router.bodies.parser import BodyParser
from router.handlers import rate_warnings
from router.handlers.caps.reasons import CapReasons, Reason
from router.http.request import Request
from router.http.response import Response, answer
from router.shards.dispatch import Dispatch
from sharq_core.errors import InvalidRequest, NotFound, SharqError
from sharq_core.limits import PauseStatus
from sharq_core.link.control_calls import HoldQueue, SetQueue
from sharq_core.link.messages import DeleteQueue, SetPaused, SetRate
from sharq_core.models import QueueKey, QueueStats
from sharq_core.rates import write_rate

log = logging.getLogger(__name__)

_UNKNOWN_QUEUE = "no such queue"


class QueueHandlers:
    """The handlers of one queue."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser, reasons: CapReasons) -> None:
        self._dispatch = dispatch
        self._parser = parser
        self._reasons = reasons

    async def interval(self, request: Request) -> Response:
        """Change the rate, and pin or unpin it."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        interval_us, burst, pin = await request.parsed(self._parser, queue_parsing.rate)
        if not await self._dispatch.route(SetRate(key, interval_us, burst, pin)):
            raise NotFound(_UNKNOWN_QUEUE)
        return answer(RateSet(warning=await self._warning(key, interval_us, burst)))

    async def _warning(self, key: QueueKey, interval_us: int, burst: float | None) -> str | UnsetType:
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
        return await self._state(stats)

    async def set_queue(self, request: Request) -> Response:
        """Change settings of the queue, which is created if need be, and return its state."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        settings = await request.parsed(self._parser, queue_parsing.queue_settings)
        stats = await self._dispatch.route(SetQueue(key, settings))
        if stats.is_window_unknown:
            raise unknown_window(settings.window)
        return await self._state(stats)

    async def _state(self, stats: QueueStats) -> Response:
        """Return the answer for a queue, with the cap that holds it back."""
        return answer(queue_answer(stats, await self._reasons.of_queue(stats)))

    async def pause(self, request: Request) -> Response:
        """Pause the queue, or hold it for or until a time: it accepts jobs but hands none out."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        pause = await request.parsed(self._parser, queue_parsing.pause)
        if not pause.is_hold:
            return _done(was_found=await self._dispatch.route(SetPaused(key, is_paused=True)))
        status = await self._dispatch.route(HoldQueue(key, pause.hold_us, pause.until_us))
        if status in (PauseStatus.PAST, PauseStatus.TOO_LONG):
            raise InvalidRequest(f"until: expected {HOLD_UNTIL_TEXT}")
        return _done(was_found=status is PauseStatus.DONE)

    async def resume(self, request: Request) -> Response:
        """Resume the queue: end its pause and its hold."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        await request.parsed(self._parser, parsing.nothing)
        return _done(was_found=await self._dispatch.route(SetPaused(key, is_paused=False)))

    async def deletequeue(self, request: Request) -> Response:
        """Drop the queued and delayed jobs of the queue."""
        parsing.no_query(request.query)
        key = parsing.queue_key(request.path_values)
        purge = await request.parsed(self._parser, queue_parsing.purge_all)
        deleted = await self._dispatch.route(DeleteQueue(key, purge))
        if deleted.cancelled == 0:
            return answer(DeletedAnswer(status="Failure", message="No queued calls found"))
        purged = " and purged related resources" if purge else ""
        return answer(
            DeletedAnswer(status="Success", message=f"Successfully removed all queued calls{purged}")
        )


def _done(*, was_found: bool) -> Response:
    if not was_found:
        raise NotFound(_UNKNOWN_QUEUE)
    return answer(Done())


def queue_answer(stats: QueueStats, reason: Reason) -> QueueAnswer:
    """Return the answer for a queue.

    The time until the queue is ready is rounded up, so that the queue is ready after it. An age is rounded down.
    """
    ready_in_us, age_us, held_us = reason.next_ready_in_us, stats.oldest_age_us, stats.held_until_us
    return QueueAnswer(
        interval=to_ms(stats.interval_us),
        rate=write_rate(stats.interval_us),
        burst=stats.burst,
        pinned=stats.is_pinned,
        paused=stats.is_paused,
        queued=stats.queued,
        delayed=stats.delayed,
        leased=stats.leased,
        dead=stats.dead,
        max_leased=stats.max_leased,
        weight=stats.weight,
        held_until=None if held_us is None else -(-held_us // 1000),
        retry=None if stats.retry is None else retry_answer(stats.retry),
        expires=None if stats.expires_us is None else to_ms(stats.expires_us),
        on_expiry=stats.on_expiry,
        window=stats.window,
        caps=list(stats.caps),
        settings=list(stats.settings),
        blocked_by=reason.text,
        next_ready_in=None if ready_in_us is None else -(-ready_in_us // 1000),
        oldest_age=None if age_us is None else age_us // 1000,
    )
