"""The model's state of one (partition, type), and the moves of jobs: plain dictionaries, every rule once."""

from __future__ import annotations

from copy import deepcopy

from sharq_core.job_life import DeadReason, OnExpiry
from sharq_core.models import JobState
from sharq_core.scheduler.functions import Retention
from sharq_core.scheduler.replies import TypeTotals
from tests.scheduler.models.records import (
    DELETED_KINDS,
    MINUTE_US,
    RELEASED,
    Batch,
    Job,
    JobKey,
    Kind,
    Letter,
    Queue,
    Tombstone,
    field_of,
)
from tests.scheduler.models.results import KeptResults
from tests.scheduler.models.retry import wait_us
from tests.scheduler.models.types import TypeRules

KEEP_US = 600_000_000
PROMISED_US = 60_000_000
GRAIN_US = 200_000
RUN_US = 5_000_000


class State:
    """Jobs, queues, dead letters and tombstones at a clock that only the test moves.

    Attributes:
        told_us: the store's clock at the next call.
        shift_us, number, seen_us, since_us: the partition's time (clock.lua); is_recorded: it has a record.
        jobs: queued, delayed and leased jobs.
        leftovers: deleted jobs whose records are still to be removed.
        tombstones, old_tombstones: the two generations of tombstones; turned_us: when the newer one began.
        expired, dropped: number of jobs that expired since a dequeue or a reap began, and how many of them went.
    """

    def __init__(self, queue_type: str, retention: Retention, now_us: int) -> None:
        self.queue_type = queue_type
        self.retention = retention
        self.told_us = now_us
        self.shift_us = self.number = self.seen_us = self.since_us = 0
        self.is_recorded = False
        self.jobs: dict[JobKey, Job] = {}
        self.leftovers: dict[JobKey, Job] = {}
        self.queues: dict[str, Queue] = {}
        self.letters: dict[JobKey, Letter] = {}
        self.batches: dict[str, Batch] = {}
        self.tombstones: dict[JobKey, Tombstone] = {}
        self.old_tombstones: dict[JobKey, Tombstone] = {}
        self.turned_us: int | None = None
        self.forgotten_early = 0
        self.seq = 0
        self.lease_number = 0
        self.enqueued = self.finished = self.cancelled = 0
        self.expired = self.dropped = 0
        self.minutes: dict[int, list[int]] = {}
        self.rules = TypeRules()
        self.results = KeptResults(retention.result_bytes, retention.finished_us)

    @property
    def now_us(self) -> int:
        """The partition's time at the next call: never before what it was seen at."""
        return max(self.told_us + self.shift_us, self.seen_us)

    def shown(self, at_us: int) -> int:
        """A time of the partition by the store's clock."""
        return max(at_us - self.now_us + self.told_us, 0)

    def partition_time(self, at_us: int) -> int:
        """A time of the store's clock by the partition."""
        return at_us + self.now_us - self.told_us

    def open_quotas(self) -> None:
        """A call of the type begins, or ends: quotas count the period in which it runs."""
        self.rules.open(self.told_us, self.now_us, self.lease_number)

    def seen_rules(self) -> TypeRules:
        """Return the rules as a call sees them that only reads."""
        rules = deepcopy(self.rules)
        rules.open(self.told_us, self.now_us, self.lease_number)
        return rules

    def keep_time(self, *, is_forced: bool = False) -> None:
        """A call ends that counts: the partition's time is remembered, once there is something to count."""
        self.open_quotas()
        now_us = self.now_us
        is_held = any(queue.held_us for queue in self.queues.values())
        is_kept = self.enqueued > 0 or is_held or bool(self.batches) or any(map(self.is_idle, self.queues))
        self.is_recorded = self.is_recorded or is_kept
        if not (self.is_recorded or self.rules.is_recorded or is_forced):
            return
        if self.seen_us <= self.told_us + self.shift_us < self.seen_us + GRAIN_US:
            return
        if self.told_us + self.shift_us < self.seen_us:
            self.number, self.shift_us = self.number + 1, self.seen_us - self.told_us
        if now_us > self.seen_us + RUN_US:
            self.since_us = now_us
        self.seen_us = now_us

    def set_clock(self, number: int, seen_us: int, shift_us: int) -> tuple[int, int]:
        """A node mends the partition's time; returns what holds."""
        is_before = self.told_us + self.shift_us < self.seen_us
        is_late = shift_us > self.shift_us and not is_before and seen_us != self.seen_us
        if not self.seen_us or number != self.number:
            return self.number, self.now_us - self.told_us
        if is_late:
            # The lost time stands, and a new number tells the other nodes.
            self.number, shift_us = self.number + 1, self.shift_us
        if self.told_us + shift_us < self.seen_us and self.since_us <= self.told_us + shift_us:
            shift_us = self.seen_us - self.told_us
        self.number += shift_us != self.shift_us
        now_us = self.told_us + shift_us
        if now_us > self.seen_us + RUN_US or now_us < self.since_us:
            self.since_us = now_us
        self.shift_us, self.seen_us = shift_us, now_us
        return self.number, self.shift_us

    def is_idle(self, queue_id: str) -> bool:
        """Nothing holds the queue, so that a timer looks whether it may be forgotten."""
        queue = self.queues[queue_id]
        is_held = queue.is_pinned or queue.is_paused or queue.is_set or queue.sweep_due_us is not None
        return not is_held and not any(job.queue_id == queue_id for job in self.jobs.values())

    def queue(self, queue_id: str) -> Queue | None:
        """The queue, unless it counts as forgotten."""
        queue = self.queues.get(queue_id)
        return None if queue is None or self.is_forgettable(queue_id, queue) else queue

    def is_forgettable(self, queue_id: str, queue: Queue) -> bool:
        """The one rule of forgetting."""
        if not self.is_idle(queue_id):
            return False
        is_quiet = queue.is_purged or self.now_us - queue.active_us > KEEP_US
        return is_quiet and self.now_us >= queue.full_us

    def in_state(self, state: JobState, queue_id: str | None = None) -> list[Job]:
        """Jobs in a state, in the order of their queue."""
        found = [job for job in self.jobs.values() if job.state is state and queue_id in (None, job.queue_id)]
        return sorted(found, key=lambda job: job.place)

    def of_batch(self, batch: Batch) -> list[Job]:
        """The jobs of a batch that wait or are leased, and those whose records are still to be removed."""
        return [job for job in [*self.jobs.values(), *self.leftovers.values()] if job.batch is batch]

    def watch_batches(self) -> None:
        """Note which batches have ended."""
        for batch in self.batches.values():
            if self.of_batch(batch):
                batch.ended_us = None
            elif batch.ended_us is None:
                batch.ended_us = self.now_us

    def letter(self, key: JobKey) -> Letter | None:
        """A dead letter that is not too old."""
        letter = self.letters.get(key)
        return letter if letter and self.now_us - letter.died_us < self.retention.dead_us else None

    def tombstone(self, key: JobKey) -> Tombstone | None:
        """A tombstone that is not too old."""
        tombstone = self.tombstones.get(key) or self.old_tombstones.get(key)
        return tombstone if tombstone and self.now_us - tombstone.at_us < self.retention.finished_us else None

    def is_remembered(self, key: JobKey) -> bool:
        """Finished, dead, cancelled by its id or expired, as an enqueue with `repeat` asks."""
        tombstone = self.tombstone(key)
        is_gone = tombstone is not None and tombstone.kind not in DELETED_KINDS
        return is_gone or self.letter(key) is not None

    def totals(self) -> TypeTotals:
        """Conservation (I8): the first is the sum of the others."""
        return TypeTotals(
            self.queue_type,
            self.enqueued,
            queued=len(self.in_state(JobState.QUEUED)),
            delayed=len(self.in_state(JobState.DELAYED)),
            leased=len(self.in_state(JobState.LEASED)),
            finished=self.finished,
            dead=len(self.letters),
            cancelled=self.cancelled,
        )

    def line(self, caps: tuple[str, ...] = ()) -> list[str]:
        """Due queues with exactly these caps, longest ready first."""
        due = [
            (queue.place_us, queue_id)
            for queue_id, queue in self.queues.items()
            if queue.place_us is not None and queue.place_us <= self.now_us and queue.caps == caps
        ]
        return [queue_id for _, queue_id in sorted(due)]

    def is_full(self, queue_id: str) -> bool:
        """As many leases as the queue may have."""
        max_leased = self.queues[queue_id].max_leased
        return max_leased is not None and len(self.in_state(JobState.LEASED, queue_id)) >= max_leased

    def add(self, queue: Queue, job: Job, due_us: int) -> None:
        """A new job at the end of its queue, or apart until due_us."""
        if job.key in self.leftovers:
            self.sweep_one(self.leftovers[job.key])
        self.seq += 1
        job.seq, job.enqueued_at_us = self.seq, self.now_us
        self.jobs[job.key] = job
        self.put_back(job, due_us)
        queue.is_purged = False
        queue.active_us = self.now_us

    def put_back(self, job: Job, due_us: int) -> None:
        """Into its place, or apart until due_us."""
        is_delayed = due_us > self.now_us
        job.state = JobState.DELAYED if is_delayed else JobState.QUEUED
        job.due_us = due_us if is_delayed else self.now_us

    def hold(self, job: Job, due_us: int) -> None:
        """Into a worker's hands until due_us."""
        job.state, job.due_us, job.is_released, job.is_uncounted = JobState.LEASED, due_us, False, False

    def end_lease(self, job: Job, due_us: int) -> None:
        """Back to its place, or dead, expired, or gone when its queue was deleted meanwhile."""
        job.state = JobState.QUEUED
        if job.is_cancelled:
            self.bury(job, Kind.DELETED)
        elif job.has_cancelled_batch:
            self.cancel(job)
        elif job.is_past_its_limit:
            self.die(job, DeadReason.LIMIT)
        elif job.is_expired(self.now_us):
            self.expire(job)
        else:
            self.put_back(job, due_us)

    def expire(self, job: Job) -> None:
        """The time of a job that nobody has in hand is over, or its batch was cancelled."""
        if job.has_cancelled_batch:
            self.cancel(job)
            return
        self.expired += 1
        self.dropped += job.on_expiry is OnExpiry.DROP
        if job.on_expiry is OnExpiry.DROP:
            self.bury(job, Kind.EXPIRED)
        else:
            self.die(job, DeadReason.EXPIRED)

    def expire_all(self) -> None:
        """Find all expired jobs."""
        for job in [job for job in self.jobs.values() if job.is_expired(self.now_us)]:
            self.expire(job)

    def retry_due_us(self, job: Job) -> int:
        """Return when a job whose lease failed is due again, by its policy or that of its queue or its type."""
        policy = job.retry or self.queues[job.queue_id].retry or self.rules.retry
        return self.now_us + (wait_us(policy, job.attempt, job.token) if policy else 0)

    def die(self, job: Job, reason: DeadReason) -> None:
        """A dead letter, in place of an older one of its id."""
        del self.jobs[job.key]
        if job.key in self.letters:
            self.drop_letter(job.key)
        queue = self.queues[job.queue_id]
        max_leased = None if "max_leased" in queue.settings else queue.max_leased
        caps = () if "caps" in queue.settings else queue.caps
        rate = queue.interval_us, queue.burst
        self.letters[job.key] = Letter(job, self.now_us, *rate, max_leased, reason, caps)

    def bury(self, job: Job, kind: Kind) -> None:
        """Out of the live jobs, remembered by a tombstone."""
        del self.jobs[job.key]
        self.finished += kind is Kind.FINISHED
        self.cancelled += kind is not Kind.FINISHED
        if job.batch:
            job.batch.finished += kind is Kind.FINISHED
            job.batch.cancelled += kind is not Kind.FINISHED
        self.remember(job, kind)

    def cancel(self, job: Job) -> None:
        """A job goes because somebody cancelled it or its batch."""
        self.bury(job, Kind.CANCELLED)

    def remember(self, job: Job, kind: Kind) -> None:
        """A tombstone of a job that its newest lease may have released."""
        released_kind = RELEASED.get(kind, kind) if job.is_released else kind
        self.tombstones[job.key] = Tombstone(released_kind, job, self.now_us)

    def drop_letter(self, key: JobKey) -> None:
        """A dead letter goes for good."""
        letter = self.letters.pop(key)
        self.cancelled += 1
        if letter.job.batch:
            letter.job.batch.cancelled += 1

    def death_of(self, key: JobKey) -> tuple[int, str]:
        """The order of dead letters."""
        return self.letters[key].died_us, field_of(*key)

    def count(self, enqueued: int, leased: int) -> None:
        """Add to the current minute."""
        row = self.minutes.setdefault(self.told_us // MINUTE_US, [0, 0])
        row[0] += enqueued
        row[1] += leased

    def run_timers(self, *, walks: bool) -> tuple[int, int]:
        """Run all that are due; returns leases ended and deaths at the requeue limit.

        Args:
            walks: find all expired jobs, as a reap does.
        """
        self.expired = self.dropped = 0
        for queue_id in [name for name, queue in self.queues.items() if self.is_forgettable(name, queue)]:
            del self.queues[queue_id]
        ended = [job for job in self.in_state(JobState.LEASED) if job.due_us <= self.now_us]
        for job in ended:
            self.end_lease(job, self.retry_due_us(job))
        for job in self.in_state(JobState.DELAYED):
            if job.due_us <= self.now_us and job.has_cancelled_batch:
                self.cancel(job)
            elif job.due_us <= self.now_us and job.is_expired(self.now_us):
                self.expire(job)
            elif job.due_us <= self.now_us:
                self.put_back(job, self.now_us)
        self.run_sweeps()
        if walks:
            self.expire_all()
        limit = DeadReason.LIMIT
        deaths = sum(letter.job in ended and letter.reason is limit for letter in self.letters.values())
        return len(ended), deaths

    def run_sweeps(self) -> None:
        """Remove what deleted queues left."""
        for job in list(self.leftovers.values()):
            if job.state is JobState.DELAYED and job.due_us <= self.now_us:
                self.sweep_one(job)
        for queue_id, queue in self.queues.items():
            if queue.sweep_due_us is not None and queue.sweep_due_us <= self.now_us:
                self.sweep(queue_id, len(self.leftovers) + 1)

    def sweep(self, queue_id: str, limit: int) -> None:
        """Remove deleted jobs: first those that were queued, then those that were delayed."""
        left = [job for job in self.leftovers.values() if job.queue_id == queue_id]
        left.sort(key=lambda job: (job.state is JobState.DELAYED, job.place))
        for job in left[:limit]:
            self.sweep_one(job)
        self.queues[queue_id].sweep_due_us = self.now_us if len(left) >= limit else None

    def sweep_one(self, job: Job) -> None:
        """Remove one deleted job; somebody may hold a lease of it."""
        del self.leftovers[job.key]
        if job.batch:
            job.batch.cancelled += 1
        if job.was_leased:
            self.remember(job, Kind.DELETED)

    def turn(self) -> None:
        """Drop the older generation of tombstones when it is time, or when the newer one is full."""
        turned_us = self.now_us if self.turned_us is None else self.turned_us
        age_us = self.now_us - turned_us
        if age_us >= self.retention.finished_us or len(self.tombstones) > self.retention.tombstones:
            self.forgotten_early += len(self.old_tombstones) if age_us < PROMISED_US else 0
            self.old_tombstones, self.tombstones = self.tombstones, {}
            turned_us = self.now_us
        self.turned_us = turned_us if self.tombstones or self.old_tombstones else None

    def settle(self) -> None:
        """Give every ready queue its place: new and just served ones go to the end. One in its turn keeps it."""
        for queue_id, queue in self.queues.items():
            is_closed = queue.is_paused or self.is_full(queue_id)
            if is_closed or not self.in_state(JobState.QUEUED, queue_id):
                queue.place_us = None
            elif queue.place_us is None or queue.was_served:
                queue.place_us = max(queue.ready_us, self.now_us + queue.served_after_us)
            elif queue.was_moved:
                place_us, waits = min(queue.place_us, self.now_us), queue.ready_us > self.now_us
                queue.place_us = max(queue.ready_us, place_us) if waits or not queue.given else place_us
            queue.was_served = queue.was_moved = False
            queue.served_after_us = 0
        self.watch_batches()
        had_settings = self.rules.is_recorded
        self.rules.settle(self.now_us)
        self.keep_time(is_forced=had_settings)
