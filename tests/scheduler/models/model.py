"""The scheduler of one (partition, type) in plain Python: what every function ought to answer.

It is written for being read, not for speed: no fence, no timers and no agenda. What makes it comparable call by call:
the place of a queue in the line, lease numbers, and the moments at which timers run (a dequeue and a reap run all that
are due; the bounds of one call are tested elsewhere).

What it knows and how jobs move is in state.py, the ends of leases in leases.py, expiry, cancellations and changes in
life.py, the rates and settings of queues in queues.py, what is read in reads.py.
stored/records.py beside this folder checks how the store keeps it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from sharq_core.campaigns.batches import BatchCounts
from sharq_core.job_changes import CancelJob, CancelOutcome, ChangedJob, JobChange, JobRow
from sharq_core.job_life import DeadPage, DeadRef, RedriveStatus
from sharq_core.limits import Burst, PauseStatus, QueueSettings
from sharq_core.models import (
    Enqueued,
    EnqueueStatus,
    ExtendJob,
    FinishJob,
    JobState,
    JobStatus,
    LeasedJob,
    LeaseOutcome,
    NewJob,
    QueueStats,
    ReleaseJob,
)
from sharq_core.scheduler.functions import Retention
from sharq_core.scheduler.replies import DequeueReply
from tests.scheduler.models import batches as model_batches
from tests.scheduler.models import leases as model_leases
from tests.scheduler.models import life as model_life
from tests.scheduler.models import queues as model_queues
from tests.scheduler.models import reads as model_reads
from tests.scheduler.models.records import Job, JobKey, Queue
from tests.scheduler.models.state import State


class Model:
    """The scheduler; each method answers as the function of its name.

    Attributes:
        state: what it knows, and its clock.
        left_cost: the cost of the first job that the latest dequeue left, because it cost too much.
    """

    def __init__(self, queue_type: str, retention: Retention, now_us: int) -> None:
        self.state = State(queue_type, retention, now_us)
        self.left_cost: int | None = None

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Queue jobs, each on its own."""
        answers = [self._enqueue_one(job) for job in jobs]
        self.state.settle()
        return answers

    def _enqueue_one(self, new: NewJob) -> Enqueued:
        key = (new.queue_id, new.job_id)
        if key in self.state.jobs and self.state.jobs[key].is_over(self.state.now_us):
            self.state.expire(self.state.jobs[key])
        queue = self.state.queue(new.queue_id)
        length = sum(
            job.queue_id == new.queue_id and job.state is not JobState.LEASED
            for job in self.state.jobs.values()
        )
        if key in self.state.jobs or (new.repeat and self.state.is_remembered(key)):
            return Enqueued(EnqueueStatus.DUPLICATE, length)
        if new.batch in self.state.batches and self.state.batches[new.batch].is_cancelled:
            return Enqueued(EnqueueStatus.BATCH_CANCELLED, length)
        if new.max_queued_length is not None and length >= new.max_queued_length:
            return Enqueued(EnqueueStatus.FULL, length)
        if new.interval_us is None and (queue is None or not queue.has_interval):
            return Enqueued(EnqueueStatus.NO_INTERVAL, length)
        due_us = self._due_us(new)
        expires_at_us = model_life.expiry_us(self.state, queue, new, due_us)
        if expires_at_us is not None and expires_at_us <= max(due_us, self.state.now_us):
            return Enqueued(EnqueueStatus.EXPIRES_EARLY, length)
        on_expiry = model_life.fate(self.state, queue, new)
        if queue is None:
            queue = self.state.queues[new.queue_id] = Queue()
        self._adopt_rate(queue, new)
        if new.max_leased is not None and not queue.is_pinned and "max_leased" not in queue.settings:
            queue.max_leased = new.max_leased
        if new.caps is not None and not queue.is_pinned and "caps" not in queue.settings:
            queue.set_caps(new.caps)
        job = Job(
            *key,
            payload=new.payload,
            requeue_limit=new.requeue_limit,
            cost=new.cost,
            priority=new.priority,
            expires_at_us=expires_at_us,
            on_expiry=on_expiry,
            retry=new.retry,
            batch=model_batches.take(self.state, new.batch) if new.batch else None,
            trace=new.trace,
        )
        if job.batch:
            job.batch.accepted, job.batch.retention_us = (
                job.batch.accepted + 1,
                self.state.retention.finished_us,
            )
        self.state.add(queue, job, due_us)
        queue.count(self.state.told_us, 1, 0)
        self.state.count(1, 0)
        self.state.enqueued += 1
        return Enqueued(EnqueueStatus.QUEUED, length)

    def _due_us(self, new: NewJob) -> int:
        if new.at_us is None:
            return self.state.now_us + new.delay_us
        return self.state.partition_time(new.at_us)

    def _adopt_rate(self, queue: Queue, new: NewJob) -> None:
        takes_interval = not queue.has_interval or not (queue.is_pinned or "interval" in queue.settings)
        takes_burst = new.burst and not (queue.is_pinned or "burst" in queue.settings)
        interval_us = queue.interval_us if new.interval_us is None or not takes_interval else new.interval_us
        burst = (takes_burst and new.burst) or queue.burst
        queue.has_interval = True
        if (interval_us, burst) != (queue.interval_us, queue.burst):
            queue.change_rate(interval_us, burst)

    def dequeue(
        self,
        count: int,
        lease_us: int,
        random: bytes,
        *,
        per_queue: int,
        max_bytes: int,
        caps: tuple[str, ...] = (),
        units: int | None = None,
    ) -> DequeueReply:
        """Lease up to `count` ready jobs in rounds, of queues with exactly these caps and of at most `units` points."""
        ended, died = self.state.run_timers(walks=False)
        self.state.settle()
        rules, now_us = self.state.rules, self.state.now_us
        allowed = rules.leases_allowed(self._leased(), now_us, count)
        due = self.state.line(caps) if allowed else []
        self.left_cost = None
        jobs, ready_for_us, is_cut = self._serve(
            due[:allowed], allowed, lease_us, random, per_queue, max_bytes, units
        )
        last_us = now_us + (rules.served if rules.is_recorded else 0)
        self.state.settle()
        places = [self.state.queues[queue_id].place_us for queue_id in due]
        still_due = sum(place_us is not None and place_us <= last_us for place_us in places)
        return DequeueReply(
            jobs,
            ready_for_us,
            self._head_us(),
            len(due),
            still_due if rules.allows(self._leased(), now_us) else 0,
            is_cut,
            ended,
            died,
            self.state.expired,
            self.state.dropped,
        )

    def _leased(self) -> int:
        return len(self.state.in_state(JobState.LEASED))

    def _head_us(self) -> int | None:
        """Return when the type's next queue without caps is due, by the store's clock, if that is known."""
        rules, queues = self.state.rules, self.state.queues.values()
        places = [queue.place_us for queue in queues if queue.place_us is not None and not queue.caps]
        if not places or rules.is_stopped(self._leased()):
            return None
        return self.state.shown(max(min(places), rules.look_at_us(self.state.now_us)))

    def _serve(
        self,
        line: list[str],
        count: int,
        lease_us: int,
        random: bytes,
        per_queue: int,
        max_bytes: int,
        units: int | None,
    ) -> tuple[list[LeasedJob], list[int], bool]:
        leased: list[LeasedJob] = []
        ready_for_us: list[int] = []
        given = dict.fromkeys(line, 0)
        while line and len(leased) < count and self.state.rules.allows(self._leased(), self.state.now_us):
            queue_id = line[0]
            queue, waiting = self.state.queues[queue_id], self._expire_heads(queue_id)
            if not waiting:
                line.pop(0)
                continue
            job, *others = waiting
            if units is not None and job.cost > units:
                self.left_cost = self.left_cost or job.cost
                line.pop(0)
                continue
            if leased and sum(len(done.payload) for done in leased) + len(job.payload) > max_bytes:
                return leased, ready_for_us, True
            if not self.state.rules.quotas.admits(job.cost):
                break
            ready_for_us.append(max(self.state.now_us - max(queue.ready_us, job.due_us), 0))
            leased.append(self._lease(queue, job, lease_us, random, len(others)))
            given[queue_id] += 1
            is_open = self.state.now_us >= queue.tat_us and not self.state.is_full(queue_id)
            goes_on = self._stays_in_turn(queue, is_open and bool(others))
            if goes_on and given[queue_id] < per_queue:
                continue
            line.pop(0)
            if not goes_on and others and is_open and given[queue_id] < per_queue:
                line.append(queue_id)
        return leased, ready_for_us, False

    def _expire_heads(self, queue_id: str) -> list[Job]:
        """Let the expired jobs before the first live one go; returns the jobs that are queued then."""
        waiting = self.state.in_state(JobState.QUEUED, queue_id)
        while waiting and waiting[0].is_over(self.state.now_us):
            self.state.expire(waiting.pop(0))
        return waiting

    def _stays_in_turn(self, queue: Queue, may_give_more: bool) -> bool:
        """A queue keeps its place until it gave as many jobs as its weight."""
        if queue.weight is None:
            return False
        queue.given += 1
        if queue.given >= queue.weight or not may_give_more:
            queue.given = 0
            return False
        queue.was_served = False
        return True

    def _lease(self, queue: Queue, job: Job, lease_us: int, random: bytes, queue_length: int) -> LeasedJob:
        self.state.lease_number += 1
        token = (struct.pack(">Q", self.state.lease_number) + random).hex()
        job.token, job.attempt, job.is_corrected = token, job.attempt + 1, False
        self.state.hold(job, self.state.now_us + lease_us)
        queue.lease(self.state.now_us, job.cost)
        queue.active_us = self.state.now_us
        if self.state.rules.is_recorded:
            queue.served_after_us = self.state.rules.served
            self.state.rules.lease(self.state.now_us, job.cost)
        queue.count(self.state.told_us, 0, 1)
        self.state.count(0, 1)
        return LeasedJob(
            queue_type=self.state.queue_type,
            queue_id=job.queue_id,
            job_id=job.job_id,
            payload=job.payload,
            lease=token,
            leased_until_us=self.state.shown(job.due_us),
            enqueued_at_us=self.state.shown(job.enqueued_at_us),
            attempt=job.attempt,
            requeues_remaining=-1 if job.requeue_limit < 0 else job.requeue_limit - job.attempt + 1,
            queue_length=queue_length,
            cost=job.cost,
            priority=job.priority,
            expires_at_us=None if job.expires_at_us is None else self.state.shown(job.expires_at_us),
            trace=job.trace,
        )

    def finish(self, refs: Sequence[FinishJob]) -> list[LeaseOutcome]:
        """End leases and forget the jobs."""
        return model_leases.finish(self.state, refs)

    def extend(self, refs: Sequence[ExtendJob]) -> list[LeaseOutcome]:
        """Move the ends of leases; a job that waits again is taken back in hand."""
        return model_leases.extend(self.state, refs)

    def release(self, refs: Sequence[ReleaseJob]) -> list[LeaseOutcome]:
        """Give jobs back unfinished."""
        return model_leases.release(self.state, refs)

    def interval(self, queue_id: str, interval_us: int, burst: Burst | None, pin: bool | None) -> bool:
        """Change a queue's rate."""
        return model_queues.interval(self.state, queue_id, interval_us, burst, pin)

    def pause(self, queue_id: str, is_paused: bool) -> bool:
        """Pause or resume a queue."""
        return model_queues.pause(self.state, queue_id, is_paused)

    def hold(self, queue_id: str, hold_us: int | None, until_us: int | None) -> PauseStatus:
        """Hold a queue for a time, or until one by the store's clock."""
        return model_queues.hold(self.state, queue_id, hold_us, until_us)

    def set_queue(self, queue_id: str, settings: QueueSettings) -> QueueStats:
        """Change the settings of a queue."""
        return model_queues.set_queue(self.state, queue_id, settings)

    def delete_queue(self, queue_id: str, purge: bool, limit: int) -> int:
        """Drop what waits in a queue; what is leased runs out."""
        return model_queues.delete_queue(self.state, queue_id, purge, limit)

    def reap(self) -> tuple[int, ...]:
        """Run all due timers; returns leases ended, deaths at the requeue limit, jobs expired, and jobs dropped."""
        for key in [
            key for key, letter in self.state.letters.items() if self.state.letter(key) is not letter
        ]:
            self.state.drop_letter(key)
        ended_died = self.state.run_timers(walks=True)
        self.drop_dead(max(len(self.state.letters) - self.state.retention.dead, 0))
        model_queues.drop_blank_totals(self.state)
        self.state.settle()
        return *ended_died, self.state.expired, self.state.dropped

    def redrive(self, refs: Sequence[DeadRef]) -> list[RedriveStatus]:
        """Queue dead letters again."""
        answers = [self._redrive_one((ref.queue_id, ref.job_id)) for ref in refs]
        self.state.settle()
        return answers

    def _redrive_one(self, key: JobKey) -> RedriveStatus:
        letter = self.state.letter(key)
        if letter is None:
            return RedriveStatus.NOT_FOUND
        if key in self.state.jobs:
            return RedriveStatus.DUPLICATE
        if letter.job.has_cancelled_batch:
            return RedriveStatus.BATCH_CANCELLED
        del self.state.letters[key]
        queue = self.state.queue(key[0])
        if queue is None:
            queue = Queue(letter.interval_us, letter.burst, max_leased=letter.max_leased, caps=letter.caps)
            self.state.queues[key[0]] = queue
        dead = letter.job
        job = Job(
            *key,
            payload=dead.payload,
            requeue_limit=dead.requeue_limit,
            cost=dead.cost,
            priority=dead.priority,
            retry=dead.retry,
            batch=None if dead.batch is None or dead.batch.is_forgotten else dead.batch,
            trace=dead.trace,
        )
        self.state.add(queue, job, self.state.now_us)
        return RedriveStatus.QUEUED

    def drop_dead(self, limit: int) -> int:
        """Drop the oldest dead letters."""
        oldest = sorted(self.state.letters, key=self.state.death_of)[:limit]
        for key in oldest:
            self.state.drop_letter(key)
        self.state.keep_time()
        return len(oldest)

    def get_job(self, key: JobKey) -> JobStatus | None:
        """Return one job's status."""
        return model_reads.get_job(self.state, key)

    def get_queue(self, queue_id: str) -> QueueStats:
        """Return one queue's statistics."""
        return model_reads.get_queue(self.state, queue_id)

    def cancel(self, refs: Sequence[CancelJob]) -> list[CancelOutcome]:
        """Cancel jobs by their ids."""
        return model_life.cancel(self.state, refs)

    def cancel_matching(self, queue_id: str, prefix: str) -> int:
        """Cancel the waiting jobs of a queue with a prefix."""
        return model_life.cancel_matching(self.state, queue_id, prefix)

    def change_job(self, key: JobKey, change: JobChange) -> ChangedJob:
        """Change a waiting job."""
        return model_life.change_job(self.state, key, change)

    def list_jobs(self, queue_id: str, job_state: JobState, prefix: str) -> list[JobRow]:
        """Return all jobs of a queue in a state."""
        return model_life.list_jobs(self.state, queue_id, job_state, prefix)

    def drop_dead_letter(self, key: JobKey) -> bool:
        """Drop one dead letter."""
        return model_life.drop_dead_letter(self.state, key)

    def list_dead(self, scan: str, limit: int) -> DeadPage:
        """Return a page of dead letters, oldest first."""
        return model_reads.list_dead(self.state, scan, limit)

    def get_batch(self, name: str) -> BatchCounts | None:
        """Return the numbers of a batch."""
        return model_batches.counts(self.state, name)

    def cancel_batch(self, name: str) -> int:
        """Cancel a batch and its waiting jobs."""
        return model_batches.cancel(self.state, name)

    def drop_batch(self, name: str) -> bool:
        """Forget a batch that is over."""
        return model_batches.drop(self.state, name)

    def minute_rows(self) -> list[tuple[int, int, int]]:
        """Return the numbers of enqueued and leased jobs, by the minute."""
        return [(minute, row[0], row[1]) for minute, row in self.state.minutes.items()]
