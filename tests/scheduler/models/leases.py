"""The ends of the model's leases: finish, extend and release, and what an old token finds."""

from __future__ import annotations

from collections.abc import Sequence

from sharq_core.job_life import DeadReason, JobError
from sharq_core.limits import CapCorrection
from sharq_core.models import ExtendJob, FinishJob, JobState, LeaseOutcome, LeaseStatus, ReleaseJob
from tests.scheduler.models.records import RELEASED, Job, JobKey, Kind, field_of
from tests.scheduler.models.results import Kept
from tests.scheduler.models.state import State


def finish(state: State, refs: Sequence[FinishJob]) -> list[LeaseOutcome]:
    """End leases and forget the jobs."""
    state.open_quotas()
    state.results.begin_call()
    answers = [_finish_one(state, ref) for ref in refs]
    state.settle()
    return answers


def _finish_one(state: State, ref: FinishJob) -> LeaseOutcome:
    job = _find(state, ref.queue_id, ref.job_id, ref.lease, "finish")
    name = f"{state.queue_type}:{field_of(ref.queue_id, ref.job_id)}"
    if isinstance(job, LeaseStatus):
        is_kept = None
        if job is LeaseStatus.DONE and ref.result:
            is_kept = state.results.find(name, ref.lease) is not None
        return LeaseOutcome(job, result_kept=is_kept)
    corrected = _report(state, job, ref)
    state.bury(job, Kind.FINISHED)
    state.queues[job.queue_id].active_us = state.now_us
    if not ref.result:
        return LeaseOutcome(LeaseStatus.DONE, corrected=corrected)
    is_kept = state.results.keep(name, Kept(job.token, ref.result, state.now_us))
    return LeaseOutcome(LeaseStatus.DONE, result_kept=is_kept, corrected=corrected)


def extend(state: State, refs: Sequence[ExtendJob]) -> list[LeaseOutcome]:
    """Move the ends of leases; a job that waits again is taken back in hand."""
    state.open_quotas()
    answers = [_extend_one(state, ref) for ref in refs]
    state.settle()
    return answers


def _extend_one(state: State, ref: ExtendJob) -> LeaseOutcome:
    job = _find(state, ref.queue_id, ref.job_id, ref.lease, "extend")
    if isinstance(job, LeaseStatus):
        return LeaseOutcome(job)
    leased = len(state.in_state(JobState.LEASED))
    is_full = state.is_full(job.queue_id) or state.rules.is_full(leased)
    if job.is_over(state.now_us) or (job.state is not JobState.LEASED and is_full):
        return LeaseOutcome(LeaseStatus.LOST)
    job.attempt += job.is_uncounted
    if ref.progress:
        job.progress = ref.progress, state.now_us
    state.hold(job, state.now_us + ref.by_us)
    state.queues[job.queue_id].active_us = state.now_us
    return LeaseOutcome(LeaseStatus.DONE, state.shown(job.due_us))


def release(state: State, refs: Sequence[ReleaseJob]) -> list[LeaseOutcome]:
    """Give jobs back unfinished."""
    state.open_quotas()
    answers = [_release_one(state, ref) for ref in refs]
    state.settle()
    return answers


def _release_one(state: State, ref: ReleaseJob) -> LeaseOutcome:
    job = _find(state, ref.queue_id, ref.job_id, ref.lease, "release")
    if isinstance(job, LeaseStatus):
        return LeaseOutcome(job)
    corrected = None
    if job.state is JobState.LEASED:
        if ref.is_void:
            job.attempt, job.token = job.attempt - 1, None
        else:
            corrected = _give_back(state, job, ref)
        state.queues[job.queue_id].active_us = state.now_us
        has_failed = ref.retries and ref.counts and not ref.is_void
        due_us = state.retry_due_us(job) if has_failed else state.now_us + ref.delay_us
        state.end_lease(job, due_us)
        letter = state.letters.get(job.key)
        is_dead = letter is not None and letter.job is job and letter.reason is DeadReason.LIMIT
        return LeaseOutcome(LeaseStatus.DONE, is_dead=is_dead, corrected=corrected)
    has_report = ref.cost is not None or ref.hold_us or ref.hold_type_us or not ref.counts or ref.error
    if has_report and not job.is_released:
        corrected = _give_back(state, job, ref)
    return LeaseOutcome(LeaseStatus.DONE, corrected=corrected)


def _give_back(state: State, job: Job, ref: ReleaseJob) -> CapCorrection | None:
    """Note that a worker gave a job back, and what it reports."""
    job.is_released = True
    corrected = _report(state, job, ref)
    if ref.error:
        job.error = JobError(ref.error, job.attempt, state.now_us)
    job.is_uncounted = not ref.counts
    job.attempt -= job.is_uncounted
    state.queues[job.queue_id].active_us = state.now_us
    return corrected


def _report(state: State, job: Job, ref: FinishJob | ReleaseJob) -> CapCorrection | None:
    """Correct the cost of a lease once, and hold the queue; returns the correction for its caps."""
    queue = state.queues[job.queue_id]
    corrected = None
    if ref.cost is not None and not job.is_corrected:
        job.is_corrected, job.corrected_cost = True, ref.cost
        queue.correct(job.cost, ref.cost)
        if queue.caps and ref.cost != job.cost:
            corrected = CapCorrection(queue.caps, ref.cost - job.cost)
        state.rules.correct(ref.cost - job.cost, int((job.token or "")[:16], 16))
    if ref.hold_us:
        queue.hold(state.now_us + ref.hold_us)
    if ref.hold_type_us:
        state.rules.hold(state.now_us + ref.hold_type_us)
    return corrected


def _find(state: State, queue_id: str, job_id: str, lease: str | None, verb: str) -> Job | LeaseStatus:
    """The job that a lease acts on, or what became of it."""
    key = (queue_id, job_id)
    job = state.jobs.get(key)
    if lease is None:
        return job if job and job.state is JobState.LEASED else LeaseStatus.NOT_FOUND
    if job and job.token == lease:
        return job
    return _what_became_of(state, key, lease, verb)


def _what_became_of(state: State, key: JobKey, lease: str, verb: str) -> LeaseStatus:
    tombstone, letter, leftover = state.tombstone(key), state.letter(key), state.leftovers.get(key)
    is_tombstone_of_it = tombstone is not None and tombstone.job.token == lease
    was_leased = leftover is not None and leftover.was_leased
    if tombstone and is_tombstone_of_it and tombstone.kind is Kind.FINISHED:
        if verb == "finish":
            return LeaseStatus.DONE
        return LeaseStatus.LOST if key in state.jobs or was_leased else LeaseStatus.NOT_FOUND
    gone = [
        leftover,
        letter and letter.job,
        tombstone.job if tombstone and tombstone.kind in RELEASED.values() else None,
    ]
    if verb == "release" and any(job and job.token == lease and job.is_released for job in gone):
        return LeaseStatus.DONE
    is_lost = tombstone or letter or key in state.jobs or was_leased
    return LeaseStatus.LOST if is_lost else LeaseStatus.NOT_FOUND
