"""Remembers partitions that fail while their server works, for example because a key has a wrong type.

A failing partition is asked only once a second, so that the other partitions are served in the meantime.
"""

from __future__ import annotations

import logging
from time import monotonic

from sharq_core.logs.plurals import counted
from sharq_core.process.notices import Notices

log = logging.getLogger(__name__)

ASIDE_S = 1.0
"""Time for which a failed partition is not asked for a type."""

TOLD_EVERY_S = 60.0
"""Interval at which a lasting failure is logged and reported to callers."""

_COUNTED_S = 10.0
"""Time after a failure for which a partition counts as failing."""

_MOST = 10_000
"""Most failures that are remembered; beyond that, all are reported anew."""


_NAMED = 10
"""Most partitions that the notice names."""


class SetAside:
    """The failures of this node's partitions by queue type ("" for a partition as a whole).

    Args:
        notices: shows which partitions fail.
    """

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._failed_at: dict[int, float] = {}
        self._told_at: dict[tuple[int, str], float] = {}

    def add(self, partition: int, queue_type: str, reason: str) -> bool:
        """Record a failed call; return True if the failure is new and must be reported."""
        now = monotonic()
        self._failed_at[partition] = now
        self._notices.tell("set_aside", self._notice(), is_public=False, for_s=_COUNTED_S)
        told_at = self._told_at.get((partition, queue_type))
        if told_at is not None and now < told_at + TOLD_EVERY_S:
            return False
        if len(self._told_at) >= _MOST:
            self._told_at.clear()
        self._told_at[partition, queue_type] = now
        log.warning(
            "partition_set_aside partition=%d queue_type=%s for_s=%g error=%r: look at its keys",
            partition,
            queue_type,
            ASIDE_S,
            reason,
        )
        return True

    def __len__(self) -> int:
        """Return the number of partitions that failed in the last 10 s."""
        return len(self._failing())

    def _failing(self) -> list[int]:
        oldest = monotonic() - _COUNTED_S
        return sorted(partition for partition, failed_at in self._failed_at.items() if failed_at >= oldest)

    def _notice(self) -> str:
        failing = self._failing()
        numbers = ", ".join(map(str, failing[:_NAMED])) + (", ..." if len(failing) > _NAMED else "")
        return (
            f"the data of {counted(len(failing), 'partition')} ({numbers}) cannot be read, and lists are without it: "
            "another program may have written to the store (runbook: SharqPartitionSetAside)"
        )
