"""Makes the answers about the state of a job, alone and in a list."""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import UNSET, Raw, UnsetType

from router.api.life.answers import JobFacts, retry_answer
from router.api.life.trace_values import traceparent_out, tracestate_out
from sharq_core.models import JobState, JobStatus

FactsT = TypeVar("FactsT", bound=JobFacts)

_REMEMBERED = frozenset({JobState.FINISHED, JobState.CANCELLED, JobState.EXPIRED})
"""The states of jobs of which little more than the state is remembered."""


def job_facts(
    shape: type[FactsT], status: JobStatus, blocked_by: str | UnsetType | None, **names: Any
) -> FactsT:
    """Return the answer about a job. An older shard tells neither its priority nor its cost, so they are absent.

    Args:
        blocked_by: why it waits; None if its queue gives a job.
        names: the other fields of the shape.
    """
    error = status.error
    is_known = status.state not in _REMEMBERED and status.requeue_limit is not None
    return shape(
        state=status.state,
        attempt=status.attempt,
        enqueued_at=status.enqueued_at_us // 1000,
        lease_expires_at=_ms(status.lease_expires_at_us),
        position=UNSET if status.position is None else status.position,
        payload=UNSET if status.payload is None else Raw(status.payload),
        priority=status.priority if is_known else UNSET,
        cost=status.cost if is_known else UNSET,
        requeue_limit=UNSET if status.requeue_limit is None else status.requeue_limit,
        retry=UNSET if status.retry is None else retry_answer(status.retry),
        delayed_until=_ms(status.delayed_until_us),
        expires_at=_ms(status.expires_at_us),
        on_expiry=UNSET if status.on_expiry is None else status.on_expiry,
        blocked_by=blocked_by,
        dead_at=_ms(status.dead_at_us),
        reason=UNSET if status.reason is None else status.reason,
        error=UNSET if error is None else error.text,
        error_attempt=UNSET if error is None else error.attempt,
        error_at=UNSET if error is None else error.at_us // 1000,
        batch=UNSET if status.batch is None else status.batch,
        window=UNSET if status.window is None else status.window,
        ignore_window=True if status.ignores_window else UNSET,
        opens_at=_opens_at(status),
        result=UNSET if status.result is None else Raw(status.result),
        progress=UNSET if status.progress is None else Raw(status.progress),
        progress_at=_ms(status.progress_at_us),
        traceparent=traceparent_out(status.trace),
        tracestate=tracestate_out(status.trace),
        **names,
    )


def _opens_at(status: JobStatus) -> int | UnsetType:
    """Return when the windows let a job leave, rounded up, so that they are open then."""
    return UNSET if status.opens_at_us is None else -(-status.opens_at_us // 1000)


def _ms(time_us: int | None) -> int | UnsetType:
    return UNSET if time_us is None else time_us // 1000
