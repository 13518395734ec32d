"""Measures the effect of a kill: the time until the customers with a backlog together have their promised rate again.

The lease times are by the store's clock. The store of the demo's own cluster runs on this machine, so they can be
compared with the time of the kill.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from deploy.demo.checks import DELIVERED_AT_LEAST, interval_in_force_ms
from deploy.demo.ledger import Ledger

WINDOW_MS = 1_000
STEP_MS = 10
LOOK_MS = 2_000
"""Windows that begin up to so long after a kill are looked at."""

BACK_WITHIN_MS = 1_000


class Kill(msgspec.Struct, frozen=True):
    """A process that was killed, and when, in ms since the epoch."""

    name: str
    at_ms: float


class Recovery(msgspec.Struct, frozen=True):
    """The time from a kill to the full rate in ms, rounded up to STEP_MS; None if it took more than LOOK_MS."""

    name: str
    back_ms: int | None

    @property
    def words(self) -> str:
        """The result as text."""
        if self.back_ms is None:
            return "the full rate did not come back in time"
        return f"the full rate was back after {self.back_ms} ms" if self.back_ms else "the full rate went on"

    @property
    def problem(self) -> str | None:
        """The broken promise as text; None if it was kept."""
        if self.back_ms is None:
            return f"the full rate was not back {LOOK_MS / 1000:.0f} s after {self.name} was killed"
        if self.back_ms > BACK_WITHIN_MS:
            return f"the full rate was back only {self.back_ms} ms after {self.name} was killed"
        return None


def recovery(ledger: Ledger, kill: Kill) -> Recovery:
    """Return the recovery of all customers with a backlog, taken together."""
    accounts = [account for account in ledger.accounts.values() if account.customer.has_backlog]
    leased_ms = sorted(lease.leased_at_ms for account in accounts for lease in account.leases)
    promised = sum(
        account.customer.share * WINDOW_MS / interval_in_force_ms(account.rates, kill.at_ms)
        for account in accounts
    )
    return Recovery(kill.name, full_rate_back_ms(leased_ms, promised, kill.at_ms))


def full_rate_back_ms(leased_ms: Sequence[float], promised: float, killed_ms: float) -> int | None:
    """Return the time in ms from a kill after which every second that began within LOOK_MS of it got its leases.

    Args:
        leased_ms: when the leases were made, ascending; known to WINDOW_MS + LOOK_MS after the kill.
        promised: leases in WINDOW_MS.

    Returns:
        0 if no second after the kill got less; None if the last one looked at did.
    """
    back_ms: int | None = 0
    for after_ms in range(0, LOOK_MS, STEP_MS):
        begin = bisect_left(leased_ms, killed_ms + after_ms)
        count = bisect_left(leased_ms, killed_ms + after_ms + WINDOW_MS) - begin
        if count < DELIVERED_AT_LEAST * promised:
            back_ms = after_ms + STEP_MS
    return back_ms if back_ms != LOOK_MS else None
