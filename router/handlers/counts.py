"""Handlers of counts: the original's /metrics/, /metrics/<type>/ and /metrics/<type>/<id>/, and /top/<type>/."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from msgspec import UNSET

from router.api import parsing, queue_parsing
from router.api.queue_shapes import MinuteCount, QueueCounts, TopQueueAnswer, TopQueuesAnswer
from router.handlers.list_answers import MAX_LIST_BYTES, list_answer, list_pieces, unread_fields
from router.http.request import Request
from router.http.response import Response, answer
from router.shards.dispatch import Dispatch
from router.shards.walks.unread import Unread
from sharq_core.models import MinuteCounts
from sharq_core.top_queues import TopQueue

PAGE_TYPES = 2000
"""Number of types in one piece of an answer. A piece takes about 2 ms."""


class CountHandlers:
    """The handlers of the counts of the last 10 minutes and of the lists of queues."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    async def all_counts(self, request: Request) -> Response:
        """Return the types in use and the counts of all queues together.

        A caller who may not see all types gets no counts: they are not known by type.
        """
        parsing.no_query(request.query)
        unread = Unread(self._dispatch.partitions)
        parts = await self._dispatch.counts(unread)
        counted = parts if request.token is None or request.token.types is None else []
        minutes = {
            "enqueue_counts": _by_minute(_sum_minutes([part.enqueue_counts for part in counted])),
            "dequeue_counts": _by_minute(_sum_minutes([part.dequeue_counts for part in counted])),
        }
        types = _type_pages([part.queue_types for part in parts], request.sees)
        end = minutes | unread_fields(unread)
        return await list_answer(list_pieces("queue_types", types, lambda: end, max_bytes=None))

    async def queue_ids(self, request: Request) -> Response:
        """Return the queues of a type that have queued, delayed or leased jobs."""
        queue_type = parsing.queue_type_of(request.path_values)
        limit, cursor = parsing.page(request.query)
        walk = self._dispatch.list_queues(queue_type, limit, cursor)
        pages = (list(page) async for page in walk.pages())

        def end() -> dict[str, Any]:
            cursor = {} if walk.cursor is None else {"cursor": walk.cursor}
            return cursor | unread_fields(walk.unread)

        return await list_answer(
            list_pieces("queue_ids", pages, end, max_bytes=None if limit is None else MAX_LIST_BYTES)
        )

    async def queue_counts(self, request: Request) -> Response:
        """Return the length of a queue, delayed jobs included, and its counts."""
        parsing.no_query(request.query)
        stats = await self._dispatch.queue(parsing.queue_key(request.path_values))
        return answer(
            QueueCounts(
                queue_length=stats.queued + stats.delayed,
                enqueue_counts=_by_minute(stats.enqueue_counts),
                dequeue_counts=_by_minute(stats.dequeue_counts),
            )
        )

    async def top_queues(self, request: Request) -> Response:
        """Return the queues of a type that have been ready longest or hold the most jobs."""
        queue_type = parsing.queue_type_of(request.path_values)
        by, limit = queue_parsing.top(request.query)
        unread = Unread(self._dispatch.partitions)
        top = await self._dispatch.top_queues(queue_type, by, limit, unread)
        return answer(
            TopQueuesAnswer(
                queues=[_top_queue(queue) for queue in top.queues],
                complete=top.is_complete,
                unread_partitions=unread.partitions or UNSET,
            )
        )


async def _type_pages(parts: Sequence[list[str]], sees: Callable[[str], bool]) -> AsyncIterator[list[str]]:
    """Yield the seen types of several sorted lists in order, each once. They are merged lazily: there may be many."""
    merged = (queue_type for queue_type, _ in itertools.groupby(heapq.merge(*parts)))
    while page := list(itertools.islice(merged, PAGE_TYPES)):
        yield list(filter(sees, page))
        await asyncio.sleep(0)


def _top_queue(queue: TopQueue) -> TopQueueAnswer:
    return TopQueueAnswer(
        queue_id=queue.queue_id,
        queued=queue.queued,
        delayed=queue.delayed,
        leased=queue.leased,
        due_for=None if queue.due_for_us is None else queue.due_for_us // 1000,
        oldest_age=None if queue.oldest_age_us is None else queue.oldest_age_us // 1000,
    )


def _by_minute(counts: MinuteCounts) -> MinuteCount:
    return {str(minute_ms): count for minute_ms, count in counts}


def _sum_minutes(parts: list[MinuteCounts]) -> MinuteCounts:
    """Return the sums by minute, the newest ten: the answers of shards may lie on both sides of a full minute."""
    sums: dict[int, int] = {}
    for part in parts:
        for minute_ms, count in part:
            sums[minute_ms] = sums.get(minute_ms, 0) + count
    return sorted(sums.items())[-10:]
