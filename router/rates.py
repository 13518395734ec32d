"""Which rates a queue cannot keep at its burst, and what is said of it.

A queue with burst 1 loses at each lease the time by which the lease is late, some tenths of a millisecond to some
milliseconds. A burst makes up for it as long as it covers the time between two looks of the workers: 1 + rate x round
trip. docs/rates.md has the measurements. Not here: the rate itself, which is the store's.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from time import monotonic

from sharq_core.troubles import REMIND_EVERY_S

log = logging.getLogger(__name__)

SURE_FROM_US = 20_000
"""From this interval on (up to 50 a second) burst 1 keeps all but some hundredths of the rate."""

ROUND_TRIP_US = 5_000
"""A burst that covers so long is kept: a worker's round trip and the lateness of a busy server."""


class _Unkept:
    """One line in 30 s for all queues together, with one of them: enqueues of such rates may come by the thousand."""

    def __init__(self) -> None:
        self._quiet_until = 0.0
        self._unsaid = 0

    def note(self, queue_type: str, queue_id: str, text: str) -> None:
        self._unsaid += 1
        now = monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + REMIND_EVERY_S
            log.warning(
                "rate_not_kept queue_type=%s queue_id=%s times=%d: %s",
                queue_type,
                queue_id,
                self._unsaid,
                text,
            )
            self._unsaid = 0


_unkept = _Unkept()


def is_unkept(interval_us: int | None, burst: int | None) -> bool:
    """Return True for a rate that is kept only in part. None: no interval was sent, or no burst, which counts as 1."""
    return (
        interval_us is not None
        and 0 < interval_us < SURE_FROM_US
        and ((burst or 1) - 1) * interval_us < ROUND_TRIP_US
    )


def least_burst(interval_us: int) -> int:
    """Return the burst at which an interval is kept."""
    return 1 + -(-ROUND_TRIP_US // interval_us)


@lru_cache(1000)
def describe(interval_us: int, burst: int | None) -> str:
    """Return what to tell of a rate that is not kept."""
    given = f"burst {burst}" if burst else "burst 1, which it has unless another was set"
    return (
        f"interval: {interval_us / 1000:g} ms is not kept in full at {given}: "
        f"a burst of {least_burst(interval_us)} or more is needed"
    )


def warn(queue_type: str, queue_id: str, interval_us: int, burst: int | None) -> str:
    """Say in the log, now and then, that a rate is not kept; returns what to tell the client."""
    text = describe(interval_us, burst)
    _unkept.note(queue_type, queue_id, text)
    return text
