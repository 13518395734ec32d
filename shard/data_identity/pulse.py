"""Tells an older copy of the data set from the one that this node saw last: every look of every node makes a number in
the store grow.

Not here: the looks (shard/data_identity/guard.py).
"""

from __future__ import annotations

import asyncio
import logging

from sharq_core.scheduler.data_set import DataRecord
from sharq_core.store.settings_audit import Inspector

log = logging.getLogger(__name__)

ROLLED_BACK_S = 5.0
"""The data counts as an older copy when it is behind by more than this: a failover loses less."""

_SAY_S = 3600.0
"""So long the notice of an older copy stays."""

_LEAST_PER_S = 1.0
"""This node alone makes it grow so fast."""


class Pulse:
    """The number as this node saw it last.

    Attributes:
        rollbacks: how often the data was found to be an older copy.
        seen: the number; None before the first look at this data set.
    """

    def __init__(self, inspector: Inspector) -> None:
        self.rollbacks = 0
        self.seen: int | None = None
        self.per_s = _LEAST_PER_S
        self._inspector = inspector
        self._loop = asyncio.get_running_loop()
        self._seen_at = 0.0
        self._said_at: float | None = None

    def forget(self) -> None:
        """Another data set is looked at from now on."""
        self.seen = None

    def note(self, record: DataRecord) -> None:
        """The data set's record was read; a record that was written anew has no pulse and says nothing."""
        now = self._loop.time()
        if self._said_at is not None and now > self._said_at + _SAY_S:
            self._said_at = None
            self._inspector.tell("data_rolled_back", None)
        if not record.pulse:
            return
        if self.seen is not None:
            behind_s = (self.seen - record.pulse) / self.per_s
            if behind_s > ROLLED_BACK_S:
                self._say(behind_s)
            elif record.pulse > self.seen:
                spent_s = max(now - self._seen_at, 0.1)
                self.per_s = max((record.pulse - self.seen) / spent_s, _LEAST_PER_S)
        self.seen, self._seen_at = record.pulse, now

    def _say(self, behind_s: float) -> None:
        self.rollbacks += 1
        self._said_at = self._loop.time()
        text = (
            f"the store holds an older copy of its data: what was done in about the last {behind_s:.0f} s before it "
            "came back is lost (a restored backup, a snapshot, or a failover to a replica that was far behind)"
        )
        self._inspector.tell("data_rolled_back", text)
        log.error("data_rolled_back behind_s=%.0f text=%r", behind_s, text)
