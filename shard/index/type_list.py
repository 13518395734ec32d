"""Lists the types of some partitions with their numbers, in the order of their names.

A partition may hold 100,000 types in no order, so all are read, in small consecutive calls, and the first ones are
kept. The counts of a type do not say whether its queues are paused or held, so the reasons of the listed types are read
once more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import msgspec

from shard.batching.pipeline import Pipeline
from sharq_core.limits import BlockedBy, Explanation, TypeSummary
from sharq_core.link.control_calls import ListTypes
from sharq_core.pieces import in_pieces
from sharq_core.scheduler.limit_calls import TypeCalls
from sharq_core.type_parts import FirstTypes, merge_explanations

TYPES_A_CALL = 500
"""Types of one call, which takes one to two milliseconds of the store's time."""

PARTITIONS_AT_ONCE = 8
"""Partitions that are read concurrently, and types whose reasons are."""

MAX_EXPLAINED = 2_000
"""Reasons after which one list explains no further type."""

EXPLAINED_AT_ONCE = 64
"""Partitions whose reasons are read together, once the first one has not shown that a queue is ready."""

LOOKED_AT_ONCE = 100
"""Types without a further read that are looked at before other work has its turn."""

_UNSURE = (None, BlockedBy.PAUSED, BlockedBy.MAX_LEASED, BlockedBy.RATE, BlockedBy.CAP)
"""The reasons that counts cannot tell from others: queues with jobs may also be paused, held or full."""


async def list_types(pipeline: Pipeline, calls: TypeCalls, call: ListTypes) -> list[TypeSummary]:
    """Answer a ListTypes call. Cost: O(types of the partitions), in small calls.

    Raises:
        SharqError: a partition could not be read.
    """
    waiting = deque(call.partitions)
    first = FirstTypes(call.limit)
    reasons: dict[str, dict[int, Explanation]] = {}

    async def read() -> None:
        while waiting:
            partition = waiting.popleft()
            async for page in _pages(pipeline, calls, partition, call.after):
                dropped = first.add(page)
                for summary in page:
                    reasons.setdefault(summary.queue_type, {})[partition] = Explanation(
                        summary.blocked_by, None
                    )
                for name in dropped:
                    reasons.pop(name, None)

    await asyncio.gather(*(read() for _ in range(PARTITIONS_AT_ONCE)))
    listed = first.summaries()
    explained = await _explain(
        pipeline, calls, {summary.queue_type: reasons[summary.queue_type] for summary in listed}
    )
    return [
        _with_reason(summary, reasons, explained)
        async for some in in_pieces(listed, TYPES_A_CALL)
        for summary in some
    ]


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
        for number, (name, by_partition) in enumerate(types):
            if number % LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)  # after the last reason, nothing else waits here
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


async def _pages(
    pipeline: Pipeline, calls: TypeCalls, partition: int, after: str
) -> AsyncIterator[list[TypeSummary]]:
    """Yield the types of a partition whose names sort after `after`, a page at a time."""
    scan = 0
    seen: set[str] = set()
    while True:
        page = await pipeline.value(calls.list_type_stats(partition, scan, TYPES_A_CALL))
        # A scan may return a type twice.
        types = {
            summary.queue_type: summary
            for summary in page.types
            if summary.queue_type > after and summary.queue_type not in seen
        }
        scan = page.scan
        if scan:
            seen.update(types)
        yield list(types.values())
        if not scan:
            return
