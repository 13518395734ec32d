"""Compares what a queue gave in the last complete minute with what its rate promised."""

from __future__ import annotations

from sharq_core.models import QueueStats

_MINUTE_US = 60_000_000
_LAST_MINUTE = -2
"""The place of the last complete minute in a list of minutes, which ends with the current one."""


def delivered(stats: QueueStats) -> int:
    """Return the number of jobs leased in the last complete minute."""
    return stats.dequeue_counts[_LAST_MINUTE][1]


def promised(stats: QueueStats) -> int | None:
    """Return the number of jobs that the queue should have given in that minute; None at an unlimited rate.

    As many as the rate allows in a minute, but no more than it gave and has waiting now.
    """
    if not stats.interval_us:
        return None
    return min(_MINUTE_US // stats.interval_us, delivered(stats) + stats.queued)
