"""Explains why a dequeue of a type gets nothing from this node's partitions, and remembers it for a second.

Idle workers poll all the time, so a reason is read from the store once a second at most. Any call about the type drops
what is remembered. Not here: the reason of one partition (scheduler/lua/explain.lua).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic

import msgspec

from shard.batching.pipeline import Pipeline
from sharq_core.limits import Explanation
from sharq_core.partitions import is_gathered, partition_of
from sharq_core.scheduler.limit_calls import TypeCalls
from sharq_core.type_parts import merge_explanations

REMEMBERED_S = 1.0

MAX_TYPES = 10_000
"""Most types whose reasons are remembered; past that, all are forgotten."""

PARTITIONS_AT_ONCE = 64
"""Partitions that are read concurrently."""


class _Remembered(msgspec.Struct, frozen=True, gc=False):
    """An explanation and the time (time.monotonic) at which it was read."""

    explanation: Explanation
    read_at: float


class Explanations:
    """The reasons of the types that workers polled in vain.

    Args:
        covered: returns the partitions that this node serves.
        partitions: the number of all partitions.

    Attributes:
        by_type: the last read of each type, under way or done, unless a call about the type has come since.
    """

    def __init__(
        self, pipeline: Pipeline, calls: TypeCalls, covered: Callable[[], list[int]], partitions: int
    ) -> None:
        self.by_type: dict[str, asyncio.Task[_Remembered]] = {}
        self._pipeline = pipeline
        self._calls = calls
        self._covered = covered
        self._partitions = partitions

    async def explain(self, queue_type: str) -> Explanation:
        """Return why nothing of a type can be leased here; concurrent calls share one read.

        Raises:
            SharqError: a partition could not be read.
        """
        read = self.by_type.get(queue_type)
        if read is not None and read.done():
            current = _as_of(read.result(), monotonic())
            if current is not None:
                return current
            read = None
        if read is None:
            read = self._begin(queue_type)
        return (await asyncio.shield(read)).explanation

    def drop(self, queue_type: str) -> None:
        """Forget the reason of a type, because a call may have changed it. A read under way may be older than that."""
        self.by_type.pop(queue_type, None)

    def drop_all(self) -> None:
        """Forget all reasons."""
        self.by_type.clear()

    def _begin(self, queue_type: str) -> asyncio.Task[_Remembered]:
        if len(self.by_type) >= MAX_TYPES:
            self.by_type.clear()
        read = self.by_type[queue_type] = asyncio.create_task(self._read(queue_type))
        read.add_done_callback(partial(self._forget_failed, queue_type))
        return read

    def _forget_failed(self, queue_type: str, read: asyncio.Task[_Remembered]) -> None:
        if (read.cancelled() or read.exception() is not None) and self.by_type.get(queue_type) is read:
            del self.by_type[queue_type]

    async def _read(self, queue_type: str) -> _Remembered:
        read_at = monotonic()
        places = self._places(queue_type)
        parts: list[Explanation] = []
        for at in range(0, len(places), PARTITIONS_AT_ONCE):
            some = places[at : at + PARTITIONS_AT_ONCE]
            parts += await asyncio.gather(
                *(self._pipeline.value(self._calls.explain(place, queue_type)) for place in some)
            )
        return _Remembered(merge_explanations(parts), read_at)

    def _places(self, queue_type: str) -> list[int]:
        """Return the partitions of this node that may hold queues of a type."""
        if not is_gathered(queue_type):
            return self._covered()
        place = partition_of(queue_type, "", self._partitions)
        return [place] if place in self._covered() else []


def _as_of(known: _Remembered, now: float) -> Explanation | None:
    """Return an explanation as of now; None if it is too old, or if its queue has become ready since."""
    age_s = now - known.read_at
    if age_s > REMEMBERED_S:
        return None
    ready_in_us = known.explanation.next_ready_in_us
    if ready_in_us is None:
        return known.explanation
    left_us = ready_in_us - int(age_s * 1e6)
    return msgspec.structs.replace(known.explanation, next_ready_in_us=left_us) if left_us > 0 else None
