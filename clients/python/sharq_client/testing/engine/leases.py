"""Ends and extends leases: finish, extend and release, and what an old lease token finds."""

from __future__ import annotations

import enum

from sharq_client.answers import JobState
from sharq_client.testing.engine.records import Ending, Job, JobReport
from sharq_client.testing.engine.state import JobKey, TypeState


class LeaseOutcome(enum.Enum):
    """The outcome of a call about a lease. LOST and NOT_FOUND changed nothing."""

    DONE = enum.auto()
    LOST = enum.auto()
    NOT_FOUND = enum.auto()


def finish(state: TypeState, key: JobKey, lease: str | None, report: JobReport) -> LeaseOutcome:
    """End a lease and forget the job."""
    job = _find(state, key, lease, "finish")
    if isinstance(job, LeaseOutcome):
        return job
    _take_report(state, job, report)
    job.result = report.result
    was_leased = job.is_leased
    state.owner(job).active_us = state.now_us
    state.bury(job, Ending.FINISHED)
    if was_leased:
        state.on_lease_end(job, str(JobState.FINISHED))
    return LeaseOutcome.DONE


def extend(state: TypeState, key: JobKey, lease: str, by_us: int, progress: bytes | None) -> LeaseOutcome:
    """Move the end of a lease; a job that waits again is taken back in hand."""
    job = _find(state, key, lease, "extend")
    if isinstance(job, LeaseOutcome):
        return job
    queue = state.owner(job)
    if not job.is_leased and (queue.is_full or state.rules.is_full(state.leased)):
        return LeaseOutcome.LOST
    job.attempt += job.is_uncounted
    if progress is not None:
        job.progress = progress, state.now_us
    state.hold(job, state.now_us + by_us)
    queue.active_us = state.now_us
    return LeaseOutcome.DONE


def release(state: TypeState, key: JobKey, lease: str, report: JobReport) -> LeaseOutcome:
    """Give a job back unfinished."""
    job = _find(state, key, lease, "release")
    if isinstance(job, LeaseOutcome):
        return job
    if job.is_leased:
        _give_back(state, job, report)
        has_failed = report.prefers_retry and report.counts
        due_us = state.retry_due_us(job, report.delay_us) if has_failed else state.now_us + report.delay_us
        state.end_lease(job, due_us, "released")
    elif report.says_anything and not job.is_released:
        _give_back(state, job, report)
    return LeaseOutcome.DONE


def _give_back(state: TypeState, job: Job, report: JobReport) -> None:
    job.is_released = True
    _take_report(state, job, report)
    if report.error:
        job.error = report.error, job.attempt, state.now_us
    job.is_uncounted = not report.counts
    job.attempt -= job.is_uncounted
    state.owner(job).active_us = state.now_us


def _take_report(state: TypeState, job: Job, report: JobReport) -> None:
    """Correct the cost of a lease once, and hold the queue or the type."""
    queue = state.owner(job)
    if report.cost is not None and not job.is_corrected:
        job.is_corrected = True
        queue.correct(job.cost, report.cost)
        state.rules.correct(report.cost - job.cost)
    if report.hold_us:
        queue.hold(state.now_us + report.hold_us)
    if report.hold_type_us:
        state.rules.hold(state.now_us + report.hold_type_us)


def _find(state: TypeState, key: JobKey, lease: str | None, verb: str) -> Job | LeaseOutcome:
    """Return the job that a lease acts on, or what became of it."""
    job = state.jobs.get(key)
    if lease is None:
        return job if job is not None and job.is_leased else LeaseOutcome.NOT_FOUND
    if job is not None and job.token == lease:
        return job
    return _what_became_of(state, key, lease, verb)


def _what_became_of(state: TypeState, key: JobKey, lease: str, verb: str) -> LeaseOutcome:
    tombstone, letter = state.tombstone(key), state.letter(key)
    if tombstone is not None and tombstone.job.token == lease and tombstone.ending is Ending.FINISHED:
        if verb == "finish":
            return LeaseOutcome.DONE
        return LeaseOutcome.LOST if key in state.jobs else LeaseOutcome.NOT_FOUND
    gone = [
        letter.job if letter is not None else None,
        tombstone.job if tombstone is not None and tombstone.ending is not Ending.FINISHED else None,
    ]
    if verb == "release" and any(job and job.token == lease and job.is_released for job in gone):
        return LeaseOutcome.DONE
    is_lost = tombstone is not None or letter is not None or key in state.jobs
    return LeaseOutcome.LOST if is_lost else LeaseOutcome.NOT_FOUND
