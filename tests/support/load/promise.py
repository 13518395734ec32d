"""The limits that a run's queues and their type promise, and the counts of leases that break one (I2, I12, I13, I14).

Pure reckoning on times: ms by one clock, cut to whole ms.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sharq_core.caps import grace_us, horizon_us
from sharq_core.limits import LimitUnit
from tests.support.load.life import ORDINARY, Life

ROUNDING_MS = 1
"""Times on the wire are whole milliseconds."""


class Rate(msgspec.Struct, frozen=True):
    """A rate in jobs or in units of cost.

    Attributes:
        interval_ms: the least time between two units at burst 1.
        burst: units that may go back to back, 1 or more.
    """

    interval_ms: float
    burst: float = 1
    unit: LimitUnit = LimitUnit.COST


class NamedCap(msgspec.Struct, frozen=True):
    """A cap over any queues.

    Attributes:
        limits: up to three; all of them hold.
        max_leased: the most leases at one time; None for no limit.
    """

    name: str
    limits: tuple[Rate, ...] = ()
    max_leased: int | None = None

    @property
    def horizon_ms(self) -> float:
        """The longest time for which slots may have been reserved ahead."""
        return horizon_us(self._intervals_us()) / 1000

    @property
    def grace_ms(self) -> float:
        """The time after its slot within which a lease may come (g)."""
        return grace_us(self._intervals_us()) / 1000

    @property
    def settled_ms(self) -> float:
        """The time after a call until no slot is used that was reserved before it."""
        return self.horizon_ms + self.grace_ms

    def _intervals_us(self) -> list[int]:
        return [round(limit.interval_ms * 1000) for limit in self.limits]


class Promise(msgspec.Struct, frozen=True):
    """The limits of a run. The job of number n in its queue costs 1 + n % most_cost.

    Attributes:
        rate: of every queue.
        max_leased: of every queue; None for no limit.
        gap_ms: the time in which a queue gets one more job; None for a little less than its rate takes.
        caps: the limits of the type, if it is a gathered one.
        type_max_leased: the most leases of the type; None for no limit.
        life: of every job.
        windows: those of the jobs of the queues q0, q1 and so on in turn; None for none.
        named: the named caps of the run.
        cap_sets: the names of those of the queues q0, q1 and so on in turn; empty for none.
    """

    rate: Rate
    most_cost: int = 1
    max_leased: int | None = None
    gap_ms: float | None = None
    caps: tuple[Rate, ...] = ()
    type_max_leased: int | None = None
    life: Life = ORDINARY
    windows: tuple[str | None, ...] = (None,)
    named: tuple[NamedCap, ...] = ()
    cap_sets: tuple[tuple[str, ...], ...] = ((),)

    def cost(self, number: int) -> int:
        """Return the cost of a queue's job of this number."""
        return 1 + number % self.most_cost

    def window(self, queue: str) -> str | None:
        """Return the window of the jobs of a queue."""
        return self.windows[int(queue.removeprefix("q")) % len(self.windows)]

    def cap_names(self, queue: str) -> tuple[str, ...]:
        """Return the names of the named caps of a queue."""
        return self.cap_sets[int(queue.removeprefix("q")) % len(self.cap_sets)]

    @property
    def pause_ms(self) -> float:
        """The time that a producer lets pass for each job that it sent."""
        if self.gap_ms is not None:
            return self.gap_ms
        return self.rate.interval_ms * (1 + self.most_cost) / 2 / 1.1


class Taken(msgspec.Struct, frozen=True):
    """A lease as a rate sees it."""

    at_ms: int
    cost: int


class Change(msgspec.Struct, frozen=True):
    """A call that replaced the caps of the type: sent and answered at these times. A new one begins one interval after
    the last lease.
    """

    sent_ms: float
    answered_ms: float
    caps: tuple[Rate, ...]


MOST_IN_GRACE = 100
"""Most leases that are looked at for one that was swapped."""


def too_early(
    leases: Sequence[Taken], rate: Rate, not_before_ms: float = float("-inf"), grace_ms: float = 0
) -> list[Taken]:
    """Return the leases that came before the rate let them.

    Leases i to j break a rate if the units of i to j - 1 need more time than passed, less the burst's; the last job
    may overdraw. Every stretch is judged, because the ready time is that of the stretch which asks for most.

    Args:
        leases: in the order of their times.
        not_before_ms: the ready time before the first one.
        grace_ms: the time by which a lease may be late without a later slot of the next one (g of a named cap): in any
            time t there may be `burst + (t + g) / interval`. Two leases within it may come in another order than their
            slots, so the job that overdraws is the dearest of them.

    Source: the generic cell rate algorithm (ITU-T I.371), with the cost of each cell.
    """
    found = []
    ready_ms = not_before_ms
    slack_ms = (rate.burst - 1) * rate.interval_ms + grace_ms
    for index, lease in enumerate(leases):
        units = _units(lease, rate)
        swapped = units
        for earlier in reversed(leases[max(index - MOST_IN_GRACE, 0) : index]):
            if earlier.at_ms <= lease.at_ms - grace_ms:
                break
            swapped = max(swapped, _units(earlier, rate))
        if lease.at_ms < ready_ms - (swapped - units) * rate.interval_ms - ROUNDING_MS:
            found.append(lease)
        ready_ms = max(ready_ms, lease.at_ms - slack_ms) + units * rate.interval_ms
    return found


def _units(lease: Taken, rate: Rate) -> int:
    return 1 if rate.unit is LimitUnit.JOB else lease.cost


def over_caps(leases: Sequence[Taken], caps: Sequence[Rate], changes: Sequence[Change]) -> list[Taken]:
    """Return the leases of a type that one of its caps did not let go.

    Leases while a change is under way may be under the old caps or the new ones, and are not judged.

    Args:
        caps: those at the beginning.
        changes: in the order of their times.
    """
    found: list[Taken] = []
    since_ms, before = float("-inf"), tuple(caps)
    for change in [*changes, None]:
        until_ms = float("inf") if change is None else change.sent_ms
        judged = [lease for lease in leases if since_ms < lease.at_ms < until_ms - ROUNDING_MS]
        earlier = [lease.at_ms for lease in leases if lease.at_ms <= since_ms]
        for rate in before:
            start_ms = earlier[-1] + rate.interval_ms if earlier else float("-inf")
            found += too_early(judged, rate, start_ms)
        if change is not None:
            since_ms, before = change.answered_ms, change.caps
    return found


def crowded(spans: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Return the spans at whose beginning more than `most` of them were under way, this one among them.

    Args:
        spans: (begin, end) of leases that were certainly live from the one to the other.

    Cost: O(n log n + n * the greatest number under way).
    """
    found = []
    live: list[tuple[float, float]] = []
    for span in sorted(spans):
        live = [other for other in live if other[1] > span[0]]
        live.append(span)
        if len(live) > most:
            found.append(span)
    return found


def in_hold(times_ms: Sequence[float], holds: Sequence[tuple[float, float]]) -> list[float]:
    """Return the times that lie in a hold: after its call was answered and before it can have ended."""
    return [
        at_ms
        for at_ms in times_ms
        if any(since_ms < at_ms < until_ms - ROUNDING_MS for since_ms, until_ms in holds)
    ]
