"""The shapes of what clients send: one Struct for each body and each query string.

The OpenAPI document is made of them, too. A field that may be left out is UNSET then; null is a value only of
`payload`. What the fields may hold is in router/api/fields.py; how they become the engine's values is in
router/api/parsing.py.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Raw, Struct, UnsetType

from router.api.fields import (
    Burst,
    Cap,
    Count,
    Cursor,
    Delay,
    Flag,
    HoldTime,
    Identifier,
    Ignored,
    Interval,
    LeaseToken,
    PageLimit,
    Payload,
    RequeueLimit,
    TopBy,
    TopLimit,
    Wait,
    bulk,
)


class EnqueueBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job for the queue that the path names."""

    payload: Payload
    job_id: Identifier | UnsetType = UNSET
    interval: Interval | UnsetType = UNSET
    requeue_limit: RequeueLimit | UnsetType = UNSET
    burst: Burst | UnsetType = UNSET
    delay: Delay | UnsetType = UNSET
    max_queued_length: Cap | UnsetType = UNSET
    repeat: Flag = False
    queue_type: Ignored | UnsetType = UNSET
    queue_id: Ignored | UnsetType = UNSET


class EnqueueEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job of a bulk enqueue: an EnqueueBody and the queue it is for."""

    queue_type: Identifier
    queue_id: Identifier
    payload: Payload
    job_id: Identifier | UnsetType = UNSET
    interval: Interval | UnsetType = UNSET
    requeue_limit: RequeueLimit | UnsetType = UNSET
    burst: Burst | UnsetType = UNSET
    delay: Delay | UnsetType = UNSET
    max_queued_length: Cap | UnsetType = UNSET
    repeat: Flag = False


class FinishBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lease to end; left out, the current one."""

    lease: LeaseToken | UnsetType = UNSET


class ExtendBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new end is now + `by`. The lease stands here or in the query."""

    by: HoldTime
    lease: LeaseToken | UnsetType = UNSET


class ReleaseBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The job may be leased again after `delay`. The lease stands here or in the query."""

    lease: LeaseToken | UnsetType = UNSET
    delay: Delay = 0


class FinishEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job of a bulk finish."""

    queue_type: Identifier
    queue_id: Identifier
    job_id: Identifier
    lease: LeaseToken | UnsetType = UNSET


class ExtendEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job of a bulk extend."""

    queue_type: Identifier
    queue_id: Identifier
    job_id: Identifier
    lease: LeaseToken
    by: HoldTime


class ReleaseEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job of a bulk release."""

    queue_type: Identifier
    queue_id: Identifier
    job_id: Identifier
    lease: LeaseToken
    delay: Delay = 0


class RedriveEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dead letter of the type that the path names."""

    queue_id: Identifier
    job_id: Identifier


class EnqueueBulk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs for any queues."""

    jobs: Annotated[list[EnqueueEntry], bulk]


class FinishBulk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leases to end."""

    jobs: Annotated[list[FinishEntry], bulk]


class ExtendBulk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leases to extend."""

    jobs: Annotated[list[ExtendEntry], bulk]


class ReleaseBulk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs to give back."""

    jobs: Annotated[list[ReleaseEntry], bulk]


class RedriveBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dead letters to queue again; left out, all of the type."""

    jobs: Annotated[list[RedriveEntry], bulk] | UnsetType = UNSET


class RawBulk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Any bulk body with its jobs still unread, so that a bad one fails alone."""

    jobs: Annotated[list[Raw], bulk]


class RawRedrive(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A RedriveBody with its jobs still unread."""

    jobs: Annotated[list[Raw], bulk] | UnsetType = UNSET


class RateBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A queue's rate from now on. pin left out: the pin stays as it is."""

    interval: Interval
    burst: Burst | UnsetType = UNSET
    pin: Flag | UnsetType = UNSET


class DeleteQueueBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """purge_all: forget the rate, too, once its ready time has passed."""

    purge_all: Flag = False


class NoBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing, or an empty object."""


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class DequeueQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many jobs, how long to wait for one, and how long to hold it."""

    count: Count | UnsetType = UNSET
    wait: Wait = 0
    lease: HoldTime | UnsetType = UNSET


class LeaseQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lease token, instead of in the body."""

    lease: LeaseToken | UnsetType = UNSET


class PageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a long list."""

    limit: PageLimit | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET


class TopQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which queues come first, and how many of them to name."""

    by: TopBy = "age"
    limit: TopLimit = 20
