"""The scheduler of one (partition, type) in plain Python: what every function ought to answer.

It is written for being read, not for speed: plain dictionaries, every rule once, no fence, no timers and no agenda.
What makes it comparable call by call: the place of a queue in the line, lease numbers, and the moments at which timers
run (a dequeue and a reap run all that are due; the bounds of one call are tested elsewhere).

Not here: how the store keeps any of it (records.py checks that).
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from sharq_core.models import (
    DeadLetter,
    DeadPage,
    DeadRef,
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
    RedriveStatus,
    ReleaseJob,
)
from sharq_core.scheduler.functions import DequeueReply, Retention, TypeTotals, minute_counts

KEEP_US = 600_000_000
MINUTE_US = 60_000_000
PROMISED_US = 60_000_000

JobKey = tuple[str, str]
"""queue_id, job_id"""


@dataclass(eq=False)
class Job:
    """A job that is queued, delayed or leased, or was when its queue was deleted or it died.

    due_us: queued since, delayed until, or leased until. is_cancelled: its queue was deleted while it was leased.
    """

    queue_id: str
    job_id: str
    seq: int
    payload: bytes
    requeue_limit: int
    enqueued_at_us: int
    state: JobState = JobState.QUEUED
    due_us: int = 0
    attempt: int = 0
    token: str | None = None
    is_released: bool = False
    is_cancelled: bool = False

    @property
    def key(self) -> JobKey:
        return self.queue_id, self.job_id

    @property
    def is_past_its_limit(self) -> bool:
        return 0 <= self.requeue_limit < self.attempt


@dataclass
class Letter:
    """A dead letter, with the rate of its queue."""

    job: Job
    died_us: int
    interval_us: int
    burst: int


class Kind(enum.Enum):
    """Why a job with a tombstone is gone; RELEASED: given back after its queue was deleted."""

    FINISHED = enum.auto()
    CANCELLED = enum.auto()
    RELEASED = enum.auto()


@dataclass
class Stone:
    """A tombstone."""

    kind: Kind
    job: Job
    at_us: int


@dataclass
class Queue:
    """A queue's rate and state.

    place_us: its place in the line of ready queues, smallest first; None when it is not ready.
    sweep_due_us: since when a deleted queue has records to remove; None when it has none.
    """

    interval_us: int = 0
    burst: int = 1
    tat_us: int = 0
    last_us: int = 0
    active_us: int = 0
    is_pinned: bool = False
    is_paused: bool = False
    is_purged: bool = False
    sweep_due_us: int | None = None
    place_us: int | None = None
    was_served: bool = False
    was_moved: bool = False
    minutes: dict[int, list[int]] = field(default_factory=dict)

    @property
    def full_us(self) -> int:
        """From when on the whole burst may go at once: a fresh record would allow the same."""
        return self.tat_us + (self.burst - 1) * self.interval_us

    def lease(self, now_us: int) -> None:
        """Use the rate for one lease."""
        self.tat_us = max(self.tat_us, now_us - (self.burst - 1) * self.interval_us) + self.interval_us
        self.last_us = now_us
        self.was_served = True

    def change_rate(self, interval_us: int, burst: int) -> None:
        """Re-place the waiting slot."""
        moved_us = self.tat_us - self.interval_us + interval_us
        earliest_us = self.last_us + interval_us - (burst - 1) * interval_us
        self.tat_us = max(moved_us, earliest_us, 0)
        self.interval_us, self.burst = interval_us, burst
        self.was_moved = True

    def count(self, now_us: int, enqueued: int, leased: int) -> None:
        """Add to the current minute."""
        minute = now_us // MINUTE_US
        self.minutes = {old: row for old, row in self.minutes.items() if old > minute - 10}
        row = self.minutes.setdefault(minute, [0, 0])
        row[0] += enqueued
        row[1] += leased
        if len(self.minutes) > 10:
            del self.minutes[next(iter(self.minutes))]


class Model:
    """The scheduler at a clock that only the test moves; each method answers as the function of its name.

    Attributes:
        now_us: the time of the next call.
        jobs: queued, delayed and leased jobs.
        leftovers: deleted jobs whose records are still to be removed.
    """

    def __init__(self, queue_type: str, retention: Retention, now_us: int) -> None:
        self.queue_type = queue_type
        self.retention = retention
        self.now_us = now_us
        self.jobs: dict[JobKey, Job] = {}
        self.leftovers: dict[JobKey, Job] = {}
        self.queues: dict[str, Queue] = {}
        self.letters: dict[JobKey, Letter] = {}
        self.stones: dict[JobKey, Stone] = {}
        self.old_stones: dict[JobKey, Stone] = {}
        self.turned_us: int | None = None
        self.forgotten_early = 0
        self.seq = 0
        self.lease_number = 0
        self.enqueued = self.finished = self.cancelled = 0
        self.minutes: dict[int, list[int]] = {}

    # What is there.

    def queue(self, queue_id: str) -> Queue | None:
        """The queue, unless it counts as forgotten."""
        queue = self.queues.get(queue_id)
        if queue is None or self.is_forgettable(queue_id, queue):
            return None
        queue.tat_us = min(queue.tat_us, max(self.now_us, queue.last_us) + queue.interval_us)
        return queue

    def is_forgettable(self, queue_id: str, queue: Queue) -> bool:
        """The one rule of forgetting."""
        is_held = queue.is_pinned or queue.is_paused or queue.sweep_due_us is not None
        if is_held or any(job.queue_id == queue_id for job in self.jobs.values()):
            return False
        is_quiet = queue.is_purged or self.now_us - queue.active_us > KEEP_US
        return is_quiet and self.now_us >= queue.full_us

    def in_state(self, state: JobState, queue_id: str | None = None) -> list[Job]:
        """Jobs in a state, oldest first."""
        found = [job for job in self.jobs.values() if job.state is state and queue_id in (None, job.queue_id)]
        return sorted(found, key=lambda job: job.seq)

    def letter(self, key: JobKey) -> Letter | None:
        """A dead letter that is not too old."""
        letter = self.letters.get(key)
        return letter if letter and self.now_us - letter.died_us < self.retention.dead_us else None

    def stone(self, key: JobKey) -> Stone | None:
        """A tombstone that is not too old."""
        stone = self.stones.get(key) or self.old_stones.get(key)
        return stone if stone and self.now_us - stone.at_us < self.retention.finished_us else None

    def totals(self) -> TypeTotals:
        """Conservation (I8): the first is the sum of the others."""
        states = [len(self.in_state(state)) for state in (JobState.QUEUED, JobState.DELAYED, JobState.LEASED)]
        return TypeTotals(
            self.queue_type, self.enqueued, *states, self.finished, len(self.letters), self.cancelled
        )

    # The functions.

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Queue jobs, each on its own."""
        answers = [self._enqueue_one(job) for job in jobs]
        self._settle()
        return answers

    def _enqueue_one(self, new: NewJob) -> Enqueued:
        key = (new.queue_id, new.job_id)
        queue = self.queue(new.queue_id)
        length = sum(
            job.queue_id == new.queue_id and job.state is not JobState.LEASED for job in self.jobs.values()
        )
        if key in self.jobs or (new.repeat and self._is_remembered(key)):
            return Enqueued(EnqueueStatus.DUPLICATE, length)
        if new.max_queued_length is not None and length >= new.max_queued_length:
            return Enqueued(EnqueueStatus.FULL, length)
        if new.interval_us is None and queue is None:
            return Enqueued(EnqueueStatus.NO_INTERVAL, length)
        if queue is None:
            queue = self.queues[new.queue_id] = Queue()
        self._adopt_rate(queue, new)
        self._add(queue, new.queue_id, new.job_id, new.payload, new.requeue_limit, new.delay_us)
        queue.count(self.now_us, 1, 0)
        self._count(1, 0)
        self.enqueued += 1
        return Enqueued(EnqueueStatus.QUEUED, length)

    def _is_remembered(self, key: JobKey) -> bool:
        stone = self.stone(key)
        return (stone is not None and stone.kind is Kind.FINISHED) or self.letter(key) is not None

    def _adopt_rate(self, queue: Queue, new: NewJob) -> None:
        interval_us = queue.interval_us if new.interval_us is None else new.interval_us
        burst = new.burst or queue.burst
        if not queue.is_pinned and (interval_us, burst) != (queue.interval_us, queue.burst):
            queue.change_rate(interval_us, burst)

    def _add(
        self, queue: Queue, queue_id: str, job_id: str, payload: bytes, requeue_limit: int, delay_us: int
    ) -> None:
        if (queue_id, job_id) in self.leftovers:
            self._sweep_one(self.leftovers[queue_id, job_id])
        self.seq += 1
        job = Job(queue_id, job_id, self.seq, payload, requeue_limit, self.now_us)
        self.jobs[job.key] = job
        self._wait(job, self.now_us + delay_us)
        queue.is_purged = False
        queue.active_us = self.now_us

    def dequeue(
        self, count: int, lease_us: int, random: bytes, *, per_queue: int, max_bytes: int
    ) -> DequeueReply:
        """Lease up to `count` ready jobs in rounds."""
        self._run_timers()
        self._settle()
        due_before = len(self._line())
        jobs, ready_for_us, is_cut = self._serve(count, lease_us, random, per_queue, max_bytes)
        self._settle()
        places = [queue.place_us for queue in self.queues.values() if queue.place_us is not None]
        return DequeueReply(
            jobs, ready_for_us, min(places, default=None), due_before, len(self._line()), is_cut
        )

    def _line(self) -> list[str]:
        """Due queues, longest ready first."""
        due = [
            (queue.place_us, queue_id)
            for queue_id, queue in self.queues.items()
            if queue.place_us is not None and queue.place_us <= self.now_us
        ]
        return [queue_id for _, queue_id in sorted(due)]

    def _serve(
        self, count: int, lease_us: int, random: bytes, per_queue: int, max_bytes: int
    ) -> tuple[list[LeasedJob], list[int], bool]:
        leased: list[LeasedJob] = []
        ready_for_us: list[int] = []
        given = dict.fromkeys(self._line()[:count], 0)
        line = list(given)
        while line and len(leased) < count:
            queue_id = line.pop(0)
            queue, (job, *others) = self.queues[queue_id], self.in_state(JobState.QUEUED, queue_id)
            if leased and sum(len(done.payload) for done in leased) + len(job.payload) > max_bytes:
                return leased, ready_for_us, True
            ready_for_us.append(max(self.now_us - max(queue.tat_us, job.due_us), 0))
            leased.append(self._lease(queue, job, lease_us, random, len(others)))
            given[queue_id] += 1
            if others and self.now_us >= queue.tat_us and given[queue_id] < per_queue:
                line.append(queue_id)
        return leased, ready_for_us, False

    def _lease(self, queue: Queue, job: Job, lease_us: int, random: bytes, queue_length: int) -> LeasedJob:
        self.lease_number += 1
        token = (struct.pack(">Q", self.lease_number) + random).hex()
        job.token, job.attempt = token, job.attempt + 1
        self._hold(job, self.now_us + lease_us)
        queue.lease(self.now_us)
        queue.active_us = self.now_us
        queue.count(self.now_us, 0, 1)
        self._count(0, 1)
        return LeasedJob(
            queue_type=self.queue_type,
            queue_id=job.queue_id,
            job_id=job.job_id,
            payload=job.payload,
            lease=token,
            leased_until_us=job.due_us,
            enqueued_at_us=job.enqueued_at_us,
            attempt=job.attempt,
            requeues_remaining=-1 if job.requeue_limit < 0 else job.requeue_limit - job.attempt + 1,
            queue_length=queue_length,
        )

    def finish(self, refs: Sequence[FinishJob]) -> list[LeaseOutcome]:
        """End leases and forget the jobs."""
        answers = [self._finish_one(ref) for ref in refs]
        self._settle()
        self.turn()
        return answers

    def _finish_one(self, ref: FinishJob) -> LeaseOutcome:
        job = self._find(ref.queue_id, ref.job_id, ref.lease, "finish")
        if isinstance(job, LeaseStatus):
            return LeaseOutcome(job)
        self._bury(job, Kind.FINISHED)
        self.finished += 1
        self.queues[job.queue_id].active_us = self.now_us
        return LeaseOutcome(LeaseStatus.DONE)

    def extend(self, refs: Sequence[ExtendJob]) -> list[LeaseOutcome]:
        """Move the ends of leases; a job that waits again is taken back in hand."""
        answers = [self._extend_one(ref) for ref in refs]
        self._settle()
        return answers

    def _extend_one(self, ref: ExtendJob) -> LeaseOutcome:
        job = self._find(ref.queue_id, ref.job_id, ref.lease, "extend")
        if isinstance(job, LeaseStatus):
            return LeaseOutcome(job)
        self._hold(job, self.now_us + ref.by_us)
        self.queues[job.queue_id].active_us = self.now_us
        return LeaseOutcome(LeaseStatus.DONE, job.due_us)

    def release(self, refs: Sequence[ReleaseJob]) -> list[LeaseOutcome]:
        """Give jobs back unfinished."""
        answers = [self._release_one(ref) for ref in refs]
        self._settle()
        return answers

    def _release_one(self, ref: ReleaseJob) -> LeaseOutcome:
        job = self._find(ref.queue_id, ref.job_id, ref.lease, "release")
        if isinstance(job, LeaseStatus):
            return LeaseOutcome(job)
        if job.state is JobState.LEASED:
            if ref.is_void:
                job.attempt, job.token = job.attempt - 1, None
            else:
                job.is_released = True
            self.queues[job.queue_id].active_us = self.now_us
            self._end_lease(job, self.now_us + ref.delay_us)
        return LeaseOutcome(LeaseStatus.DONE)

    def _find(self, queue_id: str, job_id: str, lease: str | None, verb: str) -> Job | LeaseStatus:
        """The job that a lease acts on, or what became of it."""
        key = (queue_id, job_id)
        job = self.jobs.get(key)
        if lease is None:
            return job if job and job.state is JobState.LEASED else LeaseStatus.NOT_FOUND
        if job and job.token == lease:
            return job
        return self._what_became_of(key, lease, verb)

    def _what_became_of(self, key: JobKey, lease: str, verb: str) -> LeaseStatus:
        stone, letter, leftover = self.stone(key), self.letter(key), self.leftovers.get(key)
        is_stone_of_it = stone is not None and stone.job.token == lease
        was_leased = leftover is not None and leftover.attempt > 0
        if stone and is_stone_of_it and stone.kind is Kind.FINISHED:
            if verb == "finish":
                return LeaseStatus.DONE
            return LeaseStatus.LOST if key in self.jobs or was_leased else LeaseStatus.NOT_FOUND
        gone = [leftover, letter and letter.job, stone.job if stone and stone.kind is Kind.RELEASED else None]
        if verb == "release" and any(job and job.token == lease and job.is_released for job in gone):
            return LeaseStatus.DONE
        return (
            LeaseStatus.LOST if stone or letter or key in self.jobs or was_leased else LeaseStatus.NOT_FOUND
        )

    def interval(self, queue_id: str, interval_us: int, burst: int | None, pin: bool | None) -> bool:
        """Change a queue's rate."""
        queue = self.queue(queue_id)
        if queue is None and not pin:
            return False
        if queue is None:
            queue = self.queues[queue_id] = Queue()
        queue.change_rate(interval_us, burst or queue.burst)
        queue.is_purged = False
        if pin is not None:
            queue.is_pinned = pin
        queue.active_us = self.now_us
        self._settle()
        return True

    def pause(self, queue_id: str, is_paused: bool) -> bool:
        """Pause or resume a queue."""
        queue = self.queue(queue_id)
        if queue is None:
            return False
        queue.is_paused = is_paused
        queue.active_us = self.now_us
        self._settle()
        return True

    def delete_queue(self, queue_id: str, purge: bool, limit: int) -> int:
        """Drop what waits in a queue; what is leased runs out."""
        waiting = [*self.in_state(JobState.QUEUED, queue_id), *self.in_state(JobState.DELAYED, queue_id)]
        if not waiting:
            return 0
        for job in waiting:
            self.leftovers[job.key] = self.jobs.pop(job.key)
        for job in self.in_state(JobState.LEASED, queue_id):
            job.is_cancelled = True
        self.cancelled += len(waiting)
        queue = self.queues[queue_id]
        queue.is_purged, queue.active_us = purge, self.now_us
        self._sweep(queue_id, limit)
        self._settle()
        return len(waiting)

    def reap(self) -> tuple[int, int]:
        """Run all due timers; returns leases ended and deaths."""
        for key in [key for key, letter in self.letters.items() if self.letter(key) is not letter]:
            self._drop_letter(key)
        ended_died = self._run_timers()
        self.drop_dead(max(len(self.letters) - self.retention.dead, 0))
        if not self.jobs and not self.letters and not self.queues:
            self.enqueued = self.finished = self.cancelled = 0
        self._settle()
        return ended_died

    def turn(self) -> None:
        """Drop the older generation of tombstones when it is time, or when the newer one is full."""
        turned_us = self.now_us if self.turned_us is None else self.turned_us
        age_us = self.now_us - turned_us
        if age_us >= self.retention.finished_us or len(self.stones) > self.retention.tombstones:
            self.forgotten_early += len(self.old_stones) if age_us < PROMISED_US else 0
            self.old_stones, self.stones = self.stones, {}
            turned_us = self.now_us
        self.turned_us = turned_us if self.stones or self.old_stones else None

    def redrive(self, refs: Sequence[DeadRef]) -> list[RedriveStatus]:
        """Queue dead letters again."""
        answers = [self._redrive_one((ref.queue_id, ref.job_id)) for ref in refs]
        self._settle()
        return answers

    def _redrive_one(self, key: JobKey) -> RedriveStatus:
        letter = self.letter(key)
        if letter is None:
            return RedriveStatus.NOT_FOUND
        if key in self.jobs:
            return RedriveStatus.DUPLICATE
        del self.letters[key]
        queue = self.queue(key[0])
        if queue is None:
            queue = self.queues[key[0]] = Queue(letter.interval_us, letter.burst)
        self._add(queue, *key, letter.job.payload, letter.job.requeue_limit, 0)
        return RedriveStatus.QUEUED

    def drop_dead(self, limit: int) -> int:
        """Drop the oldest dead letters."""
        oldest = sorted(self.letters, key=self._death)[:limit]
        for key in oldest:
            self._drop_letter(key)
        return len(oldest)

    # Reading.

    def get_job(self, key: JobKey) -> JobStatus | None:
        """One job's status; of a finished and a dead one the later."""
        job, letter, stone = self.jobs.get(key), self.letter(key), self.stone(key)
        if job:
            end_us = job.due_us if job.state is JobState.LEASED else None
            queued = self.in_state(JobState.QUEUED, job.queue_id)
            position = queued.index(job) + 1 if job in queued else None
            return JobStatus(job.state, job.attempt, job.enqueued_at_us, end_us, position, job.payload)
        if stone and stone.kind is Kind.FINISHED and not (letter and letter.died_us > stone.at_us):
            return JobStatus(JobState.FINISHED, stone.job.attempt, stone.job.enqueued_at_us)
        if letter:
            dead = letter.job
            return JobStatus(JobState.DEAD, dead.attempt, dead.enqueued_at_us, payload=dead.payload)
        return None

    def get_queue(self, queue_id: str) -> QueueStats:
        """One queue's figures."""
        queue = self.queue(queue_id)
        known = queue or Queue()
        queued = self.in_state(JobState.QUEUED, queue_id)
        minutes = [(minute, row[0], row[1]) for minute, row in known.minutes.items()]
        return QueueStats(
            is_known=queue is not None,
            interval_us=known.interval_us,
            burst=known.burst,
            is_pinned=known.is_pinned,
            is_paused=known.is_paused,
            queued=len(queued),
            delayed=len(self.in_state(JobState.DELAYED, queue_id)),
            leased=len(self.in_state(JobState.LEASED, queue_id)),
            next_ready_in_us=max(known.tat_us - self.now_us, 0) if queued and not known.is_paused else None,
            oldest_age_us=max(self.now_us - queued[0].enqueued_at_us, 0) if queued else None,
            enqueue_counts=minute_counts(self.now_us, minutes, 1),
            dequeue_counts=minute_counts(self.now_us, minutes, 2),
        )

    def list_dead(self, scan: str, limit: int) -> DeadPage:
        """A page of dead letters, oldest first."""
        died, _, name = scan.partition(":")
        after = (int(died or 0), name)
        keys = sorted(filter(self.letter, self.letters), key=self._death)
        rest = [key for key in keys if self._death(key) > after]
        page = [self._list_letter(self.letters[key]) for key in rest[:limit]]
        is_more = len(rest) > limit
        last = page[-1] if page else None
        return DeadPage(page, f"{last.dead_at_us}:{last.queue_id}:{last.job_id}" if last and is_more else "")

    def _list_letter(self, letter: Letter) -> DeadLetter:
        job = letter.job
        return DeadLetter(
            job.queue_id, job.job_id, job.payload, job.attempt, job.enqueued_at_us, letter.died_us
        )

    def minute_rows(self) -> list[tuple[int, int, int]]:
        """What was enqueued and leased, by the minute."""
        return [(minute, row[0], row[1]) for minute, row in self.minutes.items()]

    # The moves of a job.

    def _wait(self, job: Job, due_us: int) -> None:
        is_delayed = due_us > self.now_us
        job.state = JobState.DELAYED if is_delayed else JobState.QUEUED
        job.due_us = due_us if is_delayed else self.now_us

    def _hold(self, job: Job, due_us: int) -> None:
        job.state, job.due_us, job.is_released = JobState.LEASED, due_us, False

    def _end_lease(self, job: Job, due_us: int) -> None:
        if job.is_cancelled:
            self.cancelled += 1
            self._bury(job, Kind.RELEASED if job.is_released else Kind.CANCELLED)
        elif job.is_past_its_limit:
            self._die(job)
        else:
            self._wait(job, due_us)

    def _die(self, job: Job) -> None:
        del self.jobs[job.key]
        self.cancelled += job.key in self.letters
        queue = self.queues[job.queue_id]
        self.letters[job.key] = Letter(job, self.now_us, queue.interval_us, queue.burst)

    def _bury(self, job: Job, kind: Kind) -> None:
        del self.jobs[job.key]
        self.stones[job.key] = Stone(kind, job, self.now_us)

    def _drop_letter(self, key: JobKey) -> None:
        del self.letters[key]
        self.cancelled += 1

    def _death(self, key: JobKey) -> tuple[int, str]:
        return self.letters[key].died_us, ":".join(key)

    # What happens by the clock.

    def _run_timers(self) -> tuple[int, int]:
        """Returns leases ended and deaths."""
        for queue_id in [name for name, queue in self.queues.items() if self.is_forgettable(name, queue)]:
            del self.queues[queue_id]
        ended = [job for job in self.in_state(JobState.LEASED) if job.due_us <= self.now_us]
        for job in ended:
            self._end_lease(job, self.now_us)
        for job in self.in_state(JobState.DELAYED):
            if job.due_us <= self.now_us:
                self._wait(job, self.now_us)
        self._run_sweeps()
        deaths = sum(letter.job in ended for letter in self.letters.values())
        return len(ended), deaths

    def _run_sweeps(self) -> None:
        for job in list(self.leftovers.values()):
            if job.state is JobState.DELAYED and job.due_us <= self.now_us:
                self._sweep_one(job)
        for queue_id, queue in self.queues.items():
            if queue.sweep_due_us is not None and queue.sweep_due_us <= self.now_us:
                self._sweep(queue_id, len(self.leftovers) + 1)

    def _sweep(self, queue_id: str, limit: int) -> None:
        """Remove deleted jobs: first those that were queued, then those that were delayed."""
        left = [job for job in self.leftovers.values() if job.queue_id == queue_id]
        left.sort(key=lambda job: (job.state is JobState.DELAYED, job.seq))
        for job in left[:limit]:
            self._sweep_one(job)
        self.queues[queue_id].sweep_due_us = self.now_us if len(left) >= limit else None

    def _sweep_one(self, job: Job) -> None:
        del self.leftovers[job.key]
        if job.attempt > 0:
            self.stones[job.key] = Stone(
                Kind.RELEASED if job.is_released else Kind.CANCELLED, job, self.now_us
            )

    def _settle(self) -> None:
        """Give every ready queue its place: new and just served ones go to the end."""
        for queue_id, queue in self.queues.items():
            is_ready = bool(self.in_state(JobState.QUEUED, queue_id)) and not queue.is_paused
            if not is_ready:
                queue.place_us = None
            elif queue.place_us is None or queue.was_served:
                queue.place_us = max(queue.tat_us, self.now_us)
            elif queue.was_moved:
                queue.place_us = max(queue.tat_us, min(queue.place_us, self.now_us))
            queue.was_served = queue.was_moved = False

    def _count(self, enqueued: int, leased: int) -> None:
        row = self.minutes.setdefault(self.now_us // MINUTE_US, [0, 0])
        row[0] += enqueued
        row[1] += leased
