"""The model's jobs, queues and dead letters as the reading functions tell them."""

from __future__ import annotations

from msgspec.structs import replace

from sharq_core.job_life import DeadLetter, DeadPage, JobError
from sharq_core.limits import BlockedBy
from sharq_core.models import JobState, JobStatus, QueueStats
from sharq_core.scheduler.replies import minute_counts
from tests.scheduler.models.records import Job, JobKey, Letter, Queue, field_of
from tests.scheduler.models.state import State
from tests.scheduler.models.types import first_reason


def get_job(state: State, key: JobKey) -> JobStatus | None:
    """One job's status; of what remains of an earlier job, the latest."""
    job = state.jobs.get(key)
    if job:
        return live_job(state, job, is_listed=False)
    gone = remembered(state, key)
    if gone is None:
        return None
    if gone is JobState.DEAD:
        return _dead_job(state, state.letters[key])
    leftover, tombstone = state.leftovers.get(key), state.tombstone(key)
    left = leftover if leftover and leftover.was_leased else tombstone and tombstone.job
    assert left
    result = state.results.find(f"{state.queue_type}:{field_of(*key)}", left.token)
    return JobStatus(
        gone,
        left.attempt,
        state.shown(left.enqueued_at_us),
        result=result if gone is JobState.FINISHED else None,
    )


def remembered(state: State, key: JobKey) -> JobState | None:
    """The state in which a job without a live record is remembered."""
    letter, tombstone, leftover = state.letter(key), state.tombstone(key), state.leftovers.get(key)
    if leftover and leftover.was_leased:
        return JobState.CANCELLED
    if tombstone and not (letter and letter.died_us > tombstone.at_us):
        return tombstone.kind.state
    return JobState.DEAD if letter else None


def live_job(state: State, job: Job, *, is_listed: bool) -> JobStatus:
    """The status of a job that is queued, delayed or leased."""
    shown = state.shown
    waits = job.state is not JobState.LEASED
    blocked_by = _blocked_by(state, job) if waits else None
    queued = [] if is_listed else state.in_state(JobState.QUEUED, job.queue_id)
    return JobStatus(
        state=job.state,
        attempt=job.attempt,
        enqueued_at_us=shown(job.enqueued_at_us),
        lease_expires_at_us=shown(job.due_us) if job.state is JobState.LEASED else None,
        position=queued.index(job) + 1 if job in queued else None,
        payload=job.payload,
        priority=job.priority,
        cost=job.cost,
        retry=job.retry,
        requeue_limit=job.requeue_limit,
        delayed_until_us=shown(job.due_us) if job.state is JobState.DELAYED else None,
        expires_at_us=None if job.expires_at_us is None else shown(job.expires_at_us),
        on_expiry=None if job.expires_at_us is None else job.on_expiry,
        error=_error(state, job),
        batch=_batch(job),
        progress=job.progress and job.progress[0],
        progress_at_us=job.progress and state.shown(job.progress[1]),
        trace=job.trace,
        is_explained=waits,
        blocked_by=blocked_by,
        caps=state.queues[job.queue_id].caps if blocked_by is BlockedBy.CAP else (),
    )


def _blocked_by(state: State, job: Job) -> BlockedBy | None:
    """The first reason why a waiting job is not leased: of its type, its queue or itself."""
    queue, now_us = state.queues[job.queue_id], state.now_us
    is_delayed = job.state is JobState.DELAYED
    leased = len(state.in_state(JobState.LEASED, job.queue_id))
    of_type = state.seen_rules().blocked_by(len(state.in_state(JobState.LEASED)), now_us)
    return first_reason(of_type, queue.blocked_by(now_us, not is_delayed, is_delayed, leased))


def _batch(job: Job) -> str | None:
    return None if job.batch is None or job.batch.is_forgotten else job.batch.name


def _dead_job(state: State, letter: Letter) -> JobStatus:
    job = letter.job
    return JobStatus(
        state=JobState.DEAD,
        attempt=job.attempt,
        enqueued_at_us=state.shown(job.enqueued_at_us),
        payload=job.payload,
        priority=job.priority,
        cost=job.cost,
        retry=job.retry,
        requeue_limit=job.requeue_limit,
        expires_at_us=None if job.expires_at_us is None else state.shown(job.expires_at_us),
        on_expiry=None if job.expires_at_us is None else job.on_expiry,
        dead_at_us=state.shown(letter.died_us),
        reason=letter.reason,
        error=_error(state, job),
        batch=_batch(job),
        progress=job.progress and job.progress[0],
        progress_at_us=job.progress and state.shown(job.progress[1]),
        trace=job.trace,
    )


def _error(state: State, job: Job) -> JobError | None:
    return job.error and replace(job.error, at_us=state.shown(job.error.at_us))


def get_queue(state: State, queue_id: str) -> QueueStats:
    """One queue's figures."""
    queue = state.queue(queue_id)
    known = queue or Queue()
    now_us, dead = state.now_us, [key for key in state.letters if key[0] == queue_id]
    queued = state.in_state(JobState.QUEUED, queue_id)
    delayed = len(state.in_state(JobState.DELAYED, queue_id))
    leased = len(state.in_state(JobState.LEASED, queue_id))
    rules = state.seen_rules()
    is_open = queue is not None and not (queue.is_paused or state.is_full(queue_id))
    minutes = [(minute, row[0], row[1]) for minute, row in known.minutes.items()]
    return QueueStats(
        is_known=queue is not None or bool(dead),
        interval_us=known.interval_us,
        burst=known.burst,
        is_pinned=known.is_pinned,
        is_paused=known.is_paused,
        queued=len(queued),
        delayed=delayed,
        leased=leased,
        next_ready_in_us=max(known.ready_us - now_us, rules.ready_us - now_us, 0)
        if queued and is_open and not rules.is_stopped(len(state.in_state(JobState.LEASED)))
        else None,
        oldest_age_us=max(now_us - queued[0].enqueued_at_us, 0) if queued else None,
        enqueue_counts=minute_counts(state.told_us, minutes, 1),
        dequeue_counts=minute_counts(state.told_us, minutes, 2),
        max_leased=known.max_leased,
        held_until_us=state.shown(known.held_us) if known.held_us > now_us else None,
        weight=known.weight or 1,
        dead=len(dead),
        blocked_by=first_reason(
            rules.blocked_by(len(state.in_state(JobState.LEASED)), now_us) if queue or dead else None,
            known.blocked_by(now_us, len(queued), delayed, leased),
        ),
        settings=tuple(
            name for name in ("interval", "max_leased", "weight", "burst", "caps") if name in known.settings
        ),
        retry=known.retry,
        expires_us=known.expires_us,
        on_expiry=known.on_expiry,
        caps=known.caps,
        has_interval=queue is not None and queue.has_interval,
    )


def list_dead(state: State, scan: str, limit: int) -> DeadPage:
    """A page of dead letters, oldest first."""
    died, _, name = scan.partition(":")
    after = (int(died or 0) + state.now_us - state.told_us, name)
    keys = sorted(filter(state.letter, state.letters), key=state.death_of)
    rest = [key for key in keys if state.death_of(key) > after]
    page = [_list_letter(state, state.letters[key]) for key in rest[:limit]]
    is_more = len(rest) > limit
    last = page[-1] if page else None
    next_scan = f"{last.dead_at_us}:{field_of(last.queue_id, last.job_id)}" if last and is_more else ""
    return DeadPage(page, next_scan, state.told_us)


def _list_letter(state: State, letter: Letter) -> DeadLetter:
    job = letter.job
    return DeadLetter(
        job.queue_id,
        job.job_id,
        job.payload,
        job.attempt,
        state.shown(job.enqueued_at_us),
        state.shown(letter.died_us),
        letter.reason,
        _error(state, job),
    )
