"""Lists the types of some partitions with their numbers, in the order of their names.

A partition may hold 100,000 types in no order, so all are read, in small consecutive calls, and the first ones are
kept. The counts of a type do not say whether its queues are paused or held, so the reasons of the listed types are read
once more.
"""

from __future__ import annotations

import asyncio
from collections import deque

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
"""Reasons after which one list explains no further type."""

EXPLAINED_AT_ONCE = 64
"""Partitions whose reasons are read together, once the first one has not shown that a queue is ready."""

_UNSURE = (None, BlockedBy.PAUSED, BlockedBy.MAX_LEASED, BlockedBy.RATE, BlockedBy.CAP)
"""The reasons that counts cannot tell from others: queues with jobs may also be paused, held or full."""


async def list_types(pipeline: Pipeline, calls: TypeCalls, call: ListTypes) -> list[TypeSummary]:
    """Answer a ListTypes call. Cost: O(types of the partitions), in small calls.

    Raises:
        SharqError: a partition could not be read.
    """
    waiting = deque(call.partitions)
    listed: list[TypeSummary] = []
    reasons: dict[str, dict[int, Explanation]] = {}

    async def read() -> None:
        nonlocal listed
        while waiting:
            partition = waiting.popleft()
            types = await _read_partition(pipeline, calls, partition, call.after)
            listed = merge_types([*listed, *types], call.limit)
            for summary in types:
                reasons.setdefault(summary.queue_type, {})[partition] = Explanation(summary.blocked_by, None)
            for name in reasons.keys() - {summary.queue_type for summary in listed}:
                del reasons[name]

    await asyncio.gather(*(read() for _ in range(PARTITIONS_AT_ONCE)))
    explained = await _explain(pipeline, calls, {name: reasons[name] for name in sorted(reasons)})
    return [_with_reason(summary, reasons, explained) for summary in listed]


def _with_reason(
    summary: TypeSummary, reasons: dict[str, dict[int, Explanation]], explained: set[str]
) -> TypeSummary:
    first = merge_explanations(reasons[summary.queue_type].values())
    return msgspec.structs.replace(
        summary,
        blocked_by=first.blocked_by,
        is_explained=summary.queue_type in explained,
        caps=first.caps,
    )


async def _explain(
    pipeline: Pipeline, calls: TypeCalls, reasons: dict[str, dict[int, Explanation]]
) -> set[str]:
    """Replace the reasons that come from counts by exact ones; return the types that are explained.

    These are the first one and as many as MAX_EXPLAINED reasons allow.

    Args:
        reasons: queue type → partition → reason, in the order of the types.
    """
    types = iter(reasons.items())
    explained: set[str] = set()
    remaining = MAX_EXPLAINED

    async def explain() -> None:
        nonlocal remaining
        for name, by_partition in types:
            unsure = [place for place, part in by_partition.items() if part.blocked_by in _UNSURE]
            if unsure and remaining <= 0:
                continue
            remaining -= len(unsure)
            explained.add(name)
            await _explain_type(pipeline, calls, name, by_partition, unsure)

    await asyncio.gather(*(explain() for _ in range(PARTITIONS_AT_ONCE)))
    return explained


async def _explain_type(
    pipeline: Pipeline,
    calls: TypeCalls,
    queue_type: str,
    reasons: dict[int, Explanation],
    unsure: list[int],
) -> None:
    """Read the reasons of some partitions, the first one alone, because one ready queue is enough to know."""
    first = 0
    while first < len(unsure):
        some = unsure[first : first + (EXPLAINED_AT_ONCE if first else 1)]
        parts = await asyncio.gather(
            *(pipeline.value(calls.explain(partition, queue_type)) for partition in some)
        )
        # Only the reasons are listed, not the times.
        timeless = [msgspec.structs.replace(part, next_ready_in_us=None) for part in parts]
        reasons.update(zip(some, timeless, strict=True))
        if any(part.blocked_by is None for part in parts):
            return
        first += len(some)


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
