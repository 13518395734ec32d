"""Makes the server's answers about jobs, queues and types. Times are in ms, rounded as the server rounds them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from sharq_client import errors
from sharq_client.answers import JobState, LeasedJob
from sharq_client.requests import RetryPolicy
from sharq_client.testing.engine.job_calls import remembered
from sharq_client.testing.engine.limits import first_reason
from sharq_client.testing.engine.queues import MINUTE_US, Queue
from sharq_client.testing.engine.rates import rate_text, to_ms
from sharq_client.testing.engine.records import Batch, Job, Letter
from sharq_client.testing.engine.state import JobKey, TypeState
from sharq_client.testing.wire.traces import trace_facts

Facts = dict[str, object]
"""The fields of an answer."""


class Reply(msgspec.Struct, frozen=True):
    """An answer.

    Attributes:
        may_wait: True if a request that waits is not answered yet with it.
    """

    status: int
    content: bytes
    may_wait: bool = False


def reply(facts: Mapping[str, object], status: int = 200, *, may_wait: bool = False) -> Reply:
    """Return an answer with some fields, and the status "success" unless they have another."""
    return Reply(status, msgspec.json.encode({"status": "success", **facts}), may_wait)


def failure(error: errors.SharqError) -> Facts:
    """Return the fields of the answer for an error."""
    facts: Facts = {"status": "failure", "code": error.code, "message": error.message}
    if isinstance(error, errors.QueueFull):
        facts["current_queue_length"] = error.queue_length
    return facts


def failed_reply(error: errors.SharqError) -> Reply:
    """Return the answer for an error."""
    return Reply(error.status, msgspec.json.encode(failure(error)))


def bulk_reply(results: list[Facts]) -> Reply:
    """Return the answer to a bulk call."""
    return reply({"failed": sum(facts["status"] == "failure" for facts in results), "results": results})


def leased_job(state: TypeState, job: Job, queue_length: int) -> LeasedJob:
    """Return a job that was just leased. The end of the lease is rounded down."""
    limit = job.requeue_limit
    return LeasedJob(
        queue_type=state.queue_type,
        queue_id=job.queue_id,
        job_id=job.job_id,
        lease=job.token or "",
        lease_expires_at=job.due_us // 1000,
        enqueued_at=job.enqueued_at_us // 1000,
        attempt=job.attempt,
        requeues_remaining=-1 if limit < 0 else limit - job.attempt + 1,
        current_queue_length=queue_length,
        cost=job.cost,
        priority=job.priority,
        expires_at=None if job.expires_at_us is None else job.expires_at_us // 1000,
        traceparent=None if job.trace is None else job.trace[0],
        tracestate=None if job.trace is None else job.trace[1] or None,
        payload_json=Raw(job.payload),
    )


def job_facts(state: TypeState, key: JobKey) -> Facts | None:
    """Return what is known of a job; None if nothing is."""
    job = state.jobs.get(key)
    if job is not None:
        return live_facts(state, job)
    ended = remembered(state, key)
    if ended is None:
        return None
    if ended is JobState.DEAD:
        return dead_facts(state, state.letters[key])
    job = state.tombstones[key].job
    facts: Facts = {"state": ended, "attempt": job.attempt, "enqueued_at": job.enqueued_at_us // 1000}
    if ended is JobState.FINISHED and job.result is not None:
        facts["result"] = Raw(job.result)
    return facts


def live_facts(state: TypeState, job: Job, *, is_listed: bool = False) -> Facts:
    """Return what is known of a job that is queued, delayed or leased."""
    facts = _common_facts(state, job, job.state)
    if job.state is JobState.LEASED:
        facts["lease_expires_at"] = job.due_us // 1000
    elif job.state is JobState.DELAYED:
        facts["delayed_until"] = job.due_us // 1000
    elif not is_listed:
        facts["position"] = state.queues[job.queue_id].waiting.index(job) + 1
    if job.state is not JobState.LEASED:
        facts["blocked_by"] = _reason_of(state, job)
    return facts


def _reason_of(state: TypeState, job: Job) -> str | None:
    """Return why a waiting job is not leased; None if its queue gives a job."""
    own = state.queues[job.queue_id].blocked_by(state.now_us)
    if job.state is JobState.DELAYED and own not in ("paused", "hold"):
        own = "delayed"
    return first_reason(state.rules.blocked_by(state.leased, state.now_us), own)


def dead_facts(state: TypeState, letter: Letter) -> Facts:
    """Return what is known of a dead letter."""
    facts = _common_facts(state, letter.job, JobState.DEAD)
    return facts | {"dead_at": letter.died_us // 1000, "reason": letter.reason}


def finished_facts(state: TypeState, job: Job) -> Facts:
    """Return all about a finished job, with the payload, which the server forgets."""
    facts = _common_facts(state, job, JobState.FINISHED)
    return facts if job.result is None else {**facts, "result": Raw(job.result)}


def _common_facts(state: TypeState, job: Job, job_state: JobState) -> Facts:
    facts: Facts = {
        "state": job_state,
        "attempt": job.attempt,
        "enqueued_at": job.enqueued_at_us // 1000,
        "payload": Raw(job.payload),
        "priority": job.priority,
        "cost": job.cost,
        "requeue_limit": job.requeue_limit,
        **_error_facts(job),
    }
    if job.retry is not None:
        facts["retry"] = retry_facts(job.retry)
    if job.expires_at_us is not None:
        facts |= {"expires_at": job.expires_at_us // 1000, "on_expiry": job.on_expiry}
    if job.batch is not None and state.batch(job.batch.name) is job.batch:
        facts["batch"] = job.batch.name
    if job.trace is not None:
        facts |= trace_facts(job.trace)
    if job.progress is not None:
        facts |= {"progress": Raw(job.progress[0]), "progress_at": job.progress[1] // 1000}
    return facts


def _error_facts(job: Job) -> Facts:
    if job.error is None:
        return {}
    text, attempt, at_us = job.error
    return {"error": text, "error_attempt": attempt, "error_at": at_us // 1000}


def retry_facts(policy: RetryPolicy | None) -> Facts | None:
    """Return a retry policy; None for none."""
    return None if policy is None else dict(msgspec.structs.asdict(policy))


def letter_facts(letter: Letter) -> Facts:
    """Return a dead letter of a list."""
    job = letter.job
    return {
        "queue_id": job.queue_id,
        "job_id": job.job_id,
        "payload": Raw(job.payload),
        "attempt": job.attempt,
        "enqueued_at": job.enqueued_at_us // 1000,
        "dead_at": letter.died_us // 1000,
        "reason": letter.reason,
        **_error_facts(job),
    }


def batch_facts(state: TypeState, batch: Batch) -> Facts:
    """Return the numbers of a batch."""
    live = [job.state for job in state.jobs.values() if job.batch is batch]
    numbers = {str(name): live.count(name) for name in (JobState.QUEUED, JobState.DELAYED, JobState.LEASED)}
    dead = sum(letter.job.batch is batch for letter in state.letters.values())
    return {
        **numbers,
        "finished": batch.finished,
        "dead": dead,
        "cancelled": batch.cancelled,
        "total": batch.accepted,
    }


def queue_facts(state: TypeState, queue: Queue) -> Facts:
    """Return the state of a queue. The time until it is ready is rounded up."""
    now_us, rules = state.now_us, state.rules
    oldest = queue.waiting[0].enqueued_at_us if queue.waiting else None
    return {
        "interval": to_ms(queue.interval_us),
        "rate": rate_text(queue.interval_us),
        "burst": queue.burst,
        "pinned": queue.is_pinned,
        "paused": queue.is_paused,
        "queued": len(queue.waiting),
        "delayed": len(queue.delayed),
        "leased": len(queue.leased),
        "dead": sum(
            queue_id == queue.queue_id for queue_id, _ in list(filter(state.letter, [*state.letters]))
        ),
        "max_leased": queue.max_leased,
        "weight": queue.weight or 1,
        "held_until": -(-queue.held_us // 1000) if queue.held_us > now_us else None,
        "retry": retry_facts(queue.retry),
        "expires": None if queue.expires_us is None else to_ms(queue.expires_us),
        "on_expiry": queue.on_expiry,
        "window": None,
        "caps": [],
        "settings": [n for n in ("interval", "max_leased", "weight", "burst") if n in queue.settings],
        "blocked_by": first_reason(rules.blocked_by(state.leased, now_us), queue.blocked_by(now_us)),
        "next_ready_in": _next_ready_in_ms(state, queue),
        "oldest_age": None if oldest is None else (now_us - oldest) // 1000,
    }


def _next_ready_in_ms(state: TypeState, queue: Queue) -> int | None:
    is_closed = queue.is_paused or queue.is_full or state.rules.is_stopped(state.leased)
    if is_closed or not queue.waiting:
        return None
    return -(-max(queue.ready_us - state.now_us, state.rules.ready_us - state.now_us, 0) // 1000)


def type_facts(state: TypeState) -> Facts:
    """Return the state of a gathered type."""
    rules, now_us = state.rules, state.now_us
    reason, ready_us = _explanation(state)
    is_known = ready_us is not None and not rules.is_stopped(state.leased)
    ready_in_us = max(ready_us or 0, rules.ready_us, now_us) - now_us
    queues = [queue for name in list(state.queues) if (queue := state.queue(name)) is not None]
    return {
        "limits": [
            {
                "interval": to_ms(bucket.limit.interval_us),
                "rate": rate_text(bucket.limit.interval_us),
                "burst": bucket.limit.burst,
                "unit": bucket.limit.unit,
            }
            for bucket in rules.buckets
        ],
        "max_leased": rules.max_leased,
        "paused": rules.is_paused,
        "held_until": -(-rules.held_until_us // 1000) if rules.held_until_us > now_us else None,
        "queued": sum(len(queue.waiting) for queue in queues),
        "delayed": sum(len(queue.delayed) for queue in queues),
        "leased": state.leased,
        "dead": len(list(filter(state.letter, [*state.letters]))),
        "queues": len(queues),
        "retry": retry_facts(rules.retry),
        "expires": None if rules.expires_us is None else to_ms(rules.expires_us),
        "on_expiry": rules.on_expiry,
        "window": None,
        "quotas": [],
        "blocked_by": first_reason(rules.blocked_by(state.leased, now_us), reason),
        "next_ready_in": -(-ready_in_us // 1000) if is_known else None,
    }


def _explanation(state: TypeState) -> tuple[str | None, int | None]:
    """Return why the queue that comes first gives nothing, and when it does, if that is known."""
    queues = list(state.queues.values())
    ready = [queue for queue in queues if queue.place_us is not None]
    waiting = [queue for queue in queues if queue.waiting]
    if ready or waiting:
        first = min(ready or waiting, key=lambda queue: (queue.place_us or 0, queue.queue_id))
        is_open = not first.is_paused and not first.is_full
        return first.blocked_by(state.now_us), first.ready_us if is_open else None
    delayed = [job.due_us for queue in queues for job in queue.delayed.values()]
    return ("delayed", min(delayed)) if delayed else ("empty", None)


def minute_facts(minutes: Mapping[int, list[int]], now_us: int) -> Facts:
    """Return the counts of the last ten minutes, oldest first."""
    now = now_us // MINUTE_US
    rows = {minute: minutes.get(minute, [0, 0]) for minute in range(now - 9, now + 1)}
    return {
        name: {str(minute * 60_000): row[place] for minute, row in rows.items()}
        for place, name in enumerate(("enqueue_counts", "dequeue_counts"))
    }
