"""Explains why a dequeue of a type gets nothing from this node's partitions, and remembers it for a second.

Idle workers poll all the time, so a reason is read from the store once a second at most. Any call about the type drops
what is remembered. Not here: the reason of one partition (scheduler/lua/explain.lua).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import msgspec

from shard.batching.pipeline import Pipeline
from sharq_core.limits import Explanation
from sharq_core.partitions import is_gathered, partition_of
from sharq_core.scheduler.type_calls import TypeCalls
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
        remembered: the reasons by type. While this and `reads` are empty, there is nothing to drop.
        reads: the reads in progress by type.
    """

    def __init__(
        self, pipeline: Pipeline, calls: TypeCalls, covered: Callable[[], list[int]], partitions: int
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._covered = covered
        self._partitions = partitions
        self.remembered: dict[str, _Remembered] = {}
        self.reads: dict[str, asyncio.Future[Explanation]] = {}

    async def explain(self, queue_type: str) -> Explanation:
        """Return why nothing of a type can be leased here; concurrent calls share one read.

        Raises:
            SharqError: a partition could not be read.
        """
        known = self.remembered.get(queue_type)
        if known is not None and (current := _at(known, monotonic())) is not None:
            return current
        read = self.reads.get(queue_type)
        if read is None:
            read = self.reads[queue_type] = asyncio.ensure_future(self._read(queue_type))
        return await asyncio.shield(read)

    def drop(self, queue_type: str) -> None:
        """Forget the reason of a type, because a call may have changed it."""
        self.remembered.pop(queue_type, None)
        self.reads.pop(queue_type, None)

    def drop_all(self) -> None:
        """Forget all reasons."""
        self.remembered.clear()
        self.reads.clear()

    async def _read(self, queue_type: str) -> Explanation:
        read = asyncio.current_task()
        read_at = monotonic()
        try:
            places = self._places(queue_type)
            parts: list[Explanation] = []
            for at in range(0, len(places), PARTITIONS_AT_ONCE):
                parts += await asyncio.gather(
                    *(
                        self._pipeline.value(self._calls.explain(place, queue_type))
                        for place in places[at : at + PARTITIONS_AT_ONCE]
                    )
                )
            explanation = merge_explanations(parts)
            # A read that was dropped meanwhile may be older than the change that dropped it.
            if self.reads.get(queue_type) is read:
                if len(self.remembered) >= MAX_TYPES:
                    self.remembered.clear()
                self.remembered[queue_type] = _Remembered(explanation, read_at)
            return explanation
        finally:
            if self.reads.get(queue_type) is read:
                del self.reads[queue_type]

    def _places(self, queue_type: str) -> list[int]:
        """Return the partitions of this node that may hold queues of a type."""
        if not is_gathered(queue_type):
            return self._covered()
        place = partition_of(queue_type, "", self._partitions)
        return [place] if place in self._covered() else []


def _at(known: _Remembered, now: float) -> Explanation | None:
    """Return an explanation as of now; None if it is too old, or if its queue has become ready since."""
    age_s = now - known.read_at
    if age_s > REMEMBERED_S:
        return None
    ready_in_us = known.explanation.next_ready_in_us
    if ready_in_us is None:
        return known.explanation
    left_us = ready_in_us - int(age_s * 1e6)
    return msgspec.structs.replace(known.explanation, next_ready_in_us=left_us) if left_us > 0 else None
