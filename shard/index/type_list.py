"""Lists the types of some partitions with their numbers, in the order of their names.

A partition may hold 100,000 types in no order, so all are read, in small consecutive calls, and the first ones are
kept. The counts of a type do not say whether its queues are paused or held, so the reasons of the listed types are read
once more. Not here: the numbers that the metrics show (shard/index/census.py), which may be a second old.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from shard.batching.pipeline import Pipeline
from sharq_core.limits import BlockedBy, Explanation, TypeSummary
from sharq_core.link.control_calls import ListTypes
from sharq_core.scheduler.limit_calls import TypeCalls
from sharq_core.type_parts import merge_explanations, merge_types

TYPES_A_CALL = 500
"""Types of one call, which takes one to two milliseconds of the store's time."""

PARTITIONS_AT_ONCE = 8
"""Partitions that are read concurrently, and types whose reasons are."""

MAX_EXPLAINED = 2_000
"""Most reasons that one list reads; past that, they come from the counts."""

_UNSURE = (None, BlockedBy.PAUSED, BlockedBy.MAX_LEASED, BlockedBy.RATE, BlockedBy.CAP)
"""The reasons that counts cannot tell from others: queues with jobs may also be paused, held or full."""


async def list_types(pipeline: Pipeline, calls: TypeCalls, call: ListTypes) -> list[TypeSummary]:
    """Answer a ListTypes call. Cost: O(types of the partitions), in small calls.

    Raises:
        SharqError: a partition could not be read.
    """
    waiting = deque(call.partitions)
    found: list[TypeSummary] = []
    reasons: dict[str, dict[int, Explanation]] = {}

    async def read() -> None:
        nonlocal found
        while waiting:
            partition = waiting.popleft()
            types = await _read_partition(pipeline, calls, partition, call.after)
            found = merge_types([*found, *types], call.limit)
            for summary in types:
                reasons.setdefault(summary.queue_type, {})[partition] = Explanation(summary.blocked_by, None)
            for name in reasons.keys() - {summary.queue_type for summary in found}:
                del reasons[name]

    await asyncio.gather(*(read() for _ in range(PARTITIONS_AT_ONCE)))
    await _explain(pipeline, calls, reasons)
    return [_with_reason(summary, reasons[summary.queue_type].values()) for summary in found]


def _with_reason(summary: TypeSummary, parts: Iterable[Explanation]) -> TypeSummary:
    first = merge_explanations(parts)
    return msgspec.structs.replace(summary, blocked_by=first.blocked_by, caps=first.caps)


async def _explain(pipeline: Pipeline, calls: TypeCalls, reasons: dict[str, dict[int, Explanation]]) -> None:
    """Replace the reasons that come from counts by exact ones, type by type until a queue of the type is ready.

    Args:
        reasons: queue type → partition → reason.
    """
    types = iter(reasons.items())
    remaining = MAX_EXPLAINED

    async def explain(types: Iterator[tuple[str, dict[int, Explanation]]]) -> None:
        nonlocal remaining
        for name, by_partition in types:
            for partition in [p for p, part in by_partition.items() if part.blocked_by in _UNSURE]:
                if not remaining:
                    return
                remaining -= 1
                part = await pipeline.value(calls.explain(partition, name))
                by_partition[partition] = Explanation(part.blocked_by, None, part.caps)
                if part.blocked_by is None:
                    break

    await asyncio.gather(*(explain(types) for _ in range(PARTITIONS_AT_ONCE)))


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
