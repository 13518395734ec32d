"""Defines the shapes of answers about jobs and leases, of failures, and of the small answers.

The OpenAPI document is made from them. An optional field that an answer lacks is UNSET. Times are in ms since the epoch
by the store's clock, and durations in ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from router.access.permissions import Permission
from router.api.caps.fields import REASONS_TEXT, Reason
from router.api.life.trace_fields import TraceparentOut, TracestateOut


class Shape(Struct, frozen=True, kw_only=True):
    """The options of every shape."""


class Success(Shape, frozen=True, tag_field="status", tag="success"):
    """An answer whose status is `success`."""


QueueIdOut: TypeAlias = Annotated[str, Meta(description="The id of the queue within its type.")]
JobIdOut: TypeAlias = Annotated[str, Meta(description="The id of the job within its queue.")]
PayloadOut: TypeAlias = Annotated[Raw, Meta(description="The content of the job, as it was sent.")]
AttemptOut: TypeAlias = Annotated[
    int, Meta(description="Number of deliveries that count so far: 1 for the first, 0 before it.")
]
EnqueuedAtOut: TypeAlias = Annotated[
    int, Meta(description="The time at which the job was enqueued, in ms since the epoch.")
]
LeaseEndOut: TypeAlias = Annotated[int, Meta(description="The end of the lease, in ms since the epoch.")]
CursorOut: TypeAlias = Annotated[
    str | None, Meta(description="The `cursor` of the next page; null at the end of the list.")
]
UnreadOut: TypeAlias = Annotated[
    list[int],
    Meta(
        description="The numbers of the partitions that the answer is without, because their data is broken; absent if "
        "there are none."
    ),
]
FailedOut: TypeAlias = Annotated[
    int, Meta(description="Number of results that are failures; 0 if every job succeeded.")
]
WarningOut: TypeAlias = Annotated[
    str, Meta(description="The reason why the queue cannot keep the rate; absent if it can.")
]
_IN_ORDER = "One result for each job of the request, in order."


class HelloAnswer(Shape, frozen=True, kw_only=True):
    """The greeting."""

    message: Annotated[str, Meta(description="The greeting of the original server.")] = "Hello, SharQ!"


class Done(Success, frozen=True, kw_only=True):
    """The confirmation that the request was carried out."""


class Ready(Success, frozen=True, kw_only=True):
    """The confirmation that the router accepts requests."""

    warning: (
        Annotated[
            str,
            Meta(
                description="A problem that keeps no request from being served, or that another router would have, "
                "too; absent if there is none."
            ),
        ]
        | UnsetType
    ) = UNSET


class TokenAnswer(Success, frozen=True, kw_only=True):
    """The rights of the caller. A server that asks for no tokens gives everyone all of them."""

    name: Annotated[
        str | None, Meta(description="The name of the token; null if the server asks for no tokens.")
    ]
    ops: Annotated[
        list[Permission],
        Meta(description="The permissions of the token, with those that `admin` includes."),
    ]
    types: Annotated[
        list[str] | None,
        Meta(
            description="The patterns of its queue types, in which `*` stands for any text; null for all types."
        ),
    ]
    caps: Annotated[
        list[str] | None,
        Meta(
            description="The patterns of the named caps that it may use, in which `*` stands for any text; null for "
            "all caps."
        ),
    ]
    max_queued: Annotated[
        int | None,
        Meta(
            description="The most jobs that a queue may hold after an enqueue with this token; null for no limit."
        ),
    ]
    rps: Annotated[
        int | None,
        Meta(description="The most requests per second of this token at one router; null for no limit."),
    ]


class FailureAnswer(Shape, frozen=True, kw_only=True, tag_field="status", tag="failure"):
    """A failure. The code says whether the request was carried out."""

    code: Annotated[str, Meta(description="The kind of failure, a word for programs.")]
    message: Annotated[
        str,
        Meta(
            description="The failure in words. It begins with the field in question and says what it may be."
        ),
    ]
    current_queue_length: (
        Annotated[int, Meta(description="Queued and delayed jobs of a full queue; only with `queue_full`.")]
        | UnsetType
    ) = UNSET


def count_failed(results: Sequence[Struct]) -> int:
    """Return the number of failures among the results of a bulk call."""
    return [type(result) for result in results].count(FailureAnswer)


class NothingReadyAnswer(Shape, frozen=True, kw_only=True, tag_field="status", tag="failure"):
    """The answer of a dequeue if no job is ready."""

    blocked_by: (
        Annotated[
            Reason,
            Meta(
                description="Why there is no job: the reason of the queue of the type that comes first; `empty` if the "
                f"type has no jobs. Absent if it cannot be told. {REASONS_TEXT}"
            ),
        ]
        | UnsetType
    ) = UNSET
    next_ready_in: (
        Annotated[
            int,
            Meta(
                description="Time until that queue may next be leased from, in ms; absent if it is not known."
            ),
        ]
        | UnsetType
    ) = UNSET


class Queued(Shape, frozen=True, kw_only=True, tag_field="status", tag="queued"):
    """The confirmation that a job is queued."""

    job_id: (
        Annotated[
            str,
            Meta(
                description="The id of the job; present if the server made it, and in the results of bulk calls."
            ),
        ]
        | UnsetType
    ) = UNSET
    duplicate: (
        Annotated[
            bool,
            Meta(
                description="True if the queue has a job of this id already, so that nothing changed; else absent."
            ),
        ]
        | UnsetType
    ) = UNSET
    current_queue_length: (
        Annotated[
            int,
            Meta(description="Queued and delayed jobs before this one; present if a maximum was given."),
        ]
        | UnsetType
    ) = UNSET
    warning: WarningOut | UnsetType = UNSET


class QueuedJobs(Success, frozen=True, kw_only=True):
    """The results of a bulk enqueue."""

    failed: FailedOut
    warning: (
        Annotated[
            str,
            Meta(description="The reason why some queues cannot keep the rates that were sent; else absent."),
        ]
        | UnsetType
    ) = UNSET
    results: Annotated[list[Queued | FailureAnswer], Meta(description=_IN_ORDER)]


class DequeuedJob(Shape, frozen=True, kw_only=True):
    """A job and its lease."""

    queue_type: (
        Annotated[str, Meta(description="The type of the queue; present if the query names the types.")]
        | UnsetType
    ) = UNSET
    queue_id: QueueIdOut
    job_id: JobIdOut
    payload: PayloadOut
    requeues_remaining: Annotated[
        int, Meta(description="Number of times that the job may still return to its queue; -1 means forever.")
    ]
    current_queue_length: Annotated[int, Meta(description="Jobs still queued in the queue after this one.")]
    lease: Annotated[str, Meta(description="The lease token, to be sent with finish, extend and release.")]
    lease_expires_at: LeaseEndOut
    enqueued_at: EnqueuedAtOut
    attempt: AttemptOut
    cost: Annotated[int, Meta(description="Number of slots of the rate that the lease took.")]
    priority: Annotated[
        int, Meta(description="The place of the job within its queue, 1 to 9; 1 leaves first.")
    ]
    expires_at: Annotated[
        int | None,
        Meta(
            description="The time at which the job would have expired in its queue, in ms since the epoch; null for "
            "never. The lease may outlive it."
        ),
    ]
    traceparent: TraceparentOut | UnsetType = UNSET
    tracestate: TracestateOut | UnsetType = UNSET


class SingleDequeueAnswer(DequeuedJob, frozen=True, kw_only=True, tag_field="status", tag="success"):
    """The answer of a dequeue without `count`."""


class BulkDequeueAnswer(Success, frozen=True, kw_only=True):
    """The answer of a dequeue with `count`."""

    jobs: Annotated[list[DequeuedJob], Meta(description="The leased jobs, at least one.")]


class Extended(Success, frozen=True, kw_only=True):
    """The new end of a lease."""

    lease_expires_at: LeaseEndOut


_ResultKeptOut: TypeAlias = Annotated[
    bool,
    Meta(
        description="False if the server had no room for the result. The job is finished all the same. Absent if there "
        "was no result."
    ),
]


class Finished(Success, frozen=True, kw_only=True):
    """The confirmation that a job is finished."""

    result_kept: _ResultKeptOut | UnsetType = UNSET


class LeaseDone(Success, frozen=True, kw_only=True):
    """The success of one job in a bulk call."""

    lease_expires_at: (
        Annotated[
            int, Meta(description="The new end of the lease, in ms since the epoch; only after an extend.")
        ]
        | UnsetType
    ) = UNSET
    result_kept: _ResultKeptOut | UnsetType = UNSET


class LeaseResults(Success, frozen=True, kw_only=True):
    """The results of a bulk finish, extend or release."""

    failed: FailedOut
    results: Annotated[list[LeaseDone | FailureAnswer], Meta(description=_IN_ORDER)]


class Redriven(Success, frozen=True, kw_only=True):
    """The result of a redrive: `redriven` for all dead letters of the type, the other fields for named ones."""

    redriven: (
        Annotated[int, Meta(description="Number of dead letters queued again; only without `jobs`.")]
        | UnsetType
    ) = UNSET
    failed: (
        Annotated[int, Meta(description="Number of results that are failures; only with `jobs`.")] | UnsetType
    ) = UNSET
    results: Annotated[list[Queued | FailureAnswer], Meta(description=_IN_ORDER)] | UnsetType = UNSET


class Dropped(Success, frozen=True, kw_only=True):
    """The result of dropping dead letters."""

    dropped: Annotated[int, Meta(description="Number of dead letters that were dropped.")]
