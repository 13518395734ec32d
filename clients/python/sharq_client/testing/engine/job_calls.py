"""Cancels, changes and redrives jobs, and ends batches."""

from __future__ import annotations

import enum

import msgspec
from msgspec import UNSET, UnsetType

from sharq_client.answers import JobState
from sharq_client.requests import OnExpiry
from sharq_client.testing.engine.records import Batch, Ending, Job
from sharq_client.testing.engine.state import JobKey, TypeState


class CallOutcome(enum.Enum):
    """The outcome of a call about one job. Only DONE changed anything."""

    DONE = enum.auto()
    NOT_FOUND = enum.auto()
    LEASED = enum.auto()
    NOT_WAITING = enum.auto()
    EXPIRES_EARLY = enum.auto()
    DUPLICATE = enum.auto()
    BATCH_CANCELLED = enum.auto()


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a waiting job: UNSET keeps a field, and an expiry of None means never."""

    payload: bytes | UnsetType = UNSET
    delay_us: int | UnsetType = UNSET
    at_us: int | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    cost: int | UnsetType = UNSET
    expires_us: int | UnsetType | None = UNSET
    expires_at_us: int | UnsetType | None = UNSET

    @property
    def is_timed(self) -> bool:
        """True if it says when the job is due or expires."""
        times = (self.delay_us, self.at_us, self.expires_us, self.expires_at_us)
        return any(time is not UNSET for time in times)

    def due_us(self, now_us: int) -> int | None:
        """Return when the job is due; None if it stays as it is."""
        if not isinstance(self.delay_us, UnsetType):
            return now_us + self.delay_us
        return None if isinstance(self.at_us, UnsetType) else self.at_us

    def expiry_us(self, job: Job, now_us: int) -> int | None:
        """Return when the job expires afterwards; None for never."""
        if self.expires_us is None or self.expires_at_us is None:
            return None
        if not isinstance(self.expires_us, UnsetType):
            return now_us + self.expires_us
        return job.expires_at_us if isinstance(self.expires_at_us, UnsetType) else self.expires_at_us


def remembered(state: TypeState, key: JobKey) -> JobState | None:
    """Return the state of a job that has ended; None if nothing is remembered of it."""
    letter, tombstone = state.letter(key), state.tombstone(key)
    if tombstone is not None and not (letter is not None and letter.died_us > tombstone.at_us):
        return tombstone.ending.state
    return None if letter is None else JobState.DEAD


def cancel(state: TypeState, key: JobKey, *, force: bool) -> tuple[CallOutcome, JobState | None]:
    """Cancel a job. Return the outcome and the state before."""
    job = state.jobs.get(key)
    if job is None:
        return _cancel_ended(state, key)
    was = job.state
    if was is JobState.LEASED and not force:
        return CallOutcome.LEASED, None
    _cancel_live(state, job)
    return CallOutcome.DONE, was


def _cancel_ended(state: TypeState, key: JobKey) -> tuple[CallOutcome, JobState | None]:
    was = remembered(state, key)
    if was is JobState.DEAD:
        letter = state.drop_letter(key)
        state.remember(letter.job, Ending.CANCELLED)
    elif was is not JobState.CANCELLED:
        return CallOutcome.NOT_FOUND, None
    return CallOutcome.DONE, was


def _cancel_live(state: TypeState, job: Job) -> None:
    state.owner(job).active_us = state.now_us
    was_leased = job.is_leased
    state.bury(job, Ending.CANCELLED)
    if was_leased:
        state.on_lease_end(job, str(JobState.CANCELLED))


def cancel_matching(state: TypeState, queue_id: str, prefix: str) -> int:
    """Cancel the queued and delayed jobs of a queue whose ids begin with a prefix. Return their number."""
    queue = state.queue(queue_id)
    waiting = [] if queue is None else [*queue.waiting, *queue.delayed.values()]
    matching = [job for job in waiting if job.job_id.startswith(prefix)]
    for job in matching:
        _cancel_live(state, job)
    return len(matching)


def change(state: TypeState, key: JobKey, wanted: Change) -> CallOutcome:
    """Change a waiting job."""
    job = state.jobs.get(key)
    if job is None:
        is_known = remembered(state, key) is not None
        return CallOutcome.NOT_WAITING if is_known else CallOutcome.NOT_FOUND
    if job.is_leased:
        return CallOutcome.NOT_WAITING
    due_us, expires_at_us = wanted.due_us(state.now_us), wanted.expiry_us(job, state.now_us)
    is_delayed = job.state is JobState.DELAYED
    due_or_old_us = due_us or (job.due_us if is_delayed else 0)
    if wanted.is_timed and expires_at_us is not None and expires_at_us <= max(due_or_old_us, state.now_us):
        return CallOutcome.EXPIRES_EARLY
    queue = state.owner(job)
    if job.expires_at_us is None:
        job.on_expiry = queue.on_expiry or state.rules.on_expiry or OnExpiry.DEAD
    job.expires_at_us = expires_at_us
    if not isinstance(wanted.payload, UnsetType):
        job.payload = wanted.payload
    if not isinstance(wanted.cost, UnsetType) and wanted.cost != job.cost:
        # The newest lease took the old cost, so its report must not be compared with the new one.
        job.cost, job.is_corrected = wanted.cost, job.is_corrected or job.token is not None
    _move(state, job, wanted.priority, due_us)
    queue.active_us = state.now_us
    return CallOutcome.DONE


def _move(state: TypeState, job: Job, priority: int | UnsetType, due_us: int | None) -> None:
    """Put a waiting job into the place of its priority, or behind all others at a new time."""
    old_due_us, is_delayed = job.due_us, job.state is JobState.DELAYED
    state.displace(job)
    if not isinstance(priority, UnsetType):
        job.priority = priority
    if due_us is not None:
        state.renumber(job)
    if is_delayed and due_us is None:
        due_us = old_due_us
    state.put_back(job, due_us or 0)
    if not is_delayed and due_us is None:
        job.due_us = old_due_us


def redrive(state: TypeState, key: JobKey) -> CallOutcome:
    """Queue a dead letter again, with attempts from 0 and without an expiry."""
    letter = state.letter(key)
    if letter is None:
        return CallOutcome.NOT_FOUND
    if key in state.jobs:
        return CallOutcome.DUPLICATE
    dead = letter.job
    batch = None if dead.batch is None else _living(state, dead.batch)
    if batch is not None and batch.is_cancelled:
        return CallOutcome.BATCH_CANCELLED
    del state.letters[key]
    queue = state.queue(key[0])
    if queue is None:
        queue = state.new_queue(key[0])
        queue.interval_us, queue.burst, queue.max_leased = letter.interval_us, letter.burst, letter.max_leased
    job = Job(
        *key,
        dead.payload,
        dead.requeue_limit,
        dead.cost,
        dead.priority,
        None,
        OnExpiry.DEAD,
        dead.retry,
        batch,
        dead.trace,
    )
    state.add(queue, job, state.now_us)
    return CallOutcome.DONE


def _living(state: TypeState, batch: Batch) -> Batch | None:
    """Return a batch unless it is forgotten."""
    return batch if state.batch(batch.name) is batch else None


def cancel_batch(state: TypeState, batch: Batch) -> int:
    """Cancel a batch and its waiting jobs. Return their number."""
    batch.is_cancelled = True
    waiting = [job for job in state.jobs.values() if job.batch is batch and not job.is_leased]
    for job in waiting:
        _cancel_live(state, job)
    return len(waiting)
