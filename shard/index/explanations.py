"""Explains why a dequeue of a type gets nothing from this node's partitions, and remembers it for a second.

Idle workers poll all the time, so a reason is read from the store once a second at most. Any call about the type drops
what is remembered. The reason of one partition comes from scheduler/lua/explain.lua.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from time import monotonic
from typing import Any

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
        served: returns the partitions that this node serves.
        partitions: the number of all partitions.

    Attributes:
        by_type: the last read of each type, under way or done, unless a call about the type has come since.
    """

    def __init__(
        self, pipeline: Pipeline, calls: TypeCalls, served: Callable[[], list[int]], partitions: int
    ) -> None:
        self.by_type: dict[str, asyncio.Task[_Remembered]] = {}
        self._pipeline = pipeline
        self._calls = calls
        self._served = served
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
            read = self._remember(queue_type, self._read(queue_type))
        return (await asyncio.shield(read)).explanation

    async def explain_all(self, queue_types: Sequence[str]) -> list[Explanation]:
        """Return the same for each of several types; those that are not remembered are read together.

        Raises:
            SharqError: a partition could not be read.
        """
        unknown = [name for name in queue_types if not self._is_known(name)]
        if len(unknown) > 1:
            together = asyncio.create_task(self._read_together(unknown))
            for queue_type in unknown:
                self._remember(queue_type, _part_of(together, queue_type))
        return await asyncio.gather(*map(self.explain, queue_types))

    def _is_known(self, queue_type: str) -> bool:
        """Return True if a type is remembered, or a read of it is under way."""
        read = self.by_type.get(queue_type)
        return read is not None and (not read.done() or _as_of(read.result(), monotonic()) is not None)

    def drop(self, queue_type: str) -> None:
        """Forget the reason of a type, because a call may have changed it. A read under way may be older than that."""
        self.by_type.pop(queue_type, None)

    def drop_all(self) -> None:
        """Forget all reasons."""
        self.by_type.clear()

    def _remember(
        self, queue_type: str, reading: Coroutine[Any, Any, _Remembered]
    ) -> asyncio.Task[_Remembered]:
        """Begin a read of a type; its outcome is remembered unless it fails."""
        if len(self.by_type) >= MAX_TYPES:
            self.by_type.clear()
        read = self.by_type[queue_type] = asyncio.create_task(reading)
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

    async def _read_together(self, queue_types: Sequence[str]) -> dict[str, _Remembered]:
        """Read the reasons of several types with one call for each partition."""
        read_at = monotonic()
        by_place: dict[int, list[str]] = defaultdict(list)
        for queue_type in queue_types:
            for place in self._places(queue_type):
                by_place[place].append(queue_type)
        # All types of a partition are read with one call.
        parts: dict[str, list[Explanation]] = {queue_type: [] for queue_type in queue_types}
        places = list(by_place)
        for at in range(0, len(places), PARTITIONS_AT_ONCE):
            some = places[at : at + PARTITIONS_AT_ONCE]
            answers = await asyncio.gather(
                *(self._pipeline.value(self._calls.explain_types(place, by_place[place])) for place in some)
            )
            for place, answer in zip(some, answers, strict=True):
                for queue_type, part in zip(by_place[place], answer, strict=True):
                    parts[queue_type].append(part)
        return {
            queue_type: _Remembered(merge_explanations(answers), read_at)
            for queue_type, answers in parts.items()
        }

    def _places(self, queue_type: str) -> list[int]:
        """Return the partitions of this node that may hold queues of a type."""
        if not is_gathered(queue_type):
            return self._served()
        place = partition_of(queue_type, "", self._partitions)
        return [place] if place in self._served() else []


def _as_of(remembered: _Remembered, now: float) -> Explanation | None:
    """Return an explanation as of now; None if it is too old, or if its queue has become ready since."""
    age_s = now - remembered.read_at
    if age_s > REMEMBERED_S:
        return None
    ready_in_us = remembered.explanation.next_ready_in_us
    if ready_in_us is None:
        return remembered.explanation
    left_us = ready_in_us - int(age_s * 1e6)
    return msgspec.structs.replace(remembered.explanation, next_ready_in_us=left_us) if left_us > 0 else None


async def _part_of(together: asyncio.Task[dict[str, _Remembered]], queue_type: str) -> _Remembered:
    """Return one type's part of a read of several types."""
    return (await asyncio.shield(together))[queue_type]
