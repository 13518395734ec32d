"""Remembers steps of the store's clock for the log, the notices and the metrics.

A step is a change of a server's clock that this machine's own clock did not see, or the difference of two servers'
clocks at a failover.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from time import monotonic

import msgspec

log = logging.getLogger(__name__)

NOTICE_S = 600.0
"""The time in seconds for which a server has a notice after its latest step."""

_SAME_S = 10.0
_SAME_US = 1_000_000
"""The interval and the difference in size within which the steps that several partitions report count as one."""


class _Step(msgspec.Struct, frozen=True):
    """A step of a clock.

    Attributes:
        by_us: the size of the step; negative for back.
        at_s: the time of the report (time.monotonic).
    """

    by_us: int
    at_s: float


class ClockSteps:
    """The clock steps of one store's servers.

    Args:
        on_step: called at each step.

    Attributes:
        counts: the steps so far, by (server, "ahead" or "back").
    """

    def __init__(self, on_step: Callable[[], None]) -> None:
        self._on_step = on_step
        self.counts: Counter[tuple[str, str]] = Counter()
        self._latest: dict[str, _Step] = {}

    def note(self, server: str, by_us: int) -> bool:
        """Note a step of the clock by which partitions of a server are timed.

        Returns:
            False if another partition has reported the same step.
        """
        now, latest = monotonic(), self._latest.get(server)
        if latest is not None and now - latest.at_s < _SAME_S and abs(by_us - latest.by_us) < _SAME_US:
            return False
        self._latest[server] = _Step(by_us, now)
        direction = "ahead" if by_us > 0 else "back"
        self.counts[server, direction] += 1
        log.warning(
            "store_clock_stepped server=%s direction=%s by_s=%.3f", server, direction, abs(by_us) / 1e6
        )
        self._on_step()
        return True

    def fault(self, server: str) -> str | None:
        """Return the notice about a server whose clock stepped in the last ten minutes; None if it did not.

        The notice is a sentence without its full stop.
        """
        step = self._latest.get(server)
        if step is None or monotonic() - step.at_s > NOTICE_S:
            return None
        way = "ahead" if step.by_us > 0 else "back"
        return f"its clock stepped {way} by {abs(step.by_us) / 1e6:.1f} s; keep the servers' clocks in step (NTP)"
