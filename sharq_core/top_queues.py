"""Orders queues by age or depth and merges such lists; shard/index/top_queues.py finds the queues."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from heapq import nsmallest
from typing import TypeAlias

from sharq_core.models import TopOrder, TopQueue, TopQueues

_Rank: TypeAlias = tuple[int, str]


def first(queues: Iterable[TopQueue], by: TopOrder, limit: int) -> list[TopQueue]:
    """Return the first `limit` queues in order, without repeats; ties are ordered by id. Cost: O(n log limit)."""
    each_once = {queue.queue_id: queue for queue in queues}
    return nsmallest(limit, each_once.values(), key=_RANKS[by])


def merge(parts: Iterable[TopQueues], by: TopOrder, limit: int) -> TopQueues:
    """Return the first `limit` queues of several answers about different queues."""
    parts = list(parts)
    queues = first((queue for part in parts for queue in part.queues), by, limit)
    return TopQueues(queues, all(part.is_complete for part in parts))


def _by_age(queue: TopQueue) -> _Rank:
    """Rank by the time since which a queue is due. How long it is due depends on when its partition was read."""
    return sys.maxsize if queue.due_since_us is None else queue.due_since_us, queue.queue_id


def _by_depth(queue: TopQueue) -> _Rank:
    return -queue.depth, queue.queue_id


_RANKS: dict[TopOrder, Callable[[TopQueue], _Rank]] = {TopOrder.AGE: _by_age, TopOrder.DEPTH: _by_depth}
