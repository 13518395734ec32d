"""Enqueues jobs, and leases them: the choice of the queue and of the job."""

from __future__ import annotations

import enum
import random
import struct

from sharq_client.requests import OnExpiry
from sharq_client.testing.engine.queues import Queue
from sharq_client.testing.engine.records import Batch, Ending, Job, NewJob
from sharq_client.testing.engine.state import TypeState

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""The payloads at which a dequeue of several jobs ends."""


class EnqueueOutcome(enum.Enum):
    """The outcome of an enqueue. Only QUEUED changed anything."""

    QUEUED = enum.auto()
    DUPLICATE = enum.auto()
    FULL = enum.auto()
    NO_INTERVAL = enum.auto()
    EXPIRES_EARLY = enum.auto()
    BATCH_CANCELLED = enum.auto()


def enqueue(state: TypeState, new: NewJob) -> tuple[EnqueueOutcome, int]:
    """Queue a job. Return the outcome, and the number of jobs that were queued and delayed before it."""
    queue, key = state.queue(new.queue_id), (new.queue_id, new.job_id)
    length = 0 if queue is None else queue.length
    tombstone = state.tombstone(key)
    # The server does not count a job that went with its queue as ended.
    is_remembered = tombstone is not None and tombstone.ending is not Ending.DELETED
    if key in state.jobs or (new.repeat and (is_remembered or state.letter(key) is not None)):
        return EnqueueOutcome.DUPLICATE, length
    batch = None if new.batch is None else state.batch(new.batch)
    if batch is not None and batch.is_cancelled:
        return EnqueueOutcome.BATCH_CANCELLED, length
    if new.max_queued_length is not None and length >= new.max_queued_length:
        return EnqueueOutcome.FULL, length
    if new.interval_us is None and (queue is None or not queue.has_interval):
        return EnqueueOutcome.NO_INTERVAL, length
    due_us = state.now_us + new.delay_us if new.at_us is None else new.at_us
    expires_at_us = _expiry_us(state, queue, new, due_us)
    if expires_at_us is not None and expires_at_us <= max(due_us, state.now_us):
        return EnqueueOutcome.EXPIRES_EARLY, length
    on_expiry = new.on_expiry or (queue and queue.on_expiry) or state.rules.on_expiry or OnExpiry.DEAD
    queue = state.new_queue(new.queue_id) if queue is None else state.touch(queue)
    queue.adopt(new.interval_us, new.burst, new.max_leased)
    if new.batch is not None:
        batch = batch or state.batches.setdefault(new.batch, Batch(new.batch))
        batch.accepted += 1
    job = Job(
        new.queue_id,
        new.job_id,
        new.payload,
        new.requeue_limit,
        new.cost,
        new.priority,
        expires_at_us,
        on_expiry,
        new.retry,
        batch,
        new.trace,
    )
    state.add(queue, job, due_us)
    state.count(queue, enqueued=1)
    return EnqueueOutcome.QUEUED, length


def _expiry_us(state: TypeState, queue: Queue | None, new: NewJob, due_us: int) -> int | None:
    """Return when a new job expires: as it says, else as its queue or its type says, from when it is due."""
    if new.expires_us is not None:
        return state.now_us + new.expires_us
    if new.expires_at_us is not None:
        return new.expires_at_us
    default_us = (queue and queue.expires_us) or state.rules.expires_us
    return max(due_us, state.now_us) + default_us if default_us else None


def dequeue(state: TypeState, count: int, lease_us: int, chance: random.Random) -> list[tuple[Job, int]]:
    """Lease up to `count` ready jobs, in rounds: no queue gives a second job while another has given none.

    Returns:
        Each job, and the number of jobs that were still queued in its queue after its lease.
    """
    leased: list[tuple[Job, int]] = []
    size_bytes, random_bytes = 0, chance.randbytes(8)
    line = state.line()[: state.rules.room(state.leased, state.now_us, count)]
    while line and len(leased) < count and state.rules.allows(state.leased, state.now_us):
        queue = line[0]
        if not queue.waiting:
            line.pop(0)
            continue
        job = queue.waiting[0]
        size_bytes += len(job.payload)
        if leased and size_bytes > MAX_ANSWER_BYTES:
            break
        _lease(state, queue, job, lease_us, random_bytes)
        leased.append((job, len(queue.waiting)))
        has_more = bool(queue.waiting) and state.now_us >= queue.tat_us and not queue.is_full
        if queue.stays_in_turn(may_give_more=has_more):
            continue
        line.pop(0)
        if has_more:
            line.append(queue)
    return leased


def _lease(state: TypeState, queue: Queue, job: Job, lease_us: int, random_bytes: bytes) -> None:
    state.lease_number += 1
    job.token = (struct.pack(">Q", state.lease_number) + random_bytes).hex()
    job.attempt, job.is_corrected = job.attempt + 1, False
    state.hold(job, state.now_us + lease_us)
    queue.lease(state.now_us, job.cost)
    if state.rules.is_recorded:
        queue.served_after_us = state.rules.served
        state.rules.lease(state.now_us, job.cost)
    state.count(queue, leased=1)
