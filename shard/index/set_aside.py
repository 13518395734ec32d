"""Remembers partitions that fail while their server works, for example because a key has a wrong type.

A failing partition is asked only once a second, so that the other partitions are served in the meantime.
"""

from __future__ import annotations

import logging
from time import monotonic

log = logging.getLogger(__name__)

ASIDE_S = 1.0
"""Time for which a failed partition is not asked for a type."""

TOLD_EVERY_S = 60.0
"""Interval at which a lasting failure is logged and reported to callers."""

_COUNTED_S = 10.0
"""Time after a failure for which a partition counts as failing."""

_MOST = 10_000
"""Most failures that are remembered; beyond that, all are reported anew."""


class SetAside:
    """The failures of this node's partitions by queue type ("" for a partition as a whole)."""

    def __init__(self) -> None:
        self._failed_at: dict[int, float] = {}
        self._told_at: dict[tuple[int, str], float] = {}

    def add(self, partition: int, queue_type: str, reason: str) -> bool:
        """Record a failed call; return True if the failure is new and must be reported."""
        now = monotonic()
        self._failed_at[partition] = now
        told_at = self._told_at.get((partition, queue_type))
        if told_at is not None and now < told_at + TOLD_EVERY_S:
            return False
        if len(self._told_at) >= _MOST:
            self._told_at.clear()
        self._told_at[partition, queue_type] = now
        log.warning(
            "partition_set_aside partition=%d queue_type=%s for_s=%g error=%r: its keys need a look",
            partition,
            queue_type,
            ASIDE_S,
            reason,
        )
        return True

    def __len__(self) -> int:
        """Return the number of partitions that failed in the last 10 s."""
        oldest = monotonic() - _COUNTED_S
        return sum(failed_at >= oldest for failed_at in self._failed_at.values())
