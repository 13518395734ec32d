"""Handlers of counts: the original's /metrics/, /metrics/<type>/ and /metrics/<type>/<id>/, and /top/<type>/."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Sequence

from msgspec import UNSET

from router.api import parsing, queue_parsing
from router.api.queue_shapes import MinuteCount, QueueCounts, QueueIds, TopQueueAnswer, TopQueuesAnswer
from router.handlers.list_answers import list_answer, list_pieces
from router.http.request import Request
from router.http.response import Response, answer
from router.shards.dispatch import Dispatch
from sharq_core.models import MinuteCounts
from sharq_core.top_queues import TopQueue

PAGE_IDS = 2000
"""Number of ids or types in one piece of an answer without `limit`. A piece takes about 2 ms."""


class CountHandlers:
    """The handlers of the counts of the last 10 minutes and of the lists of queues."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    async def all_counts(self, request: Request) -> Response:
        """Return the types in use and the counts of all queues together.

        A caller who may not see all types gets no counts: they are not known by type.
        """
        parsing.no_query(request.query)
        parts = await self._dispatch.counts()
        counted = parts if request.token is None or request.token.types is None else []
        minutes = {
            "enqueue_counts": _by_minute(_sum_minutes([part.enqueue_counts for part in counted])),
            "dequeue_counts": _by_minute(_sum_minutes([part.dequeue_counts for part in counted])),
        }
        types = _type_pages([part.queue_types for part in parts], request.sees)
        return await list_answer(list_pieces("queue_types", types, lambda: minutes))

    async def queue_ids(self, request: Request) -> Response:
        """Return the queues of a type that have queued, delayed or leased jobs."""
        queue_type = parsing.queue_type_of(request.path_values)
        limit, cursor = parsing.page(request.query)
        if limit is None:
            return await list_answer(list_pieces("queue_ids", self._id_pages(queue_type, cursor), dict))
        ids, next_cursor = await self._dispatch.list_queues(queue_type, limit, cursor)
        return answer(QueueIds(queue_ids=ids, cursor=UNSET if next_cursor is None else next_cursor))

    async def _id_pages(self, queue_type: str, cursor: str | None) -> AsyncIterator[list[str]]:
        """Yield all ids of a type, each once, a page at a time."""
        # The store may return an id twice, but only within a partition, so only the ids of that partition are kept.
        # A cursor starts with its partition.
        seen: set[str] = set()
        while True:
            ids, next_cursor = await self._dispatch.list_queues(queue_type, PAGE_IDS, cursor)
            yield [queue_id for queue_id in ids if queue_id not in seen]
            if next_cursor is None:
                return
            if cursor is None or next_cursor.partition("-")[0] != cursor.partition("-")[0]:
                seen.clear()
            seen.update(ids)
            cursor = next_cursor

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
        top = await self._dispatch.top_queues(queue_type, by, limit)
        return answer(
            TopQueuesAnswer(queues=[_top_queue(queue) for queue in top.queues], complete=top.is_complete)
        )


async def _type_pages(parts: Sequence[list[str]], sees: Callable[[str], bool]) -> AsyncIterator[list[str]]:
    """Yield the seen types of several sorted lists in order, each once. They are merged lazily: there may be many."""
    merged = (queue_type for queue_type, _ in itertools.groupby(heapq.merge(*parts)))
    while page := list(itertools.islice(merged, PAGE_IDS)):
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
