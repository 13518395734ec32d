"""Which rates a queue cannot keep at its burst, and what is said of it.

A queue with burst 1 loses at each lease the time by which the lease is late, some tenths of a millisecond to some
milliseconds. A burst makes up for it as long as it covers the time between two looks of the workers: 1 + rate x round
trip. docs/rates.md has the measurements. Not here: the rate itself, which is the store's.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from time import monotonic

from sharq_core.logs.troubles import REMIND_EVERY_S

log = logging.getLogger(__name__)

SURE_FROM_US = 10_000
"""From this interval on (up to 100 a second) burst 1 keeps nine tenths of the rate and more; what the original could do
gets the original's answer.
"""

ROUND_TRIP_US = 5_000
"""A burst that covers so long is kept: a worker's round trip and the lateness of a busy server."""


@lru_cache(1000)
def warning(interval_us: int, burst: int | None) -> str | None:
    """Return what to tell of a rate; None if it is kept.

    Args:
        interval_us: 0 for unlimited, which is always kept.
        burst: None for one that was not sent, and counts as 1.
    """
    if not 0 < interval_us < SURE_FROM_US or ((burst or 1) - 1) * interval_us >= ROUND_TRIP_US:
        return None
    given = f"burst {burst}" if burst else "burst 1, which the queue has unless another was set"
    return (
        f"interval: {interval_us / 1000:g} ms is not kept in full at {given}: "
        f"a burst of {least_burst(interval_us)} or more is needed"
    )


def least_burst(interval_us: int) -> int:
    """Return the burst at which an interval is kept."""
    return 1 + -(-ROUND_TRIP_US // interval_us)


class Unkept:
    """The log's part: one line in 30 s for all queues together, with one of them, for such enqueues may come by the
    thousand.
    """

    def __init__(self) -> None:
        self._quiet_until = 0.0
        self._unsaid = 0

    def note(self, queue_type: str, queue_id: str, text: str) -> None:
        """A rate that is not kept was sent for a queue."""
        self._unsaid += 1
        if monotonic() < self._quiet_until:
            return
        self._quiet_until = monotonic() + REMIND_EVERY_S
        log.warning(
            "rate_not_kept queue_type=%s queue_id=%s times=%d: %s", queue_type, queue_id, self._unsaid, text
        )
        self._unsaid = 0


unkept = Unkept()
"""Of this process."""
