"""Runs the scheduler's functions about queues with caps beside those about jobs."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from sharq_core.caps import CapUses, ParkedPage, Permit
from sharq_core.limits import Burst, Explanation, QueueSettings
from sharq_core.models import EnqueueStatus, NewJob, QueueStats
from sharq_core.scheduler.caps.capped_calls import CappedReply
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES
from tests.scheduler.drivers.driver import LEASE_US, RANDOM, new_job
from tests.scheduler.drivers.windows import WindowDriver


def capped(
    job_id: str,
    *caps: str,
    queue_id: str = "q",
    queue_type: str = "sms",
    interval_us: int = 0,
    burst: Burst | None = None,
    delay_us: int = 0,
    cost: int = 1,
    max_leased: int | None = None,
    requeue_limit: int = -1,
) -> NewJob:
    """A job whose queue, which has no rate, gets these caps; without any, it has none from now on."""
    job = new_job(
        job_id,
        queue_id,
        queue_type=queue_type,
        interval_us=interval_us,
        burst=burst,
        delay_us=delay_us,
        cost=cost,
        max_leased=max_leased,
        requeue_limit=requeue_limit,
    )
    return structs.replace(job, caps=caps)


class CappedDriver(WindowDriver):
    """A driver of one type whose queues have caps."""

    def put_capped(self, job_id: str, *caps: str, queue_id: str = "q", interval_us: int = 0) -> None:
        """Queue one job."""
        (answer,) = self.enqueue(
            capped(job_id, *caps, queue_id=queue_id, queue_type=self.queue_type, interval_us=interval_us)
        )
        assert answer.status is EnqueueStatus.QUEUED

    def capped_reply(
        self,
        *caps: str,
        count: int = MAX_BATCH,
        units: int = 1,
        lease_us: int = LEASE_US,
        per_queue: int = MAX_BATCH,
        max_bytes: int = MAX_CALL_BYTES,
        permits: Sequence[Sequence[Permit]] = (),
        most_us: int | None = None,
    ) -> CappedReply:
        """Lease up to `count` jobs of queues with exactly these caps."""
        return self.value(
            self.functions.capped.dequeue_capped(
                self.partition,
                self.queue_type,
                caps,
                count,
                units,
                lease_us,
                RANDOM,
                per_queue=per_queue,
                max_bytes=max_bytes,
                permits=permits,
                most_us=most_us,
                now_us=self.now_us,
            )
        )

    def capped_ids(self, *caps: str, count: int = MAX_BATCH, units: int = 1) -> list[str]:
        """The same; only the ids of the jobs."""
        found = self.capped_reply(*caps, count=count, units=units).dequeue
        return [job.job_id for job in found.jobs]

    def parked(self, since: int = 0, limit: int = MAX_BATCH) -> ParkedPage:
        """The sets that have news."""
        call = self.functions.capped.list_parked(
            self.partition, self.queue_type, since, limit, now_us=self.now_us
        )
        return self.value(call)

    def parked_sets(self) -> dict[tuple[str, ...], tuple[int, int]]:
        """The due time and the number of due queues of each set."""
        return {found.names: (found.due_us, found.due_queues) for found in self.parked().sets}

    def set_caps(self, *caps: str, queue_id: str = "q") -> QueueStats:
        """Set the caps of a queue, or clear them."""
        return self.set_queue(QueueSettings(caps=caps or None), queue_id)

    def explain(self) -> Explanation:
        """Why the type leases nothing."""
        return self.value(self.types.explain(self.partition, self.queue_type, now_us=self.now_us))

    def uses(self, name: str, after: int = 0) -> CapUses:
        """The queues that have a cap."""
        return self.value(
            self.functions.capped.cap_uses(self.partition, name, after=after, now_us=self.now_us)
        )
