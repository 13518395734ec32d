"""The model's jobs, queues and dead letters as the reading functions tell them."""

from __future__ import annotations

from sharq_core.dead_letters import DeadLetter, DeadPage
from sharq_core.models import JobState, JobStatus, QueueStats
from sharq_core.scheduler.replies import minute_counts
from tests.scheduler.model_records import JobKey, Kind, Letter, Queue
from tests.scheduler.model_state import State
from tests.scheduler.type_model import first_reason


def get_job(state: State, key: JobKey) -> JobStatus | None:
    """One job's status; of a finished and a dead one the later."""
    job, letter, tombstone = state.jobs.get(key), state.letter(key), state.tombstone(key)
    if job:
        shown = state.shown
        end_us = shown(job.due_us) if job.state is JobState.LEASED else None
        queued = state.in_state(JobState.QUEUED, job.queue_id)
        position = queued.index(job) + 1 if job in queued else None
        return JobStatus(job.state, job.attempt, shown(job.enqueued_at_us), end_us, position, job.payload)
    if tombstone and tombstone.kind is Kind.FINISHED and not (letter and letter.died_us > tombstone.at_us):
        return JobStatus(JobState.FINISHED, tombstone.job.attempt, state.shown(tombstone.job.enqueued_at_us))
    if letter:
        dead = letter.job
        enqueued_us = state.shown(dead.enqueued_at_us)
        return JobStatus(JobState.DEAD, dead.attempt, enqueued_us, payload=dead.payload)
    return None


def get_queue(state: State, queue_id: str) -> QueueStats:
    """One queue's figures."""
    queue = state.queue(queue_id)
    known = queue or Queue()
    now_us, dead = state.now_us, [key for key in state.letters if key[0] == queue_id]
    queued = state.in_state(JobState.QUEUED, queue_id)
    delayed = len(state.in_state(JobState.DELAYED, queue_id))
    leased = len(state.in_state(JobState.LEASED, queue_id))
    rules = state.rules
    is_open = queue is not None and not (queue.is_paused or state.is_full(queue_id))
    minutes = [(minute, row[0], row[1]) for minute, row in known.minutes.items()]
    return QueueStats(
        is_known=queue is not None,
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
        dead=len(dead) if queue else 0,
        blocked_by=first_reason(
            rules.blocked_by(len(state.in_state(JobState.LEASED)), now_us) if queue else None,
            known.blocked_by(now_us, len(queued), delayed, leased),
        ),
        settings=tuple(
            name for name in ("interval", "max_leased", "weight", "burst") if name in known.settings
        ),
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
    next_scan = f"{last.dead_at_us}:{last.queue_id}:{last.job_id}" if last and is_more else ""
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
    )
