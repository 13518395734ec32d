"""Handlers of what is where: the original's /metrics/, /metrics/<type>/ and /metrics/<type>/<id>/, and /top/<type>/."""

from __future__ import annotations

from msgspec import UNSET

from router import requests
from router.answers import (
    AllCounts,
    Answer,
    MinuteCount,
    QueueCounts,
    QueueIds,
    TopQueueAnswer,
    TopQueuesAnswer,
    answer,
)
from router.dispatch import Dispatch
from router.incoming import Request
from sharq_core.models import MinuteCounts, TopQueue

MAX_UNPAGED_IDS = 100_000
"""Ids in an answer without `limit`: about 4 MB at 40 characters each."""


class CountHandlers:
    """What happened in the last 10 minutes, and where."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    async def all_counts(self, request: Request) -> Answer:
        """Types in use and the counts of all together."""
        requests.no_query(request.query)
        counts = await self._dispatch.counts()
        return answer(
            AllCounts(
                queue_types=counts.queue_types,
                enqueue_counts=_by_minute(counts.enqueue_counts),
                dequeue_counts=_by_minute(counts.dequeue_counts),
            )
        )

    async def queue_ids(self, request: Request) -> Answer:
        """Queues of a type with waiting or leased jobs."""
        queue_type = requests.identifier(request.path_values, "queue_type")
        limit, cursor = requests.page(request.query)
        ids, rest = await self._dispatch.list_queues(queue_type, limit or MAX_UNPAGED_IDS, cursor)
        return answer(QueueIds(queue_ids=ids, cursor=UNSET if rest is None else rest))

    async def queue_counts(self, request: Request) -> Answer:
        """One queue's length, delayed jobs included, and counts."""
        requests.no_query(request.query)
        stats = await self._dispatch.queue(requests.queue_key(request.path_values))
        return answer(
            QueueCounts(
                queue_length=stats.queued + stats.delayed,
                enqueue_counts=_by_minute(stats.enqueue_counts),
                dequeue_counts=_by_minute(stats.dequeue_counts),
            )
        )

    async def top_queues(self, request: Request) -> Answer:
        """The queues of a type that wait longest or hold most."""
        queue_type = requests.identifier(request.path_values, "queue_type")
        by, limit = requests.top(request.query)
        top = await self._dispatch.top_queues(queue_type, by, limit)
        return answer(
            TopQueuesAnswer(queues=[_top_queue(one) for one in top.queues], complete=top.is_complete)
        )


def _top_queue(one: TopQueue) -> TopQueueAnswer:
    return TopQueueAnswer(
        queue_id=one.queue_id,
        queued=one.queued,
        delayed=one.delayed,
        leased=one.leased,
        due_for=None if one.due_for_us is None else one.due_for_us // 1000,
        oldest_age=None if one.oldest_age_us is None else one.oldest_age_us // 1000,
    )


def _by_minute(counts: MinuteCounts) -> MinuteCount:
    return {str(minute_ms): count for minute_ms, count in counts}
