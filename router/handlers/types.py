"""Handlers of types: the limits of gathered types, and the pauses of all queues of a type and of everything."""

from __future__ import annotations

from msgspec import UNSET, structs

from router.api import parsing, type_parsing
from router.api.campaigns.quota_parsing import quota_answer
from router.api.campaigns.values import unknown_window
from router.api.decoding import to_ms
from router.api.life.answers import retry_answer
from router.api.queue_shapes import LimitAnswer, TypeAnswer
from router.api.response_shapes import Done
from router.bodies.parser import BodyParser
from router.handlers import rate_warnings
from router.handlers.caps.reasons import CapReasons, Reason
from router.http.request import Request
from router.http.response import Response, answer
from router.shards.dispatch import Dispatch
from router.shards.upgrade import CAMPAIGNS, LIFE
from router.shards.walks.everywhere import changed_at_home
from sharq_core.limits import Limit, TypeSettings, TypeStats
from sharq_core.link.control_calls import GetTypeStats, SetType
from sharq_core.partitions import partition_of
from sharq_core.rates import write_rate


class TypeHandlers:
    """The handlers of gathered types, and of pauses that every partition keeps until they are resumed."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser, reasons: CapReasons) -> None:
        self._dispatch = dispatch
        self._parser = parser
        self._reasons = reasons

    async def show_type(self, request: Request) -> Response:
        """Return the state of a gathered type."""
        parsing.no_query(request.query)
        queue_type = type_parsing.gathered_type(request.path_values)
        stats = await self._dispatch.route(GetTypeStats(queue_type, self._partition(queue_type)))
        return answer(type_answer(stats, await self._reasons.of_type(stats)))

    async def set_type(self, request: Request) -> Response:
        """Change settings of a gathered type, and return its state with a warning about a rate that is not kept."""
        parsing.no_query(request.query)
        queue_type = type_parsing.gathered_type(request.path_values)
        settings = await request.parsed(self._parser, type_parsing.type_settings)
        call = SetType(queue_type, self._partition(queue_type), settings)
        stats = await changed_at_home(self._dispatch.route, call)
        if stats.is_window_unknown:
            raise unknown_window(settings.window)
        warnings = [text for limit in settings.limits or () if (text := rate_warnings.limit_warning(limit))]
        shown = type_answer(stats, await self._reasons.of_type(stats))
        return answer(structs.replace(shown, warning=warnings[0] if warnings else UNSET))

    async def clear_type(self, request: Request) -> Response:
        """Clear all settings of a gathered type but its pause, and return its state."""
        parsing.no_query(request.query)
        queue_type = type_parsing.gathered_type(request.path_values)
        await request.parsed(self._parser, parsing.nothing)
        call = SetType(queue_type, self._partition(queue_type), _cleared(self._dispatch.formats))
        stats = await changed_at_home(self._dispatch.route, call)
        return answer(type_answer(stats, await self._reasons.of_type(stats)))

    async def pause_type(self, request: Request) -> Response:
        """Pause all queues of a type, those that come later, too."""
        return await self._set_type_paused(request, is_paused=True)

    async def resume_type(self, request: Request) -> Response:
        """Resume a paused type. Queues that are paused themselves stay paused."""
        return await self._set_type_paused(request, is_paused=False)

    async def pause_all(self, request: Request) -> Response:
        """Pause all queues of all types, those that come later, too."""
        return await self._set_all_paused(request, is_paused=True)

    async def resume_all(self, request: Request) -> Response:
        """End the pause of everything. Types and queues that are paused themselves stay paused."""
        return await self._set_all_paused(request, is_paused=False)

    async def _set_type_paused(self, request: Request, *, is_paused: bool) -> Response:
        parsing.no_query(request.query)
        queue_type = parsing.queue_type_of(request.path_values)
        await request.parsed(self._parser, parsing.nothing)
        await self._dispatch.pause_type(queue_type, is_paused=is_paused)
        return answer(Done())

    async def _set_all_paused(self, request: Request, *, is_paused: bool) -> Response:
        parsing.no_query(request.query)
        await request.parsed(self._parser, parsing.nothing)
        await self._dispatch.pause_all(is_paused=is_paused)
        return answer(Done())

    def _partition(self, queue_type: str) -> int:
        """Return the partition of a gathered type."""
        return partition_of(queue_type, "", self._dispatch.partitions)


def _cleared(formats: int) -> TypeSettings:
    """Return the change that clears all settings which every shard knows."""
    if formats >= CAMPAIGNS:
        return type_parsing.CLEARED
    return type_parsing.CLEARED_LIFE if formats >= LIFE else type_parsing.CLEARED_LIMITS


def type_answer(stats: TypeStats, reason: Reason) -> TypeAnswer:
    """Return the answer for a gathered type; times until something happens are rounded up."""
    ready_in_us, held_us = reason.next_ready_in_us, stats.held_until_us
    return TypeAnswer(
        limits=list(map(limit_answer, stats.limits)),
        max_leased=stats.max_leased,
        paused=stats.is_paused,
        held_until=None if held_us is None else -(-held_us // 1000),
        queued=stats.queued,
        delayed=stats.delayed,
        leased=stats.leased,
        dead=stats.dead,
        retry=None if stats.retry is None else retry_answer(stats.retry),
        expires=None if stats.expires_us is None else to_ms(stats.expires_us),
        on_expiry=stats.on_expiry,
        window=stats.window,
        quotas=[quota_answer(use) for use in stats.quotas],
        queues=stats.queues,
        blocked_by=reason.text,
        next_ready_in=None if ready_in_us is None else -(-ready_in_us // 1000),
    )


def limit_answer(limit: Limit) -> LimitAnswer:
    """Return the answer for one limit of a gathered type or of a cap."""
    return LimitAnswer(
        interval=to_ms(limit.interval_us),
        rate=write_rate(limit.interval_us) or "",
        burst=limit.burst,
        unit=limit.unit,
    )
