"""Defines the shapes of answers about queues, types and their counts.

The OpenAPI document is made from them. An optional field that an answer lacks is UNSET. Durations are in ms.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from router.api.campaigns.quota_shapes import QuotaAnswer
from router.api.campaigns.window_shapes import DefaultWindowOut
from router.api.caps.fields import REASONS_TEXT, Reason
from router.api.life.answers import DefaultExpiresOut, DefaultFateOut, DefaultRetryOut
from router.api.response_shapes import CursorOut, QueueIdOut, Shape, Success, UnreadOut, WarningOut
from sharq_core.limits import LimitUnit

QueuedOut: TypeAlias = Annotated[int, Meta(description="Number of jobs that wait in line.")]
DelayedOut: TypeAlias = Annotated[int, Meta(description="Number of jobs whose delay has not passed.")]
LeasedOut: TypeAlias = Annotated[int, Meta(description="Number of jobs that workers hold.")]
DeadOut: TypeAlias = Annotated[int, Meta(description="Number of dead letters.")]
IntervalOut: TypeAlias = Annotated[
    int | float, Meta(description="Minimum time between two leases of the queue, in ms; 0 means unlimited.")
]
RateOut: TypeAlias = Annotated[
    str | None,
    Meta(description="The same as a rate, in at most six digits: `40/s`; null if it is unlimited."),
]
BurstOut: TypeAlias = Annotated[
    int | float,
    Meta(description="Number of leases that may follow each other at once when the queue is late."),
]
MaxLeasedOut: TypeAlias = Annotated[
    int | None, Meta(description="Maximum number of jobs of the queue leased at a time; null for no maximum.")
]
DeliveredOut: TypeAlias = Annotated[
    int, Meta(description="Number of jobs leased in the last complete minute of the clock.")
]
BlockedByOut: TypeAlias = Annotated[
    Reason | None,
    Meta(
        description="Why the queue gives no job now: the first reason that applies; null if it gives one. "
        f"{REASONS_TEXT}"
    ),
]
CapsOut: TypeAlias = Annotated[
    list[str], Meta(description="The names of the caps that the queue shares with other queues, sorted.")
]
NextReadyOut: TypeAlias = Annotated[
    int | None,
    Meta(
        description="Time until the queue may next be leased from, in ms, 0 if it may now; null if nothing is queued, "
        "or if it is not known, such as for a paused queue."
    ),
]
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

    interval: IntervalOut
    rate: RateOut
    burst: BurstOut
    pinned: Annotated[bool, Meta(description="True if enqueues do not change rate, burst and max_leased.")]
    paused: Annotated[bool, Meta(description="True if the queue hands out no jobs until it is resumed.")]
    queued: QueuedOut
    delayed: DelayedOut
    leased: LeasedOut
    dead: DeadOut
    max_leased: MaxLeasedOut
    weight: Annotated[
        int,
        Meta(description="Number of jobs that the queue gives in its turn while queues of its type compete."),
    ]
    held_until: Annotated[
        int | None,
        Meta(
            description="The time before which the queue gives no job, in ms since the epoch; null without a hold."
        ),
    ]
    retry: DefaultRetryOut
    expires: DefaultExpiresOut
    on_expiry: DefaultFateOut
    window: DefaultWindowOut
    caps: CapsOut
    settings: Annotated[
        list[str],
        Meta(description="The names of the fields that an operator has set, which enqueues do not change."),
    ]
    blocked_by: BlockedByOut
    next_ready_in: NextReadyOut
    oldest_age: OldestAgeOut


class QueueRow(Shape, frozen=True, kw_only=True):
    """One queue of a list."""

    queue_id: QueueIdOut
    interval: IntervalOut
    rate: RateOut
    burst: BurstOut
    queued: QueuedOut
    delayed: DelayedOut
    leased: LeasedOut
    dead: DeadOut
    max_leased: MaxLeasedOut
    caps: CapsOut
    delivered: DeliveredOut
    promised: Annotated[
        int | None,
        Meta(
            description="Number of jobs that the queue should have given in that minute: as many as its rate allows, "
            "but no more than it gave and has waiting now; null at an unlimited rate."
        ),
    ]
    blocked_by: BlockedByOut
    next_ready_in: NextReadyOut
    oldest_age: OldestAgeOut


class QueueRows(Success, frozen=True, kw_only=True):
    """The queues of a type: a page of them, or the first ones of an order."""

    queues: Annotated[list[QueueRow], Meta(description="The queues with their numbers.")]
    cursor: CursorOut
    complete: (
        Annotated[
            bool,
            Meta(description="Only with `by`: false if there were too many queues to examine all."),
        ]
        | UnsetType
    ) = UNSET
    unread_partitions: UnreadOut | UnsetType = UNSET


class TypeRowAnswer(Shape, frozen=True, kw_only=True):
    """One type of the list, with its numbers over all partitions."""

    queue_type: Annotated[str, Meta(description="The name of the type.")]
    queued: QueuedOut
    delayed: DelayedOut
    leased: LeasedOut
    dead: DeadOut
    enqueued: Annotated[int, Meta(description="Number of jobs enqueued in the last complete minute.")]
    delivered: DeliveredOut
    blocked_by: Annotated[
        Reason | None,
        Meta(description=f"Why no queue of the type may be leased from now; null if one may. {REASONS_TEXT}"),
    ]


class TypeRows(Success, frozen=True, kw_only=True):
    """A page of the types."""

    types: Annotated[list[TypeRowAnswer], Meta(description="The types in the order of their names.")]
    cursor: CursorOut
    unread_partitions: UnreadOut | UnsetType = UNSET


class LimitAnswer(Shape, frozen=True, kw_only=True):
    """One limit of a gathered type or of a cap."""

    interval: Annotated[
        int | float,
        Meta(description="Minimum time between two leases, or for each unit of cost, in ms."),
    ]
    rate: Annotated[str, Meta(description="The same as a rate, in at most six digits: `40/s`.")]
    burst: Annotated[
        int | float,
        Meta(
            description="Number of leases or units that may follow each other at once when the queues are late."
        ),
    ]
    unit: Annotated[
        LimitUnit,
        Meta(description="What the rate counts: `job` for leases, `cost` for the cost of their jobs."),
    ]


class TypeAnswer(Success, frozen=True, kw_only=True):
    """The state of a gathered type."""

    limits: Annotated[list[LimitAnswer], Meta(description="The limits that all queues of the type share.")]
    max_leased: Annotated[
        int | None,
        Meta(description="Maximum number of jobs of the type leased at a time; null for no maximum."),
    ]
    paused: Annotated[bool, Meta(description="True if the type hands out no jobs until it is resumed.")]
    held_until: Annotated[
        int | None,
        Meta(
            description="The time before which the type gives no job, in ms since the epoch; null without a hold."
        ),
    ]
    queued: QueuedOut
    delayed: DelayedOut
    leased: LeasedOut
    dead: DeadOut
    retry: DefaultRetryOut
    expires: DefaultExpiresOut
    on_expiry: DefaultFateOut
    window: DefaultWindowOut
    quotas: Annotated[
        list[QuotaAnswer], Meta(description="The quotas that all queues of the type share, and what is used.")
    ]
    queues: Annotated[int, Meta(description="Number of queues that the server keeps a record of.")]
    blocked_by: Annotated[
        Reason | None,
        Meta(description=f"Why no queue of the type gives a job now; null if one does. {REASONS_TEXT}"),
    ]
    next_ready_in: Annotated[
        int | None,
        Meta(
            description="Time until the type may next be leased from, in ms, 0 if it may now; null if nothing is "
            "queued, or if it is not known, such as for a paused type."
        ),
    ]
    warning: (
        Annotated[
            str, Meta(description="The limit that is not delivered in full at its burst; absent if all are.")
        ]
        | UnsetType
    ) = UNSET


class DeletedAnswer(Shape, frozen=True, kw_only=True):
    """The answer of the deletion of a queue. The status is capitalised as in the original."""

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
    unread_partitions: UnreadOut | UnsetType = UNSET


class QueueIds(Success, frozen=True, kw_only=True):
    """A page of the queues that have queued, delayed or leased jobs."""

    queue_ids: Annotated[list[str], Meta(description="The ids of the queues.")]
    cursor: (
        Annotated[str, Meta(description="The `cursor` of the next page; absent at the end of the list.")]
        | UnsetType
    ) = UNSET
    unread_partitions: UnreadOut | UnsetType = UNSET


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

    queues: Annotated[list[TopQueueAnswer], Meta(description="The queues in the requested order.")]
    complete: Annotated[bool, Meta(description="False if there were too many queues to examine all.")]
    unread_partitions: UnreadOut | UnsetType = UNSET


class QueueCounts(Success, frozen=True, kw_only=True):
    """The length of one queue and its counts of the last 10 minutes; zeros for an unknown queue."""

    queue_length: Annotated[int, Meta(description="Number of queued and delayed jobs.")]
    enqueue_counts: EnqueueCounts
    dequeue_counts: DequeueCounts
