"""The named caps of a run, and the leases that break one: rates with the grace, leases at one time, and holds.

The judge sees leases in real time: each is told by the clock of its queue's server, and history.py turns that into the
machine's. A cap's slots are the ledger's, whose clock no lease shows; docs/decisions/named-caps.md says why this is the
clock of the promise.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tests.support.load.promise import NamedCap, Taken, too_early


class NamedChange(msgspec.Struct, frozen=True):
    """A call that replaced a cap: sent and answered at these times, by the machine's clock."""

    sent_ms: float
    answered_ms: float
    cap: NamedCap


def over_named_cap(leases: Sequence[Taken], cap: NamedCap, changes: Sequence[NamedChange]) -> list[Taken]:
    """Return the leases that were more than `burst + (t + g) / interval` in some time t, by each limit of a cap.

    From a change's call until no slot of the former definition can be used, either may count, and nothing is judged.

    Args:
        leases: of the queues with this cap, in the order of their times.
        cap: the definition at the beginning.
        changes: of this cap, in the order of their times.

    Cost: O(limits * leases * (1 + changes)).
    """
    found: list[Taken] = []
    since_ms, current = float("-inf"), cap
    for change in [*changes, None]:
        until_ms = float("inf") if change is None else change.sent_ms
        judged = [lease for lease in leases if since_ms < lease.at_ms < until_ms]
        for limit in current.limits:
            found += too_early(judged, limit, grace_ms=current.grace_ms)
        if change is not None:
            since_ms, current = change.answered_ms + current.settled_ms, change.cap
    return found
