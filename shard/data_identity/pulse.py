"""Detects that the store holds an older copy of the data set than the one that this node saw last.

Every check of every node increments a number in the store, the pulse; an older copy has a smaller one.
"""

from __future__ import annotations

import asyncio
import logging

from sharq_core.scheduler.data_set import DataRecord
from sharq_core.store.settings_audit import Inspector

log = logging.getLogger(__name__)

ROLLED_BACK_S = 5.0
"""The data counts as an older copy if it is behind by more than this; a failover loses less."""

_SAY_S = 3600.0
"""Time for which the notice of an older copy stays."""

_LEAST_PER_S = 1.0
"""Least growth of the pulse per second, to which this node alone contributes."""


class Pulse:
    """The pulse as this node saw it last.

    Attributes:
        rollbacks: the number of times the data was found to be an older copy.
        seen: the pulse; None before the first check of this data set.
        per_s: the growth of the pulse per second.
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
        """Forget the pulse, because the next check is of another data set."""
        self.seen = None

    def note(self, record: DataRecord) -> None:
        """Compare the pulse of a record with the last one; a rewritten record has none and is skipped."""
        now = self._loop.time()
        if self._said_at is not None and now > self._said_at + _SAY_S:
            self._said_at = None
            self._inspector.tell("data_rolled_back", None)
        if not record.pulse:
            return
        # The distance in time is compared, because the pulse grows faster the more nodes there are.
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
            f"the store holds an older copy of its data: about {behind_s:.0f} s of work before it came back are lost "
            "(a restored backup, a snapshot, or a failover to a replica that was far behind)"
        )
        self._inspector.tell("data_rolled_back", text)
        log.error("data_rolled_back behind_s=%.0f text=%r", behind_s, text)
