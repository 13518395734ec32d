"""Keeps the jobs and queues of one type, moves jobs between their states, and runs what happens by itself."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable

from sharq_client.answers import DeadReason, JobState
from sharq_client.requests import OnExpiry
from sharq_client.testing.engine.limits import TypeRules
from sharq_client.testing.engine.queues import MINUTE_US, Queue
from sharq_client.testing.engine.rates import retry_wait_us
from sharq_client.testing.engine.records import (
    DEAD_RETENTION_US,
    FINISHED_RETENTION_US,
    Batch,
    Ending,
    Job,
    Letter,
    Tombstone,
)

JobKey = tuple[str, str]
"""queue_id, job_id"""

OnLeaseEnd = Callable[[Job, str], None]
"""A callback for the end of a lease: the job, and its outcome."""


class TypeState:
    """The jobs and queues of one type.

    Attributes:
        now_us: the time of the present call.
        jobs: the jobs that are queued, delayed or leased.
        letters: the dead letters.
        finished: the jobs that were finished with the times of that, in this order, for ever.
        on_lease_end: called when a lease ends, with the state of the job afterwards.
    """

    def __init__(self, queue_type: str, now_us: int, on_lease_end: OnLeaseEnd) -> None:
        self.queue_type = queue_type
        self.now_us = now_us
        self.on_lease_end = on_lease_end
        self.jobs: dict[JobKey, Job] = {}
        self.queues: dict[str, Queue] = {}
        self.letters: dict[JobKey, Letter] = {}
        self.tombstones: dict[JobKey, Tombstone] = {}
        self.batches: dict[str, Batch] = {}
        self.finished: list[tuple[int, Job]] = []
        self.rules = TypeRules()
        self.leased = self.lease_number = 0
        self.minutes: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        self._seq = itertools.count(1)
        self._calls = 0
        self._timers: list[tuple[int, int, Job]] = []
        self._touched: dict[str, Queue] = {}

    def catch_up(self, now_us: int) -> None:
        """Move the clock forward, and run each timer at its time, as a server does that is never late."""
        while (due_us := self.next_timer_us()) is not None and due_us <= now_us:
            self.now_us = max(due_us, self.now_us)
            self.run_timers()
            self.settle()
        self.now_us = now_us

    def next_timer_us(self) -> int | None:
        """Return when a lease or a delay ends next, or a job expires; None if nothing happens by itself."""
        while self._timers:
            due_us, _, job = self._timers[0]
            if self.jobs.get(job.key) is job and due_us in job.timers_us():
                return due_us
            heapq.heappop(self._timers)
        return None

    def next_look_us(self) -> int | None:
        """Return when a job may be ready next, or something happens by itself; None if nothing is ahead."""
        timer_us = self.next_timer_us()
        times_us = [] if timer_us is None else [timer_us]
        if not self.rules.is_stopped(self.leased):
            ready_us = self.rules.ready_us
            places_us = [queue.place_us for queue in self.queues.values() if queue.place_us is not None]
            times_us += [max(place_us, ready_us) for place_us in places_us]
        return min(times_us, default=None)

    def next_work_us(self) -> int | None:
        """Return when a worker may next get a job, if nobody does anything; None if never.

        A lease counts, too: its job may come back when it ends.
        """
        times_us = [job.due_us for queue in self.queues.values() for job in queue.leased.values()]
        if not (self.rules.is_all_paused or self.rules.is_paused):
            for queue in self.queues.values():
                if queue.place_us is not None:
                    times_us.append(max(queue.place_us, self.rules.ready_us))
                if not queue.is_paused:
                    times_us += [job.due_us for job in queue.delayed.values()]
        return min(times_us, default=None)

    def run_timers(self) -> None:
        """Run all timers that are due."""
        unordered: dict[JobKey, Job] = {}
        while self._timers and self._timers[0][0] <= self.now_us:
            due_us, _, job = heapq.heappop(self._timers)
            if self.jobs.get(job.key) is job and due_us in job.timers_us():
                unordered[job.key] = job
        due = sorted(unordered.values(), key=lambda job: job.seq)
        ended = [job for job in due if job.is_leased and job.due_us <= self.now_us]
        for job in ended:
            self.end_lease(job, self.retry_due_us(job), "requeued")
        for job in due:
            if job.state is JobState.DELAYED and job.due_us <= self.now_us:
                self.put_back(job, self.now_us)
        for job in due:
            if self.jobs.get(job.key) is job and job.has_expired(self.now_us):
                self.expire(job)

    def queue(self, queue_id: str) -> Queue | None:
        """Return a queue; None if there is none, or if the server would have forgotten it."""
        queue = self.queues.get(queue_id)
        if queue is not None and queue.is_forgettable(self.now_us):
            del self.queues[queue_id]
            return None
        return queue

    def shown_queue(self, queue_id: str) -> Queue | None:
        """Return a queue, or one without a rate for a queue of which only dead letters are left; None if unknown."""
        queue = self.queue(queue_id)
        if queue is None and any(key[0] == queue_id and self.letter(key) for key in [*self.letters]):
            return Queue(queue_id, has_interval=False)
        return queue

    def touch(self, queue: Queue) -> Queue:
        """Note that a call changes a queue, so that it takes its place anew."""
        self._touched[queue.queue_id] = queue
        return queue

    def new_queue(self, queue_id: str, *, has_interval: bool = True) -> Queue:
        """Create a queue."""
        queue = self.queues[queue_id] = Queue(queue_id, has_interval)
        return self.touch(queue)

    def owner(self, job: Job) -> Queue:
        """Return the queue of a live job, which a call changes."""
        return self.touch(self.queues[job.queue_id])

    def add(self, queue: Queue, job: Job, due_us: int) -> None:
        """Add a new job at the end of its queue, or apart until due_us."""
        job.seq, job.enqueued_at_us = next(self._seq), self.now_us
        self.jobs[job.key] = job
        if job.batch is not None:
            job.batch.live += 1
            job.batch.ended_us = None
        queue.is_purged = False
        queue.active_us = self.now_us
        self._place(job, due_us)

    def renumber(self, job: Job) -> None:
        """Let a displaced job go behind all others."""
        job.seq = next(self._seq)

    def put_back(self, job: Job, due_us: int) -> None:
        """Put a job into its place in the queue, or apart until due_us."""
        self.displace(job)
        self._place(job, due_us)

    def _place(self, job: Job, due_us: int) -> None:
        queue = self.owner(job)
        is_delayed = due_us > self.now_us
        job.state = JobState.DELAYED if is_delayed else JobState.QUEUED
        job.due_us = due_us if is_delayed else self.now_us
        if is_delayed:
            queue.delayed[job.job_id] = job
        else:
            queue.insert(job)
        self.set_timers(job)

    def hold(self, job: Job, due_us: int) -> None:
        """Put a job into a worker's hands until due_us."""
        self.displace(job)
        self.owner(job).leased[job.job_id] = job
        self.leased += 1
        job.state, job.due_us, job.is_released, job.is_uncounted = JobState.LEASED, due_us, False, False
        self.set_timers(job)

    def set_timers(self, job: Job) -> None:
        """Note when something happens to a job by itself. Earlier notes that do not hold any more are ignored."""
        for due_us in job.timers_us():
            heapq.heappush(self._timers, (due_us, next(self._seq), job))

    def displace(self, job: Job) -> None:
        """Take a live job from where it is."""
        queue = self.owner(job)
        if job.state is JobState.QUEUED:
            if job in queue.waiting:
                queue.remove(job)
        elif job.state is JobState.DELAYED:
            queue.delayed.pop(job.job_id, None)
        elif queue.leased.pop(job.job_id, None) is not None:
            self.leased -= 1

    def _drop(self, job: Job) -> None:
        """Take a job out of the live ones."""
        self.displace(job)
        del self.jobs[job.key]
        if job.batch is not None:
            job.batch.live -= 1
            if not job.batch.live:
                job.batch.ended_us = self.now_us

    def end_lease(self, job: Job, due_us: int, outcome: str) -> None:
        """Let a job go back to its place; or it is dead, expired, or gone with its queue or batch."""
        if job.is_deleted:
            self.bury(job, Ending.DELETED)
        elif job.has_cancelled_batch:
            self.bury(job, Ending.CANCELLED)
        elif job.is_past_its_limit:
            self.die(job, DeadReason.LIMIT)
        elif job.expires_at_us is not None and job.expires_at_us <= self.now_us:
            self.expire(job)
        else:
            self.put_back(job, due_us)
        ended = self.ended_state(job)
        self.on_lease_end(job, outcome if ended is None else str(ended))

    def ended_state(self, job: Job) -> JobState | None:
        """Return the state in which a job ended; None if it lives."""
        if self.jobs.get(job.key) is job:
            return None
        letter, tombstone = self.letters.get(job.key), self.tombstones.get(job.key)
        if letter is not None and letter.job is job:
            return JobState.DEAD
        return tombstone.ending.state if tombstone is not None else None

    def retry_due_us(self, job: Job, delay_us: int = 0) -> int:
        """Return when a job whose attempt failed is due again.

        Args:
            delay_us: the wait if there is no retry policy of the job, its queue or its type.
        """
        policy = job.retry or self.queues[job.queue_id].retry or self.rules.retry
        wait_us = delay_us if policy is None else retry_wait_us(policy, job.attempt, job.token)
        return self.now_us + wait_us

    def expire(self, job: Job) -> None:
        """Let a job go whose time is over."""
        if job.on_expiry is OnExpiry.DROP:
            self.bury(job, Ending.EXPIRED)
        else:
            self.die(job, DeadReason.EXPIRED)

    def die(self, job: Job, reason: DeadReason) -> None:
        """Make a job a dead letter, in place of an older one of its id."""
        self._drop(job)
        if job.key in self.letters:
            self.drop_letter(job.key)
        queue = self.queues[job.queue_id]
        max_leased = None if "max_leased" in queue.settings else queue.max_leased
        self.letters[job.key] = Letter(job, self.now_us, queue.interval_us, queue.burst, max_leased, reason)

    def bury(self, job: Job, ending: Ending) -> None:
        """Take a job out of the live ones, and remember it for a while."""
        self._drop(job)
        is_finished = ending is Ending.FINISHED
        if job.batch is not None:
            job.batch.finished += is_finished
            job.batch.cancelled += not is_finished
        if is_finished:
            self.finished.append((self.now_us, job))
        if ending is not Ending.DELETED or job.was_leased:
            self.remember(job, ending)

    def remember(self, job: Job, ending: Ending) -> None:
        """Remember a job that ended."""
        self.tombstones[job.key] = Tombstone(ending, job, self.now_us)

    def letter(self, key: JobKey) -> Letter | None:
        """Return a dead letter; None if there is none, or if it is too old."""
        letter = self.letters.get(key)
        if letter is not None and self.now_us - letter.died_us >= DEAD_RETENTION_US:
            self.drop_letter(key)
            return None
        return letter

    def drop_letter(self, key: JobKey) -> Letter:
        """Take a dead letter out for good."""
        letter = self.letters.pop(key)
        if letter.job.batch is not None:
            letter.job.batch.cancelled += 1
        return letter

    def tombstone(self, key: JobKey) -> Tombstone | None:
        """Return what is remembered of a job that ended; None if there is nothing, or if it is too old."""
        tombstone = self.tombstones.get(key)
        is_kept = tombstone is not None and self.now_us - tombstone.at_us < FINISHED_RETENTION_US
        return tombstone if is_kept else None

    def batch(self, name: str) -> Batch | None:
        """Return a batch; None if there is none, or if it is forgotten."""
        batch = self.batches.get(name)
        if batch is not None and batch.is_over(self.now_us):
            del self.batches[name]
            return None
        return batch

    def count(self, queue: Queue, *, enqueued: int = 0, leased: int = 0) -> None:
        """Add to the counts of the current minute."""
        for minutes in (self.minutes, queue.minutes):
            row = minutes[self.now_us // MINUTE_US]
            row[0] += enqueued
            row[1] += leased

    def line(self) -> list[Queue]:
        """Return the queues that are due, longest ready first; of equals, the one that was put there first."""
        due = [
            (queue.place_us, queue.placed_by, queue.queue_id)
            for queue in self.queues.values()
            if queue.place_us is not None and queue.place_us <= self.now_us
        ]
        return [self.queues[queue_id] for _, _, queue_id in sorted(due)]

    def settle(self) -> None:
        """End a call: each queue that it changed takes its place in the line."""
        touched, self._touched = self._touched, {}
        self._calls += 1
        for queue in touched.values():
            queue.settle(self.now_us, self._calls)
        self.rules.settle(self.now_us)
