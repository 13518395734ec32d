"""Defines the shapes of answers about the life of single jobs: their state, lists, cancellations and dead letters.

An optional field that an answer lacks is UNSET. Times are in ms since the epoch by the store's clock, and durations in
ms.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Raw, UnsetType

from router.api.caps.fields import REASONS_TEXT, Reason
from router.api.life.trace_fields import TraceparentOut, TracestateOut
from router.api.response_shapes import (
    AttemptOut,
    CursorOut,
    EnqueuedAtOut,
    FailedOut,
    FailureAnswer,
    JobIdOut,
    PayloadOut,
    QueueIdOut,
    Shape,
    Success,
    UnreadOut,
)
from sharq_core.job_life import DeadReason, OnExpiry, Retry
from sharq_core.models import JobState


class RetryAnswer(Shape, frozen=True, kw_only=True):
    """A retry policy."""

    delay: Annotated[int, Meta(description="Wait after the first failed attempt, in ms.")]
    factor: Annotated[
        int | float, Meta(description="Factor by which the wait grows with each further attempt.")
    ]
    max: Annotated[int, Meta(description="The longest wait, in ms.")]
    jitter: Annotated[
        int | float, Meta(description="The share of the wait that chance may take off, 0 to 1.")
    ]


DefaultRetryOut: TypeAlias = Annotated[
    RetryAnswer | None,
    Meta(description="The retry policy of jobs that have none of their own; null for none."),
]
DefaultExpiresOut: TypeAlias = Annotated[
    int | float | None,
    Meta(
        description="Time after which jobs without an expiry of their own expire, counted from when each is due, in "
        "ms; null for never."
    ),
]
DefaultFateOut: TypeAlias = Annotated[
    OnExpiry | None,
    Meta(description="The fate of expired jobs that do not name one; null if it is not set."),
]
_PriorityOut: TypeAlias = Annotated[
    int,
    Meta(
        description="The place of the job within its queue, 1 to 9; 1 leaves first. Absent once it is forgotten."
    ),
]
_ErrorOut: TypeAlias = Annotated[
    str, Meta(description="The error that the latest release gave; absent if there was none.")
]
_ErrorAttemptOut: TypeAlias = Annotated[int, Meta(description="The attempt that failed with this error.")]
_ErrorAtOut: TypeAlias = Annotated[
    int, Meta(description="The time of the release with this error, in ms since the epoch.")
]
_DeadAtOut: TypeAlias = Annotated[
    int, Meta(description="The time at which the job became a dead letter, in ms since the epoch.")
]
_ReasonOut: TypeAlias = Annotated[
    DeadReason,
    Meta(description="Why the job is dead: `limit` if it passed its requeue limit, `expired` if it expired."),
]


class JobFacts(Shape, frozen=True, kw_only=True):
    """The facts about one job."""

    state: Annotated[JobState, Meta(description="The state of the job.")]
    attempt: AttemptOut
    enqueued_at: EnqueuedAtOut
    lease_expires_at: (
        Annotated[int, Meta(description="The end of the lease, in ms since the epoch; only of a leased job.")]
        | UnsetType
    ) = UNSET
    position: (
        Annotated[
            int,
            Meta(
                description="The place in the queue, 1 for the next job to be leased; only of a queued job, and not in "
                "a list."
            ),
        ]
        | UnsetType
    ) = UNSET
    payload: (
        Annotated[Raw, Meta(description="The content of the job; absent once it is forgotten.")] | UnsetType
    ) = UNSET
    priority: _PriorityOut | UnsetType = UNSET
    cost: (
        Annotated[
            int,
            Meta(description="Number of slots of the rate that the job takes; absent once it is forgotten."),
        ]
        | UnsetType
    ) = UNSET
    requeue_limit: (
        Annotated[
            int,
            Meta(
                description="Number of times that the job may return to its queue; -1 means forever. Absent once it is "
                "forgotten."
            ),
        ]
        | UnsetType
    ) = UNSET
    retry: (
        Annotated[
            RetryAnswer, Meta(description="The retry policy of the job; absent if it has none of its own.")
        ]
        | UnsetType
    ) = UNSET
    delayed_until: (
        Annotated[
            int, Meta(description="The end of the delay, in ms since the epoch; only of a delayed job.")
        ]
        | UnsetType
    ) = UNSET
    expires_at: (
        Annotated[
            int,
            Meta(description="The time at which the job expires, in ms since the epoch; absent for never."),
        ]
        | UnsetType
    ) = UNSET
    on_expiry: (
        Annotated[OnExpiry, Meta(description="The fate of the job when it expires; absent if it never does.")]
        | UnsetType
    ) = UNSET
    blocked_by: (
        Annotated[
            Reason | None,
            Meta(
                description="Why the job is not leased now, as far as it, its queue and its type say; null if its "
                f"queue gives a job. Absent unless it is queued or delayed. {REASONS_TEXT}"
            ),
        ]
        | UnsetType
    ) = UNSET
    dead_at: _DeadAtOut | UnsetType = UNSET
    reason: _ReasonOut | UnsetType = UNSET
    error: _ErrorOut | UnsetType = UNSET
    error_attempt: _ErrorAttemptOut | UnsetType = UNSET
    error_at: _ErrorAtOut | UnsetType = UNSET
    batch: (
        Annotated[
            str,
            Meta(
                description="The batch of the job; absent for none, and once the job or its batch is forgotten."
            ),
        ]
        | UnsetType
    ) = UNSET
    window: (
        Annotated[
            str,
            Meta(
                description="The window of the job itself; absent for none, for a job that ignores windows, and once "
                "the job is forgotten."
            ),
        ]
        | UnsetType
    ) = UNSET
    ignore_window: (
        Annotated[bool, Meta(description="True if the job leaves outside of all windows, else absent.")]
        | UnsetType
    ) = UNSET
    opens_at: (
        Annotated[
            int,
            Meta(
                description="The time at which its windows and that of its queue first let a waiting job leave, in ms "
                "since the epoch; absent if they do now, and if that time is not known."
            ),
        ]
        | UnsetType
    ) = UNSET
    result: (
        Annotated[
            Raw,
            Meta(description="What the work gave; only of a finished job whose result is kept."),
        ]
        | UnsetType
    ) = UNSET
    progress: (
        Annotated[
            Raw, Meta(description="How far the work was at the latest report; absent if there was none.")
        ]
        | UnsetType
    ) = UNSET
    progress_at: (
        Annotated[int, Meta(description="The time of the latest report of progress, in ms since the epoch.")]
        | UnsetType
    ) = UNSET
    traceparent: TraceparentOut | UnsetType = UNSET
    tracestate: TracestateOut | UnsetType = UNSET


class JobAnswer(JobFacts, frozen=True, kw_only=True, tag_field="status", tag="success"):
    """The state of one job."""


class ListedJob(JobFacts, frozen=True, kw_only=True):
    """One job of a list."""

    job_id: JobIdOut


class ListedJobs(Success, frozen=True, kw_only=True):
    """A page of the jobs of a queue."""

    jobs: Annotated[list[ListedJob], Meta(description="The jobs of the page.")]
    cursor: CursorOut


class DeadJob(Shape, frozen=True, kw_only=True):
    """One dead letter."""

    queue_id: QueueIdOut
    job_id: JobIdOut
    payload: PayloadOut
    attempt: AttemptOut
    enqueued_at: EnqueuedAtOut
    dead_at: _DeadAtOut
    reason: _ReasonOut
    error: _ErrorOut | UnsetType = UNSET
    error_attempt: _ErrorAttemptOut | UnsetType = UNSET
    error_at: _ErrorAtOut | UnsetType = UNSET


class DeadJobs(Success, frozen=True, kw_only=True):
    """A page of dead letters."""

    jobs: Annotated[list[DeadJob], Meta(description="The dead letters, oldest first within a partition.")]
    cursor: CursorOut
    unread_partitions: UnreadOut | UnsetType = UNSET


class Cancelled(Success, frozen=True, kw_only=True):
    """The confirmation that a job is cancelled."""

    was: Annotated[
        JobState,
        Meta(
            description="The state of the job before the call; `cancelled` if it had been cancelled before."
        ),
    ]


class CancelResults(Success, frozen=True, kw_only=True):
    """The results of a bulk cancellation."""

    failed: FailedOut
    results: Annotated[
        list[Cancelled | FailureAnswer],
        Meta(description="One result for each job of the request, in order."),
    ]


class CancelledMany(Success, frozen=True, kw_only=True):
    """The result of a cancellation by prefix, or of that of a batch."""

    cancelled: Annotated[int, Meta(description="Number of jobs that were cancelled.")]


def retry_answer(policy: Retry) -> RetryAnswer:
    """Return a retry policy in the form of an answer."""
    return RetryAnswer(delay=policy.delay_ms, factor=policy.factor, max=policy.max_ms, jitter=policy.jitter)
