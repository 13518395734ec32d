"""The batches of the model: how many jobs of each are in which state, and what a cancellation does."""

from __future__ import annotations

from sharq_core.campaigns.batches import BatchCounts
from sharq_core.models import JobState
from tests.scheduler.models.records import Batch, Job
from tests.scheduler.models.state import State


def take(state: State, name: str) -> Batch:
    """The batch of a name, new if need be."""
    batch = state.batches.get(name)
    if batch is None:
        batch = state.batches[name] = Batch(name, state.retention.finished_us)
    return batch


def counts(state: State, name: str) -> BatchCounts | None:
    """The numbers of a batch; those of accepted jobs and of its jobs by state agree."""
    batch = state.batches.get(name)
    if batch is None:
        return None
    found = BatchCounts(
        queued=_number(state, batch, JobState.QUEUED),
        delayed=_number(state, batch, JobState.DELAYED),
        leased=_number(state, batch, JobState.LEASED),
        finished=batch.finished,
        dead=sum(letter.job.batch is batch for letter in state.letters.values()),
        cancelled=batch.cancelled,
        is_cancelled=batch.is_cancelled,
        is_over=is_over(state, batch),
    )
    assert found.total == batch.accepted
    return found


def _number(state: State, batch: Batch, job_state: JobState) -> int:
    """Deleted jobs count as what they were until their records are removed."""
    return sum(job.state is job_state for job in state.of_batch(batch))


def is_over(state: State, batch: Batch) -> bool:
    """Its retention has passed since its last job ended."""
    return batch.ended_us is not None and state.now_us >= batch.ended_us + batch.retention_us


def cancel(state: State, name: str) -> int:
    """Cancel a batch and its waiting jobs; return their number."""
    batch = take(state, name)
    batch.is_cancelled, batch.retention_us = True, state.retention.finished_us
    waiting = [job for job in state.jobs.values() if _waits(job, batch)]
    for job in waiting:
        state.cancel(job)
        state.queues[job.queue_id].active_us = state.now_us
    state.settle()
    return len(waiting)


def _waits(job: Job, batch: Batch) -> bool:
    return job.batch is batch and job.state is not JobState.LEASED


def drop(state: State, name: str) -> bool:
    """Forget a batch that is over."""
    batch = state.batches.get(name)
    is_dropped = batch is not None and is_over(state, batch)
    if batch is not None and is_dropped:
        batch.is_forgotten = True
        del state.batches[name]
    state.keep_time()
    return is_dropped
