"""Decodes what the functions tell of queues: their statistics, and pages of their ids or statistics."""

from __future__ import annotations

from typing import Any

from sharq_core.limits import BlockedBy
from sharq_core.models import QueuePage, QueueStats, QueueStatsPage
from sharq_core.scheduler.replies import decoder, minute_counts, triples

WITH_LIMITS = "1"
"""The argument with which get_queue.lua adds the fields of _LIMITS, which a node of revision 3 cannot decode."""

_ROW = 9
_LIMITS = 7

BLOCKED_BY = (None, *BlockedBy)
"""The reasons by their numbers in blocked_by.lua."""

_SETTINGS = {1: "interval", 2: "max_leased", 4: "weight", 8: "burst"}
"""The settings by their flags in queue_record.lua."""

_UNKNOWN = [0, 1, 0, 0, 0, 0, 0, -1, -1, 0, 0, -1, 1, 0, 0, 0]


def _queue(now_us: int, row: list[int]) -> QueueStats:
    """Return the statistics in the form of queue_stats.lua; an empty row belongs to an unknown queue."""
    numbers, minutes = row[: _ROW + _LIMITS] or _UNKNOWN, triples(row[_ROW + _LIMITS :])
    interval_us, burst, pinned, paused, queued, delayed, leased, next_ready_us, age_us = numbers[:_ROW]
    hundredths, max_leased, held_until_us, weight, dead, blocked_by, settings = numbers[_ROW:]
    return QueueStats(
        is_known=bool(row),
        interval_us=interval_us,
        burst=(100 * burst + hundredths) / 100 if hundredths else burst,
        is_pinned=bool(pinned),
        is_paused=bool(paused),
        queued=queued,
        delayed=delayed,
        leased=leased,
        next_ready_in_us=next_ready_us if next_ready_us >= 0 else None,
        oldest_age_us=age_us if age_us >= 0 else None,
        enqueue_counts=minute_counts(now_us, minutes, 1),
        dequeue_counts=minute_counts(now_us, minutes, 2),
        max_leased=max_leased or None,
        held_until_us=held_until_us if held_until_us >= 0 else None,
        weight=weight,
        dead=dead,
        blocked_by=BLOCKED_BY[blocked_by] if row else BlockedBy.EMPTY,
        settings=tuple(name for flag, name in _SETTINGS.items() if settings & flag),
    )


@decoder
def decode_queue(raw: list[Any]) -> QueueStats:
    """Decode the reply of get_queue and set_queue."""
    return _queue(raw[1], raw[4:])


@decoder
def decode_queue_stats_page(raw: list[Any]) -> QueueStatsPage:
    """Decode the reply of list_queue_stats."""
    rows = zip(raw[5::2], raw[6::2], strict=True)
    return QueueStatsPage([(queue_id.decode(), _queue(raw[1], row)) for queue_id, row in rows], int(raw[4]))


@decoder
def decode_queue_page(raw: list[Any]) -> QueuePage:
    """Decode the reply of list_queues."""
    return QueuePage([queue_id.decode() for queue_id in raw[5:]], int(raw[4]))
