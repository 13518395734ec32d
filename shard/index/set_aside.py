"""Partitions that fail by themselves, as at a key of a wrong type, while their server works.

They are asked once a second and not again and again, so that the others are served meanwhile.
"""

from __future__ import annotations

import logging
from time import monotonic

log = logging.getLogger(__name__)

ASIDE_S = 1.0
"""How long a partition that failed is not asked for a type."""

TOLD_EVERY_S = 60.0
"""How often a failure that goes on is logged, and told to whoever asked; in between it counts as known."""

_COUNTED_S = 10.0
"""How long after a failure a partition counts as failing."""

_MOST = 10_000
"""Failures that are remembered; when there are more, all are told anew."""


class SetAside:
    """The failures of this node's partitions by queue type ("" for a partition as a whole)."""

    def __init__(self) -> None:
        self._failed_at: dict[int, float] = {}
        self._told_at: dict[tuple[int, str], float] = {}

    def add(self, partition: int, queue_type: str, reason: str) -> bool:
        """A call failed; returns whether that is news, and so has to be told."""
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
        """Partitions that failed lately."""
        oldest = monotonic() - _COUNTED_S
        return sum(failed_at >= oldest for failed_at in self._failed_at.values())
