"""Watches the leases of a run for what holds whatever the model says: spacing (I2), tokens (I4), deliveries (I7)."""

from __future__ import annotations

from dataclasses import dataclass, field

from sharq_core.limits import Burst
from sharq_core.models import LeasedJob

Rate = tuple[int, Burst]
"""interval in µs, burst"""


@dataclass
class History:
    """The leases of one queue, µs, since its rate last changed, and the last one before.

    was_forgotten: its record went after the last lease.
    """

    rate: Rate
    leases: list[int] = field(default_factory=list)
    before: int | None = None
    was_forgotten: bool = False


class Witness:
    """Sees every rate and every lease."""

    def __init__(self) -> None:
        self._histories: dict[str, History] = {}
        self._tokens: set[str] = set()

    def see_rate(self, queue_id: str, rate: Rate | None) -> None:
        """The rate in force now; None: the queue is unknown. A queue that is forgotten owes its new rate nothing."""
        history = self._histories.get(queue_id)
        if rate is None:
            if history:
                history.was_forgotten = True
        elif history is None:
            self._histories[queue_id] = History(rate)
        elif history.rate != rate:
            last = (
                None if history.was_forgotten else (history.leases[-1] if history.leases else history.before)
            )
            self._histories[queue_id] = History(rate, before=last)

    def see_lease(self, job: LeasedJob, requeue_limit: int, now_us: int) -> None:
        """A lease at now_us under the rate last seen."""
        history = self._histories[job.queue_id]
        interval_us, burst = history.rate
        for count, lease_us in enumerate(reversed(history.leases), start=2):
            assert (count - burst) * interval_us <= now_us - lease_us, (
                f"{job.queue_id}: {count} leases too close"
            )
        if burst == 1 and history.before is not None and not history.leases:
            assert now_us - history.before >= interval_us, f"{job.queue_id}: too close after a rate change"
        history.leases.append(now_us)
        history.was_forgotten = False
        assert job.lease not in self._tokens
        self._tokens.add(job.lease)
        assert requeue_limit < 0 or job.attempt <= requeue_limit + 1
