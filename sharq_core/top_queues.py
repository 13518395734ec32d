"""Which of several queues come first. Not here: where they are found (shard/index/top_queues.py)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from heapq import nsmallest
from typing import TypeAlias

from sharq_core.models import TopOrder, TopQueue, TopQueues

_Rank: TypeAlias = tuple[int, str]


def first(queues: Iterable[TopQueue], by: TopOrder, limit: int) -> list[TopQueue]:
    """Up to `limit` queues, foremost first, each once; ties by their ids. Cost: O(n log limit)."""
    each_once = {queue.queue_id: queue for queue in queues}
    return nsmallest(limit, each_once.values(), key=_RANKS[by])


def merge(parts: Iterable[TopQueues], by: TopOrder, limit: int) -> TopQueues:
    """The foremost of several answers about different queues."""
    parts = list(parts)
    queues = first((queue for part in parts for queue in part.queues), by, limit)
    return TopQueues(queues, all(part.is_complete for part in parts))


def _by_age(queue: TopQueue) -> _Rank:
    """By since when it is due, not for how long: partitions are read one after the other."""
    return sys.maxsize if queue.due_since_us is None else queue.due_since_us, queue.queue_id


def _by_depth(queue: TopQueue) -> _Rank:
    return -queue.depth, queue.queue_id


_RANKS: dict[TopOrder, Callable[[TopQueue], _Rank]] = {TopOrder.AGE: _by_age, TopOrder.DEPTH: _by_depth}
