"""Makes the server's warnings about rates that are not kept at their bursts, because each lease is a little late.

The fake itself is never late, so that it keeps such a rate.
"""

from __future__ import annotations

from sharq_client.testing.engine.limits import SharedLimit
from sharq_client.testing.engine.rates import rate_text

_SURE_FROM_US, _COVERED_US = 10_000, 5_000
_SHARED_SURE_FROM_US, _SHARED_COVERED_US = 25_000, 20_000


def queue_warning(interval_us: int | None, burst: float | None) -> str | None:
    """Return the warning about the rate of a queue; None if the rate is kept."""
    if not interval_us or interval_us >= _SURE_FROM_US or ((burst or 1) - 1) * interval_us >= _COVERED_US:
        return None
    burst_text = f"burst {burst}" if burst else "burst 1, the default unless the queue has its own"
    return (
        f"interval: {interval_us / 1000:g} ms is not kept in full at {burst_text}: "
        f"a burst of {1 + -(-_COVERED_US // interval_us)} or more is needed"
    )


def limit_warning(limit: SharedLimit) -> str | None:
    """Return the warning about a limit of a gathered type; None if it is kept."""
    is_covered = (limit.burst - 1) * limit.interval_us >= _SHARED_COVERED_US
    if limit.interval_us >= _SHARED_SURE_FROM_US or is_covered:
        return None
    return (
        f"limits: {rate_text(limit.interval_us)} is not delivered in full at burst {limit.burst}, because the time by "
        f"which a lease is late is lost: a burst of {1 + -(-_SHARED_COVERED_US // limit.interval_us)} or more is needed"
    )
