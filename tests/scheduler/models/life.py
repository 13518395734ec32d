"""The lives of the model's jobs: their expiry, and what a person does with one of them or with those of a prefix."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from sharq_core.job_changes import (
    CancelJob,
    CancelOutcome,
    CancelStatus,
    ChangedJob,
    ChangeStatus,
    JobChange,
    JobRow,
)
from sharq_core.job_life import OnExpiry
from sharq_core.models import JobState, NewJob
from tests.scheduler.models import reads as model_reads
from tests.scheduler.models.records import Job, JobKey, Kind, Queue
from tests.scheduler.models.state import State


def expiry_us(state: State, queue: Queue | None, new: NewJob, due_us: int) -> int | None:
    """Return when a new job expires: as it says, else as its queue or its type says, from when it is due."""
    if new.expires_us is not None:
        return state.now_us + new.expires_us
    if new.expires_at_us is not None:
        return state.partition_time(new.expires_at_us)
    default_us = (queue and queue.expires_us) or state.rules.expires_us
    return max(due_us, state.now_us) + default_us if default_us else None


def fate(state: State, queue: Queue | None, new: NewJob) -> OnExpiry:
    """Return what becomes of a new job when it expires: as it says, else as its queue or its type says."""
    return new.on_expiry or (queue and queue.on_expiry) or state.rules.on_expiry or OnExpiry.DEAD


def cancel(state: State, refs: Sequence[CancelJob]) -> list[CancelOutcome]:
    """Cancel jobs."""
    answers = [_cancel_one(state, (ref.queue_id, ref.job_id), is_forced=ref.force) for ref in refs]
    state.settle()
    return answers


def _cancel_one(state: State, key: JobKey, *, is_forced: bool) -> CancelOutcome:
    job = state.jobs.get(key)
    if job:
        was = job.state
        if was is JobState.LEASED and not is_forced:
            return CancelOutcome(CancelStatus.LEASED)
        _cancel_live(state, job)
        return CancelOutcome(CancelStatus.DONE, was)
    remembered = model_reads.remembered(state, key)
    if remembered is JobState.DEAD:
        letter = state.letters[key]
        state.drop_letter(key)
        state.remember(letter.job, Kind.CANCELLED)
    elif remembered is not JobState.CANCELLED:
        return CancelOutcome(CancelStatus.NOT_FOUND)
    return CancelOutcome(CancelStatus.DONE, remembered)


def _cancel_live(state: State, job: Job) -> None:
    state.cancel(job)
    state.queues[job.queue_id].active_us = state.now_us


def cancel_matching(state: State, queue_id: str, prefix: str) -> int:
    """Cancel the waiting jobs of a queue whose ids begin with a prefix; returns how many."""
    matching = [job for job in _waiting(state, queue_id) if job.job_id.startswith(prefix)]
    for job in matching:
        _cancel_live(state, job)
    state.settle()
    return len(matching)


def _waiting(state: State, queue_id: str) -> list[Job]:
    return [*state.in_state(JobState.QUEUED, queue_id), *state.in_state(JobState.DELAYED, queue_id)]


def change_job(state: State, key: JobKey, change: JobChange) -> ChangedJob:
    """Change a waiting job."""
    status = _change_one(state, key, change)
    state.settle()
    is_done = status is ChangeStatus.DONE
    job = model_reads.live_job(state, state.jobs[key], is_listed=False) if is_done else None
    return ChangedJob(status, job)


def _change_one(state: State, key: JobKey, change: JobChange) -> ChangeStatus:
    job = state.jobs.get(key)
    if job is None:
        is_known = model_reads.remembered(state, key) is not None
        return ChangeStatus.NOT_WAITING if is_known else ChangeStatus.NOT_FOUND
    if job.state is JobState.LEASED or job.is_over(state.now_us):
        return ChangeStatus.NOT_WAITING
    due_us = _changed_due_us(state, change)
    expires_at_us = _changed_expiry_us(state, job, change)
    is_timed = due_us is not None or change.expires_us is not UNSET or change.expires_at_us is not UNSET
    due_or_old_us = due_us or (job.due_us if job.state is JobState.DELAYED else 0)
    if is_timed and expires_at_us is not None and expires_at_us <= max(due_or_old_us, state.now_us):
        return ChangeStatus.EXPIRES_EARLY
    _apply(state, job, change, expires_at_us)
    if due_us is not None:
        state.seq += 1
        job.seq = state.seq
    if due_us is not None or job.state is JobState.DELAYED:
        state.put_back(job, due_or_old_us)
    state.queues[job.queue_id].active_us = state.now_us
    return ChangeStatus.DONE


def _apply(state: State, job: Job, change: JobChange, expires_at_us: int | None) -> None:
    if job.expires_at_us is None:
        job.on_expiry = state.queues[job.queue_id].on_expiry or state.rules.on_expiry or OnExpiry.DEAD
    job.expires_at_us = expires_at_us
    job.payload = job.payload if change.payload is UNSET else change.payload
    job.priority = job.priority if change.priority is UNSET else change.priority
    if change.cost is not UNSET and change.cost != job.cost:
        # The newest lease took the old cost, so its report must not be compared with the new one.
        job.cost, job.is_corrected = change.cost, job.is_corrected or job.token is not None


def _changed_due_us(state: State, change: JobChange) -> int | None:
    if change.delay_us is not UNSET:
        return state.now_us + change.delay_us
    return None if change.at_us is UNSET else state.partition_time(change.at_us)


def _changed_expiry_us(state: State, job: Job, change: JobChange) -> int | None:
    if change.expires_us is None or change.expires_at_us is None:
        return None
    if not isinstance(change.expires_us, UnsetType):
        return state.now_us + change.expires_us
    if not isinstance(change.expires_at_us, UnsetType):
        return state.partition_time(change.expires_at_us)
    return job.expires_at_us


def list_jobs(state: State, queue_id: str, job_state: JobState, prefix: str) -> list[JobRow]:
    """All jobs of a queue in a state whose ids begin with a prefix, in the order of the queue."""
    jobs = [job for job in state.in_state(job_state, queue_id) if job.job_id.startswith(prefix)]
    return [JobRow(job.job_id, model_reads.live_job(state, job, is_listed=True)) for job in jobs]


def drop_dead_letter(state: State, key: JobKey) -> bool:
    """Drop one dead letter."""
    letter = state.letter(key)
    if letter:
        state.drop_letter(key)
    state.keep_time()
    return letter is not None
