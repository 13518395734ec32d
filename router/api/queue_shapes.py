"""Defines the shapes of answers about queues, types and their counts.

The OpenAPI document is made from them. An optional field that an answer lacks is UNSET. Durations are in ms. Not here:
answers about jobs, failures and the small answers (router/api/response_shapes.py).
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from router.api.response_shapes import QueueIdOut, Shape, Success, WarningOut

QueuedOut: TypeAlias = Annotated[int, Meta(description="Number of jobs that wait in line.")]
DelayedOut: TypeAlias = Annotated[int, Meta(description="Number of jobs whose delay has not passed.")]
LeasedOut: TypeAlias = Annotated[int, Meta(description="Number of jobs that workers hold.")]
OldestAgeOut: TypeAlias = Annotated[
    int | None,
    Meta(
        description="Time since the job at the head of the queue was enqueued, in ms; null if none is queued."
    ),
]
MinuteCount: TypeAlias = dict[str, int]
"""Start of the minute, in ms since the epoch → count; 10 entries, oldest first."""

_MINUTES = "for each of the last 10 minutes: the start of the minute, in ms since the epoch, and the number."
EnqueueCounts: TypeAlias = Annotated[MinuteCount, Meta(description=f"Jobs enqueued, {_MINUTES}")]
DequeueCounts: TypeAlias = Annotated[MinuteCount, Meta(description=f"Jobs leased, {_MINUTES}")]


class RateSet(Success, frozen=True, kw_only=True):
    """The confirmation that the rate is set."""

    warning: WarningOut | UnsetType = UNSET


class QueueAnswer(Success, frozen=True, kw_only=True):
    """The state of one queue."""

    interval: Annotated[
        int | float, Meta(description="Minimum time between two leases, in ms; 0 means unlimited.")
    ]
    burst: Annotated[int, Meta(description="Number of leases that may follow each other at once when late.")]
    pinned: Annotated[bool, Meta(description="True if enqueues do not change rate and burst.")]
    paused: Annotated[bool, Meta(description="True if the queue hands out no jobs until it is resumed.")]
    queued: QueuedOut
    delayed: DelayedOut
    leased: LeasedOut
    next_ready_in: Annotated[
        int | None,
        Meta(
            description="Time until the queue may next be leased from, in ms, 0 if it may now; null if nothing is "
            "queued or the queue is paused."
        ),
    ]
    oldest_age: OldestAgeOut


class DeletedAnswer(Shape, frozen=True, kw_only=True):
    """The answer of a delete. The status is capitalised as in the original."""

    status: Annotated[
        Literal["Success", "Failure"],
        Meta(description="`Success`, or `Failure` if there was nothing to delete."),
    ]
    message: Annotated[str, Meta(description="The result in words.")]


class AllCounts(Success, frozen=True, kw_only=True):
    """The queue types in use, and the counts of the last 10 minutes over all types."""

    queue_types: Annotated[
        list[str], Meta(description="The types that have queued, delayed or leased jobs, sorted.")
    ]
    enqueue_counts: EnqueueCounts
    dequeue_counts: DequeueCounts


class QueueIds(Success, frozen=True, kw_only=True):
    """A page of the queues that have queued, delayed or leased jobs."""

    queue_ids: Annotated[list[str], Meta(description="The ids of the queues.")]
    cursor: (
        Annotated[str, Meta(description="The `cursor` of the next page; absent at the end of the list.")]
        | UnsetType
    ) = UNSET


class TopQueueAnswer(Shape, frozen=True, kw_only=True):
    """One queue of the list."""

    queue_id: QueueIdOut
    queued: QueuedOut
    delayed: DelayedOut
    leased: LeasedOut
    due_for: Annotated[
        int | None,
        Meta(description="Time for which the queue has been ready, in ms; null if it is not ready."),
    ]
    oldest_age: OldestAgeOut


class TopQueuesAnswer(Success, frozen=True, kw_only=True):
    """The first queues of the requested order."""

    queues: Annotated[list[TopQueueAnswer], Meta(description="The queues, the first of the order first.")]
    complete: Annotated[bool, Meta(description="False if there were too many queues to examine all.")]


class QueueCounts(Success, frozen=True, kw_only=True):
    """The length of one queue and its counts of the last 10 minutes; zeros for an unknown queue."""

    queue_length: Annotated[int, Meta(description="Number of queued and delayed jobs.")]
    enqueue_counts: EnqueueCounts
    dequeue_counts: DequeueCounts
