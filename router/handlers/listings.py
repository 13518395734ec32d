"""Handlers of the lists of queues and types with their numbers: /queues/<type>/ and /types/."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import takewhile

from msgspec import UNSET

from router.api import parsing, queue_parsing
from router.api.decoding import to_ms
from router.api.fields import MAX_PAGE
from router.api.queue_shapes import QueueRow, QueueRows, TypeRowAnswer
from router.handlers.caps.reasons import Asking, CapReasons, Reason
from router.handlers.list_answers import end_of, list_answer, list_pieces
from router.http.request import Request
from router.http.response import Response, answer
from router.shards.dispatch import Dispatch
from router.shards.walks.unread import Unread
from sharq_core.limits import Explanation, TypeSummary
from sharq_core.models import QueueKey, QueueStats
from sharq_core.pieces import in_pieces
from sharq_core.rates import delivered, promised, write_rate
from sharq_core.top_queues import TopOrder

ROWS_AT_ONCE = 500
"""Types of a list that are filtered or encoded before other work has its turn."""


class ListingHandlers:
    """The handlers of the lists of queues and types."""

    def __init__(self, dispatch: Dispatch, reasons: CapReasons) -> None:
        self._dispatch = dispatch
        self._reasons = reasons

    async def queues(self, request: Request) -> Response:
        """Return a page of the queues of a type, or the first ones of an order, with their numbers."""
        queue_type = parsing.queue_type_of(request.path_values)
        page = queue_parsing.queues(request.query)
        if page.by is not None:
            return await self._first_queues(queue_type, page.by, page.limit)
        walk = self._dispatch.list_queue_stats(queue_type, page.limit, page.cursor, page.search)
        asking = Asking()
        rows = (await self._rows(list(found.items()), asking) async for found in walk.pages())
        return await list_answer(list_pieces("queues", rows, lambda: end_of(walk.cursor, walk.unread)))

    async def types(self, request: Request) -> Response:
        """Return a page of the types that the caller sees, in the order of their names, with their numbers."""
        limit, after = queue_parsing.types(request.query)
        unread = Unread(self._dispatch.partitions)
        types, cursor = await self._seen_types(request, limit, after, unread)
        return await list_answer(
            list_pieces("types", self._type_rows(types), lambda: end_of(cursor, unread), max_bytes=None)
        )

    async def _type_rows(self, types: list[TypeSummary]) -> AsyncIterator[list[TypeRowAnswer]]:
        asking = Asking()
        async for some in in_pieces(types, ROWS_AT_ONCE):
            explanations = [Explanation(summary.blocked_by, None, summary.caps) for summary in some]
            yield list(map(_type_row, some, await self._reasons.of_all(explanations, asking)))

    async def _seen_types(
        self, request: Request, limit: int, after: str, unread: Unread
    ) -> tuple[list[TypeSummary], str | None]:
        """Return the first types after a name that the caller sees, and the cursor (None at the end).

        The page is short if the shards explained no more types. Each read visits all types anyway, so reads of many
        types are cheaper if the caller sees few of them.
        """
        sees_all = request.token is None or request.token.types is None
        wanted = limit if sees_all else MAX_PAGE
        seen: list[TypeSummary] = []
        while True:
            types = await self._dispatch.list_types(wanted, after, unread)
            visible = [
                summary
                async for some in in_pieces(types, ROWS_AT_ONCE)
                for summary in some
                if request.sees(summary.queue_type)
            ]
            explained = list(takewhile(lambda summary: summary.is_explained, visible))
            is_cut = len(explained) < len(visible)
            seen = [*seen, *explained][:limit]
            if len(seen) == limit or (seen and is_cut):
                return seen, seen[-1].queue_type
            if len(types) < wanted and not is_cut:
                return seen, None
            # The first type that a read begins with is always explained.
            last = types[types.index(visible[0]) - 1] if is_cut else types[-1]
            after = last.queue_type

    async def _first_queues(self, queue_type: str, by: TopOrder, limit: int) -> Response:
        unread = Unread(self._dispatch.partitions)
        top = await self._dispatch.top_queues(queue_type, by, limit, unread)
        ids = [queue.queue_id for queue in top.queues]
        stats = await asyncio.gather(
            *(self._dispatch.queue(QueueKey(queue_type, queue_id)) for queue_id in ids)
        )
        # A queue may have been deleted since it was found.
        known = [queue for queue in zip(ids, stats, strict=True) if queue[1].is_known]
        rows = await self._rows(known, Asking())
        return answer(
            QueueRows(
                queues=rows,
                cursor=None,
                complete=top.is_complete,
                unread_partitions=unread.partitions or UNSET,
            )
        )

    async def _rows(self, queues: list[tuple[str, QueueStats]], asking: Asking) -> list[QueueRow]:
        """Return the rows of queues, with the caps that hold them back."""
        reasons = await self._reasons.of_queues([stats for _, stats in queues], asking)
        return [_queue_row(*queue, reason) for queue, reason in zip(queues, reasons, strict=True)]


def _queue_row(queue_id: str, stats: QueueStats, reason: Reason) -> QueueRow:
    ready_in_us, age_us = reason.next_ready_in_us, stats.oldest_age_us
    return QueueRow(
        queue_id=queue_id,
        interval=to_ms(stats.interval_us),
        rate=write_rate(stats.interval_us),
        burst=stats.burst,
        queued=stats.queued,
        delayed=stats.delayed,
        leased=stats.leased,
        dead=stats.dead,
        max_leased=stats.max_leased,
        caps=list(stats.caps),
        delivered=delivered(stats),
        promised=promised(stats),
        blocked_by=reason.text,
        next_ready_in=None if ready_in_us is None else -(-ready_in_us // 1000),
        oldest_age=None if age_us is None else age_us // 1000,
    )


def _type_row(summary: TypeSummary, reason: Reason) -> TypeRowAnswer:
    return TypeRowAnswer(
        queue_type=summary.queue_type,
        queued=summary.queued,
        delayed=summary.delayed,
        leased=summary.leased,
        dead=summary.dead,
        enqueued=summary.enqueued_in_minute,
        delivered=summary.leased_in_minute,
        blocked_by=reason.text,
    )
