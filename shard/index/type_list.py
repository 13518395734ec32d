"""Lists the types of some partitions with their numbers, in the order of their names.

A partition may hold 100,000 types in no order, so all are read, in small consecutive calls, and the first ones are
kept. Not here: the numbers that the metrics show (shard/index/census.py), which may be a second old.
"""

from __future__ import annotations

import asyncio
from collections import deque

from shard.batching.pipeline import Pipeline
from sharq_core.limits import TypeSummary
from sharq_core.link.control_calls import ListTypes
from sharq_core.scheduler.type_calls import TypeCalls
from sharq_core.type_parts import merge_types

TYPES_A_CALL = 500
"""Types of one call, which takes one to two milliseconds of the store's time."""

PARTITIONS_AT_ONCE = 8
"""Partitions that are read concurrently."""


async def list_types(pipeline: Pipeline, calls: TypeCalls, call: ListTypes) -> list[TypeSummary]:
    """Answer a ListTypes call. Cost: O(types of the partitions), in small calls.

    Raises:
        SharqError: a partition could not be read.
    """
    waiting = deque(call.partitions)
    found: list[TypeSummary] = []

    async def read() -> None:
        nonlocal found
        while waiting:
            types = await _read_partition(pipeline, calls, waiting.popleft(), call.after)
            found = merge_types([*found, *types], call.limit)

    await asyncio.gather(*(read() for _ in range(PARTITIONS_AT_ONCE)))
    return found


async def _read_partition(
    pipeline: Pipeline, calls: TypeCalls, partition: int, after: str
) -> list[TypeSummary]:
    """Return the types of a partition whose names sort after `after`; a scan may return one twice."""
    scan = 0
    types: dict[str, TypeSummary] = {}
    while True:
        page = await pipeline.value(calls.list_type_stats(partition, scan, TYPES_A_CALL))
        types.update((summary.queue_type, summary) for summary in page.types if summary.queue_type > after)
        scan = page.scan
        if not scan:
            return list(types.values())
