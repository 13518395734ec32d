"""The types of some partitions and what was enqueued and leased in them by the minute, read in pages.

A partition may hold 100,000 types, and a call about all of them would hold up everybody else's for a tenth of a second.
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
"""One to two milliseconds of the store's time."""

PARTITIONS_AT_ONCE = 8
"""Partitions read side by side."""


async def count_types(pipeline: Pipeline, surveys: SurveyCalls, partitions: Sequence[int]) -> Counts:
    """Answer GetCounts. Cost: O(types of the partitions), in small calls.

    Raises:
        SharqError: a partition could not be read.
    """
    found = _Found()
    waiting = deque(partitions)

    async def read() -> None:
        while waiting:
            await _read_partition(pipeline, surveys, waiting.popleft(), found)

    await asyncio.gather(*(read() for _ in range(PARTITIONS_AT_ONCE)))
    return Counts(
        sorted(found.queue_types),
        minute_counts(found.now_us, found.minutes, 1),
        minute_counts(found.now_us, found.minutes, 2),
    )


class _Found:
    """What the partitions read so far have: types, (minute, enqueued, leased) rows of each minute, the latest time."""

    def __init__(self) -> None:
        self.queue_types: set[str] = set()
        self.minutes: list[tuple[int, int, int]] = []
        self.now_us = 0


async def _read_partition(pipeline: Pipeline, surveys: SurveyCalls, partition: int, found: _Found) -> None:
    scan = 0
    minutes: dict[str, tuple[int, int, int]] = {}
    while True:
        reply, _ = await pipeline.run(surveys.list_types(partition, scan, TYPES_A_CALL))
        page = value_of(reply)
        found.queue_types.update(page.queue_types)
        found.now_us = max(found.now_us, reply.hint.now_us)
        minutes.update(page.minutes)
        scan = page.scan
        if not scan:
            break
    by_minute: dict[int, list[int]] = {}
    for minute, enqueued, leased in minutes.values():
        sums = by_minute.setdefault(minute, [0, 0])
        sums[0] += enqueued
        sums[1] += leased
    found.minutes += [(minute, enqueued, leased) for minute, (enqueued, leased) in by_minute.items()]
