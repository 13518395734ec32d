"""Reads the types of some partitions, and the jobs enqueued and leased in them per minute, in pages.

A partition may hold 100,000 types; one call about all of them would delay all other calls for a tenth of a second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from shard.batching.pipeline import Pipeline
from sharq_core.models import Counts
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.replies import minute_counts
from sharq_core.scheduler.surveys import SurveyCalls

TYPES_A_CALL = 500
"""Types of one call, which takes one to two milliseconds of the store's time."""

PARTITIONS_AT_ONCE = 8
"""Partitions that are read concurrently."""


async def count_types(pipeline: Pipeline, surveys: SurveyCalls, partitions: Sequence[int]) -> Counts:
    """Answer a GetCounts call. Cost: O(types of the partitions), in small calls.

    Raises:
        SharqError: a partition could not be read.
    """
    sums = _CountSums()
    waiting = deque(partitions)

    async def read() -> None:
        while waiting:
            await _read_partition(pipeline, surveys, waiting.popleft(), sums)

    await asyncio.gather(*(read() for _ in range(PARTITIONS_AT_ONCE)))
    return Counts(
        sorted(sums.queue_types),
        minute_counts(sums.now_us, sums.minutes, 1),
        minute_counts(sums.now_us, sums.minutes, 2),
    )


class _CountSums:
    """The data of the partitions read so far: types, (minute, enqueued, leased) rows, and the latest store time."""

    def __init__(self) -> None:
        self.queue_types: set[str] = set()
        self.minutes: list[tuple[int, int, int]] = []
        self.now_us = 0


async def _read_partition(pipeline: Pipeline, surveys: SurveyCalls, partition: int, sums: _CountSums) -> None:
    scan = 0
    minutes: dict[str, tuple[int, int, int]] = {}
    while True:
        reply, _ = await pipeline.run(surveys.list_types(partition, scan, TYPES_A_CALL))
        page = value_of(reply)
        sums.queue_types.update(page.queue_types)
        sums.now_us = max(sums.now_us, reply.hint.now_us)
        minutes.update(page.minutes)
        scan = page.scan
        if not scan:
            break
    by_minute: dict[int, list[int]] = {}
    for minute, enqueued, leased in minutes.values():
        counts = by_minute.setdefault(minute, [0, 0])
        counts[0] += enqueued
        counts[1] += leased
    sums.minutes += [(minute, enqueued, leased) for minute, (enqueued, leased) in by_minute.items()]
