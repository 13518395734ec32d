"""The scheduler of one (partition, type) in plain Python: what every function ought to answer.

It is written for being read, not for speed: no fence, no timers and no agenda. What makes it comparable call by call:
the place of a queue in the line, lease numbers, and the moments at which timers run (a dequeue and a reap run all that
are due; the bounds of one call are tested elsewhere).

What it knows and how jobs move is in model_state.py, the rates and settings of queues in model_queues.py, what is read
in model_reads.py. records.py checks how the store keeps it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from sharq_core.dead_letters import DeadPage, DeadRef, RedriveStatus
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
    LeaseStatus,
    NewJob,
    QueueStats,
    ReleaseJob,
)
from sharq_core.scheduler.functions import Retention
from sharq_core.scheduler.replies import DequeueReply
from tests.scheduler import model_queues, model_reads
from tests.scheduler.model_records import Job, JobKey, Kind, Queue
from tests.scheduler.model_state import State


class Model:
    """The scheduler; each method answers as the function of its name.

    Attributes:
        state: what it knows, and its clock.
    """

    def __init__(self, queue_type: str, retention: Retention, now_us: int) -> None:
        self.state = State(queue_type, retention, now_us)

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Queue jobs, each on its own."""
        answers = [self._enqueue_one(job) for job in jobs]
        self.state.settle()
        return answers

    def _enqueue_one(self, new: NewJob) -> Enqueued:
        key = (new.queue_id, new.job_id)
        queue = self.state.queue(new.queue_id)
        length = sum(
            job.queue_id == new.queue_id and job.state is not JobState.LEASED
            for job in self.state.jobs.values()
        )
        if key in self.state.jobs or (new.repeat and self.state.is_remembered(key)):
            return Enqueued(EnqueueStatus.DUPLICATE, length)
        if new.max_queued_length is not None and length >= new.max_queued_length:
            return Enqueued(EnqueueStatus.FULL, length)
        if new.interval_us is None and (queue is None or not queue.has_interval):
            return Enqueued(EnqueueStatus.NO_INTERVAL, length)
        if queue is None:
            queue = self.state.queues[new.queue_id] = Queue()
        self._adopt_rate(queue, new)
        if new.max_leased is not None and not queue.is_pinned and "max_leased" not in queue.settings:
            queue.max_leased = new.max_leased
        self.state.add(
            queue, new.queue_id, new.job_id, new.payload, new.requeue_limit, new.delay_us, new.cost
        )
        queue.count(self.state.told_us, 1, 0)
        self.state.count(1, 0)
        self.state.enqueued += 1
        return Enqueued(EnqueueStatus.QUEUED, length)

    def _adopt_rate(self, queue: Queue, new: NewJob) -> None:
        takes_interval = not queue.has_interval or not (queue.is_pinned or "interval" in queue.settings)
        takes_burst = new.burst and not (queue.is_pinned or "burst" in queue.settings)
        interval_us = queue.interval_us if new.interval_us is None or not takes_interval else new.interval_us
        burst = (takes_burst and new.burst) or queue.burst
        queue.has_interval = True
        if (interval_us, burst) != (queue.interval_us, queue.burst):
            queue.change_rate(interval_us, burst)

    def dequeue(
        self, count: int, lease_us: int, random: bytes, *, per_queue: int, max_bytes: int
    ) -> DequeueReply:
        """Lease up to `count` ready jobs in rounds."""
        ended, died = self.state.run_timers()
        self.state.settle()
        rules, now_us = self.state.rules, self.state.now_us
        allowed = rules.leases_allowed(self._leased(), now_us, count)
        due = self.state.line() if allowed else []
        jobs, ready_for_us, is_cut = self._serve(allowed, lease_us, random, per_queue, max_bytes)
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
        )

    def _leased(self) -> int:
        return len(self.state.in_state(JobState.LEASED))

    def _head_us(self) -> int | None:
        """Return the time at which the type's next queue is due, by the store's clock, if that is known."""
        rules = self.state.rules
        places = [queue.place_us for queue in self.state.queues.values() if queue.place_us is not None]
        if not places or rules.is_stopped(self._leased()):
            return None
        return self.state.shown(max(min(places), rules.ready_us))

    def _serve(
        self, count: int, lease_us: int, random: bytes, per_queue: int, max_bytes: int
    ) -> tuple[list[LeasedJob], list[int], bool]:
        leased: list[LeasedJob] = []
        ready_for_us: list[int] = []
        given = dict.fromkeys(self.state.line()[:count], 0)
        line = list(given)
        while line and len(leased) < count and self.state.rules.allows(self._leased(), self.state.now_us):
            queue_id = line[0]
            queue, (job, *others) = (
                self.state.queues[queue_id],
                self.state.in_state(JobState.QUEUED, queue_id),
            )
            if leased and sum(len(done.payload) for done in leased) + len(job.payload) > max_bytes:
                return leased, ready_for_us, True
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
        )

    def _report(self, job: Job, ref: FinishJob | ReleaseJob) -> None:
        """Correct the cost of a lease once, and hold the queue."""
        queue = self.state.queues[job.queue_id]
        if ref.cost is not None and not job.is_corrected:
            job.is_corrected, job.corrected_cost = True, ref.cost
            queue.correct(job.cost, ref.cost)
            self.state.rules.correct(ref.cost - job.cost)
        if ref.hold_us:
            queue.hold(self.state.now_us + ref.hold_us)
        if ref.hold_type_us:
            self.state.rules.hold(self.state.now_us + ref.hold_type_us)

    def finish(self, refs: Sequence[FinishJob]) -> list[LeaseOutcome]:
        """End leases and forget the jobs."""
        answers = [self._finish_one(ref) for ref in refs]
        self.state.settle()
        return answers

    def _finish_one(self, ref: FinishJob) -> LeaseOutcome:
        job = self._find(ref.queue_id, ref.job_id, ref.lease, "finish")
        if isinstance(job, LeaseStatus):
            return LeaseOutcome(job)
        self._report(job, ref)
        self.state.bury(job, Kind.FINISHED)
        self.state.finished += 1
        self.state.queues[job.queue_id].active_us = self.state.now_us
        return LeaseOutcome(LeaseStatus.DONE)

    def extend(self, refs: Sequence[ExtendJob]) -> list[LeaseOutcome]:
        """Move the ends of leases; a job that waits again is taken back in hand."""
        answers = [self._extend_one(ref) for ref in refs]
        self.state.settle()
        return answers

    def _extend_one(self, ref: ExtendJob) -> LeaseOutcome:
        job = self._find(ref.queue_id, ref.job_id, ref.lease, "extend")
        if isinstance(job, LeaseStatus):
            return LeaseOutcome(job)
        is_full = self.state.is_full(job.queue_id) or self.state.rules.is_full(self._leased())
        if job.state is not JobState.LEASED and is_full:
            return LeaseOutcome(LeaseStatus.LOST)
        job.attempt += job.is_uncounted
        self.state.hold(job, self.state.now_us + ref.by_us)
        self.state.queues[job.queue_id].active_us = self.state.now_us
        return LeaseOutcome(LeaseStatus.DONE, self.state.shown(job.due_us))

    def release(self, refs: Sequence[ReleaseJob]) -> list[LeaseOutcome]:
        """Give jobs back unfinished."""
        answers = [self._release_one(ref) for ref in refs]
        self.state.settle()
        return answers

    def _release_one(self, ref: ReleaseJob) -> LeaseOutcome:
        job = self._find(ref.queue_id, ref.job_id, ref.lease, "release")
        if isinstance(job, LeaseStatus):
            return LeaseOutcome(job)
        if job.state is JobState.LEASED:
            if ref.is_void:
                job.attempt, job.token = job.attempt - 1, None
            else:
                self._give_back(job, ref)
            self.state.queues[job.queue_id].active_us = self.state.now_us
            self.state.end_lease(job, self.state.now_us + ref.delay_us)
            is_dead = any(letter.job is job for letter in self.state.letters.values())
            return LeaseOutcome(LeaseStatus.DONE, is_dead=is_dead)
        has_report = ref.cost is not None or ref.hold_us or ref.hold_type_us or not ref.counts
        if has_report and not job.is_released:
            self._give_back(job, ref)
        return LeaseOutcome(LeaseStatus.DONE)

    def _give_back(self, job: Job, ref: ReleaseJob) -> None:
        """Note that a worker gave a job back, and what it reports."""
        job.is_released = True
        self._report(job, ref)
        job.is_uncounted = not ref.counts
        job.attempt -= job.is_uncounted
        self.state.queues[job.queue_id].active_us = self.state.now_us

    def _find(self, queue_id: str, job_id: str, lease: str | None, verb: str) -> Job | LeaseStatus:
        """The job that a lease acts on, or what became of it."""
        key = (queue_id, job_id)
        job = self.state.jobs.get(key)
        if lease is None:
            return job if job and job.state is JobState.LEASED else LeaseStatus.NOT_FOUND
        if job and job.token == lease:
            return job
        return self._what_became_of(key, lease, verb)

    def _what_became_of(self, key: JobKey, lease: str, verb: str) -> LeaseStatus:
        tombstone, letter, leftover = (
            self.state.tombstone(key),
            self.state.letter(key),
            self.state.leftovers.get(key),
        )
        is_tombstone_of_it = tombstone is not None and tombstone.job.token == lease
        was_leased = leftover is not None and (leftover.attempt > 0 or leftover.token is not None)
        if tombstone and is_tombstone_of_it and tombstone.kind is Kind.FINISHED:
            if verb == "finish":
                return LeaseStatus.DONE
            return LeaseStatus.LOST if key in self.state.jobs or was_leased else LeaseStatus.NOT_FOUND
        gone = [
            leftover,
            letter and letter.job,
            tombstone.job if tombstone and tombstone.kind is Kind.RELEASED else None,
        ]
        if verb == "release" and any(job and job.token == lease and job.is_released for job in gone):
            return LeaseStatus.DONE
        return (
            LeaseStatus.LOST
            if tombstone or letter or key in self.state.jobs or was_leased
            else LeaseStatus.NOT_FOUND
        )

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
        waiting = [
            *self.state.in_state(JobState.QUEUED, queue_id),
            *self.state.in_state(JobState.DELAYED, queue_id),
        ]
        if not waiting:
            self.state.keep_time()
            return 0
        for job in waiting:
            self.state.leftovers[job.key] = self.state.jobs.pop(job.key)
        for job in self.state.in_state(JobState.LEASED, queue_id):
            job.is_cancelled = True
        self.state.cancelled += len(waiting)
        queue = self.state.queues[queue_id]
        queue.is_purged, queue.active_us = purge, self.state.now_us
        self.state.sweep(queue_id, limit)
        self.state.settle()
        return len(waiting)

    def reap(self) -> tuple[int, int]:
        """Run all due timers; returns leases ended and deaths."""
        for key in [
            key for key, letter in self.state.letters.items() if self.state.letter(key) is not letter
        ]:
            self.state.drop_letter(key)
        ended_died = self.state.run_timers()
        self.drop_dead(max(len(self.state.letters) - self.state.retention.dead, 0))
        if not self.state.jobs and not self.state.letters and not self.state.queues:
            self.state.enqueued = self.state.finished = self.state.cancelled = 0
        self.state.settle()
        return ended_died

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
        del self.state.letters[key]
        queue = self.state.queue(key[0])
        if queue is None:
            queue = Queue(letter.interval_us, letter.burst, max_leased=letter.max_leased)
            self.state.queues[key[0]] = queue
        self.state.add(queue, *key, letter.job.payload, letter.job.requeue_limit, 0, letter.job.cost)
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

    def list_dead(self, scan: str, limit: int) -> DeadPage:
        """Return a page of dead letters, oldest first."""
        return model_reads.list_dead(self.state, scan, limit)

    def minute_rows(self) -> list[tuple[int, int, int]]:
        """Return the numbers of enqueued and leased jobs, by the minute."""
        return [(minute, row[0], row[1]) for minute, row in self.state.minutes.items()]
