"""Warns about rates that a queue cannot keep at its burst.

With burst 1, a queue loses the delay of each lease, which is between some tenths of a millisecond and some
milliseconds. A burst makes up for the delay if it covers the time between two polls of the workers: 1 + rate x round
trip. docs/rates.md has the measurements. The warning does not change the rate, which the store applies.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from time import monotonic

from sharq_core.limits import Limit
from sharq_core.logs.troubles import REMIND_EVERY_S
from sharq_core.rates import write_rate

log = logging.getLogger(__name__)

SURE_FROM_US = 10_000
"""Interval from which on (up to 100 leases a second) there is no warning: burst 1 keeps at least nine tenths of such a
rate. Rates that the original supported thus get the original's answer.
"""

ROUND_TRIP_US = 5_000
"""Time that a burst must cover for the rate to be kept: a worker's round trip and the delay of a busy server."""

SHARED_SURE_FROM_US = 25_000
"""Interval of a limit of a gathered type from which on (up to 40 leases a second) there is no warning: burst 1 delivers
at least 0.95 of it.
"""

LATENESS_US = 20_000
"""Time that the burst of a faster limit must cover: 1 + rate x 20 ms delivers at least 0.99 of it."""


@lru_cache(1000)
def warning(interval_us: int, burst: float | None) -> str | None:
    """Return the warning about a rate; None if the rate is kept.

    Args:
        interval_us: 0 for unlimited, which is always kept.
        burst: None if it was not sent; it counts as 1 then.
    """
    if not 0 < interval_us < SURE_FROM_US or ((burst or 1) - 1) * interval_us >= ROUND_TRIP_US:
        return None
    burst_text = f"burst {burst}" if burst else "burst 1, the default unless the queue has its own"
    return (
        f"interval: {interval_us / 1000:g} ms is not kept in full at {burst_text}: "
        f"a burst of {least_burst(interval_us)} or more is needed"
    )


def least_burst(interval_us: int, covered_us: int = ROUND_TRIP_US) -> int:
    """Return the smallest burst that makes up for the lateness of a lease, 5 ms unless told otherwise."""
    return 1 + -(-covered_us // interval_us)


def limit_warning(limit: Limit) -> str | None:
    """Return the warning about a limit of a gathered type; None if it is delivered.

    A limit loses lateness like a queue's rate, but it has to serve all queues of the type.
    """
    if limit.interval_us >= SHARED_SURE_FROM_US or (limit.burst - 1) * limit.interval_us >= LATENESS_US:
        return None
    return (
        f"limits: {write_rate(limit.interval_us)} is not delivered in full at burst {limit.burst}, because the time by "
        f"which a lease is late is lost: a burst of {least_burst(limit.interval_us, LATENESS_US)} or more is needed"
    )


class Unkept:
    """The log of rates that are not kept: one line in 30 s for all queues together, which names one of them.

    Such enqueues may come by the thousand.
    """

    def __init__(self) -> None:
        self._quiet_until = 0.0
        self._unlogged = 0

    def note(self, queue_type: str, queue_id: str, text: str) -> None:
        """Record that a request set a rate that is not kept, and log it unless a line was logged recently."""
        self._unlogged += 1
        if monotonic() < self._quiet_until:
            return
        self._quiet_until = monotonic() + REMIND_EVERY_S
        log.warning(
            "rate_not_kept queue_type=%s queue_id=%s times=%d: %s", queue_type, queue_id, self._unlogged, text
        )
        self._unlogged = 0


unkept = Unkept()
"""The log of this process."""
