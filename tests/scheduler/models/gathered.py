"""The scheduler of one gathered type in plain Python: what the functions about the type as a whole ought to answer."""

from __future__ import annotations

from msgspec import UNSET

from sharq_core.campaigns.quotas import Zone
from sharq_core.limits import BlockedBy, Explanation, TypeSettings, TypeStats
from sharq_core.models import JobState
from tests.scheduler.models.model import Model
from tests.scheduler.models.quotas import Reach
from tests.scheduler.models.records import Queue
from tests.scheduler.models.types import first_reason


class GatheredModel(Model):
    """The scheduler, with the functions about a type."""

    def pause_all(self, is_paused: bool) -> None:
        """Pause everything, or resume it."""
        self.state.rules.is_all_paused = is_paused
        self._keep()

    def pause_type(self, is_paused: bool) -> None:
        """Pause the type, or resume it."""
        self.state.rules.pause(is_paused)
        self._keep()

    def set_type(self, settings: TypeSettings, reach: dict[Zone, Reach]) -> TypeStats:
        """Change the type's settings; a shard brings the periods of some zones."""
        self.state.open_quotas()
        self.state.rules.change(settings, self.state.now_us, self.state.lease_number > 0)
        if settings.quotas is not UNSET:
            self.state.rules.quotas.replace(settings.quotas or [], reach)
            self.state.open_quotas()
        self._keep()
        return self.type_stats()

    def put_periods(self, reach: dict[Zone, Reach]) -> int:
        """A shard brings the periods of some zones."""
        return self.state.rules.quotas.put(reach)

    def _keep(self) -> None:
        """Settings are kept, and so is the partition's time, although there may be nothing to count."""
        self.state.settle()
        self.state.keep_time(is_forced=True)

    def type_stats(self) -> TypeStats:
        """The type's settings and figures."""
        rules, now_us, explanation = self.state.seen_rules(), self.state.now_us, self.explain()
        return TypeStats(
            is_paused=rules.is_paused,
            limits=[bucket.limit for bucket in rules.buckets],
            max_leased=rules.max_leased,
            held_until_us=self.state.shown(rules.held_until_us) if rules.held_until_us > now_us else None,
            queued=len(self.state.in_state(JobState.QUEUED)),
            delayed=len(self.state.in_state(JobState.DELAYED)),
            leased=self._leased(),
            dead=len(self.state.letters),
            queues=len(self.state.queues),
            blocked_by=explanation.blocked_by,
            next_ready_in_us=explanation.next_ready_in_us,
            retry=rules.retry,
            expires_us=rules.expires_us,
            on_expiry=rules.on_expiry,
            quotas=[count.use() for count in rules.quotas.counts],
        )

    def explain(self) -> Explanation:
        """Why the type leases nothing. Of queues that are not ready, the first one by id answers."""
        return self.explanations()[0]

    def explanations(self) -> list[Explanation]:
        """The reasons of the queues that may come first: any queue with jobs, if none is ready."""
        queues = [
            (queue.place_us, name) for name, queue in self.state.queues.items() if queue.place_us is not None
        ]
        waiting = {job.queue_id for job in self.state.in_state(JobState.QUEUED)}
        names = [min(queues)[1]] if queues else sorted(waiting)
        if names:
            return [self._explain(self.state.queues[name], name) for name in names]
        delayed = self.state.in_state(JobState.DELAYED)
        if delayed:
            # The timers of deleted jobs stand until these are swept, so that the time may be too early.
            deleted = [job for job in self.state.leftovers.values() if job.state is JobState.DELAYED]
            return [self._under_type(BlockedBy.DELAYED, min(job.due_us for job in [*delayed, *deleted]))]
        return [self._under_type(BlockedBy.EMPTY, None)]

    def _explain(self, queue: Queue, queue_id: str) -> Explanation:
        leased = len(self.state.in_state(JobState.LEASED, queue_id))
        reason = queue.blocked_by(self.state.now_us, 1, 0, leased)
        is_open = not queue.is_paused and not self.state.is_full(queue_id)
        return self._under_type(reason, queue.ready_us if is_open else None)

    def _under_type(self, reason: BlockedBy | None, at_us: int | None) -> Explanation:
        rules, now_us = self.state.seen_rules(), self.state.now_us
        is_known = at_us is not None and not rules.is_stopped(self._leased())
        ready_us = max(at_us or 0, rules.ready_us, now_us)
        return Explanation(
            first_reason(rules.blocked_by(self._leased(), now_us), reason),
            ready_us - now_us if is_known else None,
        )
