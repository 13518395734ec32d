"""Defines lists of queues by age or depth, and orders and merges them; shard/index/top_queues.py finds the queues."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterable
from heapq import nsmallest
from typing import TypeAlias

import msgspec

_Rank: TypeAlias = tuple[int, str]


class TopOrder(enum.StrEnum):
    """The order of a list of queues."""

    AGE = "age"
    """The longest due queue first, that is, the one that has been ready to be leased from for longest."""
    DEPTH = "depth"
    """The queue with the most queued and delayed jobs first."""
    DEAD = "dead"
    """The queue with the most dead letters first; queues without any are left out."""


class TopQueue(msgspec.Struct, frozen=True, array_like=True):
    """A queue in a list of top queues.

    Attributes:
        due_since_us: the time since which it has been due, by its server's clock; None if it is not due.
        due_for_us: how long it has been due; None if it is not due.
        oldest_age_us: time since the job at the head was enqueued; None if nothing is queued.
        dead: number of dead letters, only in their order. That order tells none of the other numbers.
    """

    queue_id: str
    queued: int
    delayed: int
    leased: int
    due_since_us: int | None
    due_for_us: int | None
    oldest_age_us: int | None
    dead: int = 0

    @property
    def depth(self) -> int:
        """The number of queued and delayed jobs."""
        return self.queued + self.delayed


class TopQueues(msgspec.Struct, frozen=True, array_like=True):
    """The first queues in the requested order.

    Attributes:
        is_complete: True if every queue was read.
    """

    queues: list[TopQueue]
    is_complete: bool


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


def _by_dead(queue: TopQueue) -> _Rank:
    return -queue.dead, queue.queue_id


_RANKS: dict[TopOrder, Callable[[TopQueue], _Rank]] = {
    TopOrder.AGE: _by_age,
    TopOrder.DEPTH: _by_depth,
    TopOrder.DEAD: _by_dead,
}
