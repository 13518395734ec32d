"""Joins the explanations of several partitions or shards: why a dequeue of a type gets nothing."""

from __future__ import annotations

from collections.abc import Iterable

from sharq_core.limits import BlockedBy, Explanation

_NEARNESS = {reason: place for place, reason in enumerate(BlockedBy)} | {BlockedBy.EMPTY: -1}
"""Reason → how near a queue with it is to giving a job: reasons further down in BlockedBy are looked at later."""

NOTHING = Explanation(BlockedBy.EMPTY, None)
"""The explanation of a type without queues."""


def merge(parts: Iterable[Explanation]) -> Explanation:
    """Return the explanation of the queue that comes first over all parts.

    That is a queue that is ready, else the one whose ready time is known and earliest. If no time is known, the reason
    that is nearest to a lease wins, and `empty` counts only if all parts are.
    """
    return min(parts, key=_rank, default=NOTHING)


def merge_reasons(reasons: Iterable[BlockedBy | None]) -> BlockedBy | None:
    """Return the reason of the queue that comes first, if no times are known; None if a queue is ready."""
    return merge(Explanation(reason, None) for reason in reasons).blocked_by


def _rank(part: Explanation) -> tuple[bool, float, int]:
    if part.blocked_by is None:
        return False, 0, 0
    ready_us = part.next_ready_in_us
    return True, float("inf") if ready_us is None else ready_us, -_NEARNESS[part.blocked_by]
