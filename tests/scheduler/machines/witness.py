"""Watches the leases of a run for what holds whatever the model says: spacing and units (I2, I12), tokens (I4),
deliveries (I7), and leases at one time (I13).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sharq_core.limits import Burst
from sharq_core.models import LeasedJob, QueueStats

Rate = tuple[int, Burst]
"""interval in µs, burst"""


@dataclass
class History:
    """The leases of one queue since its rate last changed, as lists of (time in µs, units), and the time of the last
    one before.

    refunds: what corrections gave back since then, as (number of leases before it, units).
    was_forgotten: its record went after the last lease.
    """

    rate: Rate
    leases: list[tuple[int, int]] = field(default_factory=list)
    refunds: list[tuple[int, int]] = field(default_factory=list)
    before: int | None = None
    was_forgotten: bool = False


class Witness:
    """Sees every rate, every lease and every correction of a lease's cost."""

    def __init__(self) -> None:
        self._histories: dict[str, History] = {}
        self._tokens: dict[str, tuple[str, int]] = {}

    def see_rates(self, queues: dict[str, QueueStats]) -> None:
        """Note the present rates of queues."""
        for queue_id, queue in queues.items():
            self.see_rate(queue_id, (queue.interval_us, queue.burst) if queue.is_known else None)

    def see_rate(self, queue_id: str, rate: Rate | None) -> None:
        """The rate in force now; None: the queue is unknown. A queue that is forgotten owes its new rate nothing."""
        history = self._histories.get(queue_id)
        if rate is None:
            if history:
                history.was_forgotten = True
        elif history is None:
            self._histories[queue_id] = History(rate)
        elif history.rate != rate:
            last = history.leases[-1][0] if history.leases else history.before
            self._histories[queue_id] = History(rate, before=None if history.was_forgotten else last)

    def see_lease(self, job: LeasedJob, requeue_limit: int, now_us: int) -> None:
        """A lease at now_us under the rate last seen.

        Of any leases of a queue, all but the last together took at most the units that the time and the burst allow,
        and what corrections gave back after the first of them. The last may overdraw.
        """
        history = self._histories[job.queue_id]
        interval_us, burst = history.rate
        slack_us = (round(burst * 100) - 100) * interval_us // 100
        units = 0
        refunds = history.refunds.copy()
        for index, (lease_us, cost) in reversed([*enumerate(history.leases)]):
            units += cost
            while refunds and refunds[-1][0] > index:
                units -= refunds.pop()[1]
            assert units * interval_us <= now_us - lease_us + slack_us, (
                f"{job.queue_id}: {units} units too soon"
            )
        last_us = history.leases[-1][0] if history.leases else history.before
        if burst == 1 and last_us is not None and not history.was_forgotten:
            assert now_us - last_us >= interval_us, f"{job.queue_id}: two leases too close"
        history.leases.append((now_us, job.cost))
        history.was_forgotten = False
        assert job.lease not in self._tokens
        self._tokens[job.lease] = job.queue_id, job.cost
        assert requeue_limit < 0 or job.attempt <= requeue_limit + 1

    def see_correction(self, token: str, cost: int) -> None:
        """A lease took fewer units than it counted for. What it took more is only paid later, and not judged here."""
        queue_id, known = self._tokens[token]
        history = self._histories[queue_id]
        if cost < known:
            history.refunds.append((len(history.leases), known - cost))

    def known_cost(self, token: str) -> int:
        """Return what the job of a lease was known to cost at that lease."""
        return self._tokens[token][1]

    def see_leased(self, queue_id: str, leased: int, max_leased: int | None) -> None:
        """A call leased jobs of a queue or extended leases of it, and the queue has so many leases now."""
        assert max_leased is None or leased <= max_leased, f"{queue_id}: {leased} leases of {max_leased}"
