"""Runs the scheduler's real functions on a real store, one at a time and with injected time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import redis

from sharq_core.campaigns.batches import BatchCounts
from sharq_core.job_life import DeadPage, DeadRef, RedriveStatus
from sharq_core.limits import Burst, PauseStatus, QueueSettings
from sharq_core.models import (
    Enqueued,
    ExtendJob,
    FinishJob,
    JobStatus,
    LeasedJob,
    LeaseStatus,
    NewJob,
    QueueStats,
    ReleaseJob,
)
from sharq_core.scheduler.campaigns.batch_calls import BatchCalls
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.job_calls import JobCalls
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.limit_calls import LimitCalls
from sharq_core.scheduler.replies import CountsReply, DequeueReply, ReapReply, Reply, TypeTotals
from sharq_core.scheduler.surveys import RefreshReply, SurveyCalls
from sharq_core.top_queues import TopOrder, TopQueue

T = TypeVar("T")

TYPE = "sms"
START_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
LEASE_US = 10 * SECOND_US
RANDOM = b"12345678"


def new_job(
    job_id: str,
    queue_id: str = "q",
    *,
    queue_type: str = TYPE,
    payload: bytes = b'{"a":1}',
    requeue_limit: int = -1,
    interval_us: int | None = SECOND_US,
    burst: Burst | None = None,
    delay_us: int = 0,
    max_queued_length: int | None = None,
    repeat: bool = False,
    cost: int = 1,
    max_leased: int | None = None,
) -> NewJob:
    """A job for queue `q` at one a second, unless told otherwise."""
    return NewJob(
        queue_type,
        queue_id,
        job_id,
        payload,
        requeue_limit,
        interval_us,
        burst,
        delay_us,
        max_queued_length,
        repeat,
        cost,
        max_leased,
    )


def execute(client: redis.Redis, *words: bytes | str | int) -> Any:
    """One command by its words, as the driver's untyped method sends it."""
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


class Driver:
    """One (partition, type) of a deployment, at a clock that only the test moves.

    Attributes:
        now_us: the time of the next call.
    """

    def __init__(
        self,
        client: redis.Redis,
        prefix: str,
        *,
        retention: Retention | None = None,
        partitions: int = 1,
        partition: int = 0,
        queue_type: str = TYPE,
    ) -> None:
        self.client = client
        self.keys = Keys(prefix, partitions)
        self.functions = Functions(self.keys, retention or Retention())
        self.limits = LimitCalls(self.keys)
        self.partition = partition
        self.queue_type = queue_type
        self.now_us = START_US

    @property
    def job_calls(self) -> JobCalls:
        """The maker of calls about single jobs."""
        return JobCalls(self.keys, self.functions.retention)

    @property
    def batches(self) -> BatchCalls:
        """The maker of calls about batches."""
        return BatchCalls(self.keys, self.functions.retention)

    def get_batch(self, batch: str) -> BatchCounts | None:
        """The numbers of a batch."""
        return self.reply(
            self.batches.get_batch(self.partition, self.queue_type, batch, now_us=self.now_us)
        ).value

    @property
    def surveys(self) -> SurveyCalls:
        """The maker of a shard's index's calls."""
        return SurveyCalls(self.keys, self.functions.retention.tombstones)

    def reply(self, call: FunctionCall[T]) -> Reply[T]:
        """Execute one call and decode its reply."""
        return call.decode(execute(self.client, *call.command.words))

    def replies(self, calls: Sequence[FunctionCall[Any]]) -> list[Reply[Any]]:
        """Execute calls in one round trip and decode their replies."""
        pipe = self.client.pipeline(transaction=False)
        for call in calls:
            execute(pipe, *call.command.words)
        return [call.decode(raw) for call, raw in zip(calls, pipe.execute(), strict=True)]

    def value(self, call: FunctionCall[T]) -> T:
        """Execute a call that always has a value."""
        value = self.reply(call).value
        assert value is not None
        return value

    def cancel_by_prefix(self, queue_id: str, prefix: str) -> int:
        """Cancel the waiting jobs of a queue whose ids begin with a prefix, page by page. Return their number."""
        scan, cancelled = "", 0
        while True:
            call = self.job_calls.cancel_matching(0, TYPE, queue_id, prefix, scan, now_us=self.now_us)
            page = self.value(call)
            cancelled, scan = cancelled + page.cancelled, page.scan
            if not scan:
                return cancelled

    def advance(self, by_us: int) -> None:
        """Move the clock, backwards too."""
        self.now_us += by_us

    def key(self, name: str) -> bytes:
        """One of the partition's keys by its name."""
        return self.keys.of(self.partition, self.queue_type, (name,)).names[0]

    def store_keys(self) -> set[bytes]:
        """The deployment's keys that exist."""
        return set(self.client.scan_iter(match=f"{{{self.keys.prefix}:*", count=1000))

    def enqueue(self, *jobs: NewJob) -> list[Enqueued]:
        """Queue jobs in one call."""
        return self.value(self.functions.enqueue(self.partition, self.queue_type, jobs, now_us=self.now_us))

    def dequeue_reply(
        self,
        count: int = MAX_BATCH,
        *,
        lease_us: int = LEASE_US,
        per_queue: int = MAX_BATCH,
        max_bytes: int = MAX_CALL_BYTES,
        most_us: int | None = None,
    ) -> DequeueReply:
        """Lease up to `count` jobs."""
        return self.value(
            self.functions.dequeue(
                self.partition,
                self.queue_type,
                count,
                lease_us,
                RANDOM,
                per_queue=per_queue,
                max_bytes=max_bytes,
                most_us=most_us,
                now_us=self.now_us,
            )
        )

    def dequeue(self, count: int = MAX_BATCH, *, lease_us: int = LEASE_US) -> list[LeasedJob]:
        """Lease up to `count` jobs and return them."""
        return self.dequeue_reply(count, lease_us=lease_us).jobs

    def dequeue_ids(self, count: int = MAX_BATCH) -> list[str]:
        """Lease up to `count` jobs and return their ids."""
        return [job.job_id for job in self.dequeue(count)]

    def lease_one(self, *, lease_us: int = LEASE_US) -> LeasedJob:
        """Lease the one job that is ready."""
        (job,) = self.dequeue(lease_us=lease_us)
        return job

    def finish(
        self,
        job_id: str,
        lease: str | None,
        queue_id: str = "q",
        *,
        cost: int | None = None,
        hold_us: int = 0,
    ) -> LeaseStatus:
        """Finish one job."""
        jobs = [FinishJob(self.queue_type, queue_id, job_id, lease, cost, hold_us)]
        call = self.functions.finish(self.partition, self.queue_type, jobs, now_us=self.now_us)
        return self.value(call)[0].status

    def extend(self, job_id: str, lease: str, by_us: int, queue_id: str = "q") -> LeaseStatus:
        """Extend one lease."""
        jobs = [ExtendJob(self.queue_type, queue_id, job_id, lease, by_us)]
        call = self.functions.extend(self.partition, self.queue_type, jobs, now_us=self.now_us)
        return self.value(call)[0].status

    def release(
        self,
        job_id: str,
        lease: str,
        delay_us: int = 0,
        queue_id: str = "q",
        *,
        is_void: bool = False,
        cost: int | None = None,
        hold_us: int = 0,
        counts: bool = True,
    ) -> LeaseStatus:
        """Release one job."""
        jobs = [
            ReleaseJob(
                self.queue_type, queue_id, job_id, lease, delay_us, is_void, cost, hold_us, counts=counts
            )
        ]
        call = self.functions.release(self.partition, self.queue_type, jobs, now_us=self.now_us)
        return self.value(call)[0].status

    def interval(
        self, interval_us: int, queue_id: str = "q", *, burst: Burst | None = None, pin: bool | None = None
    ) -> bool:
        """Change a queue's rate."""
        return self.value(
            self.functions.interval(
                self.partition,
                self.queue_type,
                queue_id,
                interval_us,
                burst=burst,
                pin=pin,
                now_us=self.now_us,
            )
        )

    def pause(self, is_paused: bool, queue_id: str = "q") -> bool:
        """Pause or resume a queue; False if there is none."""
        call = self.functions.pause(
            self.partition, self.queue_type, queue_id, is_paused=is_paused, now_us=self.now_us
        )
        return self.value(call) is PauseStatus.DONE

    def hold(
        self, hold_us: int | None = None, queue_id: str = "q", *, until_us: int | None = None
    ) -> PauseStatus:
        """Hold a queue."""
        return self.value(
            self.functions.pause(
                self.partition,
                self.queue_type,
                queue_id,
                is_paused=True,
                hold_us=hold_us,
                until_us=until_us,
                now_us=self.now_us,
            )
        )

    def set_queue(self, settings: QueueSettings, queue_id: str = "q") -> QueueStats:
        """Change a queue's settings."""
        return self.value(
            self.limits.set_queue(self.partition, self.queue_type, queue_id, settings, now_us=self.now_us)
        )

    def list_queue_stats(self, count: int = MAX_BATCH, search: str = "") -> dict[str, QueueStats]:
        """The statistics of all queues, or of those whose ids contain a text."""
        found: dict[str, QueueStats] = {}
        scan = 0
        while True:
            page = self.value(
                self.limits.list_queue_stats(
                    self.partition,
                    self.queue_type,
                    scan,
                    count,
                    search=search,
                    with_ages=True,
                    now_us=self.now_us,
                )
            )
            found.update(page.queues)
            scan = page.scan
            if scan == 0:
                return found

    def delete_queue(self, queue_id: str = "q", *, purge: bool = False, limit: int = MAX_BATCH) -> int:
        """Drop a queue's waiting jobs."""
        return self.value(
            self.functions.delete_queue(
                self.partition, self.queue_type, queue_id, purge=purge, limit=limit, now_us=self.now_us
            )
        )

    def reap(self, limit: int = MAX_BATCH, most_us: int | None = None) -> ReapReply:
        """Run due timers."""
        call = self.functions.reap(
            self.partition, self.queue_type, limit=limit, most_us=most_us, now_us=self.now_us
        )
        return self.value(call)

    def turn(self) -> None:
        """Turn the tombstones if it is time."""
        self.reply(self.functions.turn(self.partition, now_us=self.now_us))

    def redrive(self, *job_ids: str, queue_id: str = "q") -> list[RedriveStatus]:
        """Queue dead letters again."""
        jobs: Sequence[DeadRef] = [DeadRef(self.queue_type, queue_id, job_id) for job_id in job_ids]
        return self.value(self.job_calls.redrive(self.partition, self.queue_type, jobs, now_us=self.now_us))

    def drop_dead(self, limit: int = MAX_BATCH, before_us: int | None = None) -> int:
        """Drop dead letters."""
        return self.value(
            self.job_calls.drop_dead(self.partition, self.queue_type, limit, before_us, now_us=self.now_us)
        )

    def get_job(self, job_id: str, queue_id: str = "q") -> JobStatus | None:
        """One job's status."""
        call = self.job_calls.get_job(self.partition, self.queue_type, queue_id, job_id, now_us=self.now_us)
        return self.reply(call).value

    def get_queue(self, queue_id: str = "q") -> QueueStats:
        """One queue's figures."""
        return self.value(
            self.functions.get_queue(self.partition, self.queue_type, queue_id, now_us=self.now_us)
        )

    def top_queues(self, by: TopOrder, limit: int = 10) -> list[TopQueue]:
        """The queues that come first."""
        call = self.functions.top_queues(self.partition, self.queue_type, by, limit, now_us=self.now_us)
        return self.value(call).queues

    def list_queues(self) -> set[str]:
        """Ids of all queues with live jobs."""
        found: set[str] = set()
        scan = 0
        while True:
            page = self.value(
                self.functions.list_queues(self.partition, self.queue_type, scan, 1000, now_us=self.now_us)
            )
            found.update(page.queue_ids)
            scan = page.scan
            if scan == 0:
                return found

    def list_dead(self, scan: str = "", limit: int = MAX_BATCH) -> DeadPage:
        """A page of dead letters."""
        return self.value(
            self.job_calls.list_dead(self.partition, self.queue_type, scan, limit, now_us=self.now_us)
        )

    def get_counts(self) -> CountsReply:
        """The partition's counts by the minute."""
        return self.value(self.functions.get_counts(self.partition, now_us=self.now_us))

    def refresh(self) -> RefreshReply:
        """Read what a shard's index reads."""
        return self.value(self.surveys.refresh(self.partition, now_us=self.now_us))

    def totals(self) -> TypeTotals:
        """The type's totals; zeros when the store holds none."""
        found = [totals for totals in self.refresh().totals if totals.queue_type == self.queue_type]
        return found[0] if found else TypeTotals(self.queue_type, 0, 0, 0, 0, 0, 0, 0)
