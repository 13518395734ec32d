"""The shapes of the requests that a client sends. An optional field that is absent is UNSET."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType, field

from sharq_client.testing.wire.fields import (
    ActualCost,
    At,
    BatchId,
    Burst,
    Cost,
    Count,
    Delay,
    ErrorText,
    Expires,
    Fate,
    Flag,
    Hold,
    HoldFor,
    HoldUntil,
    Identifier,
    Interval,
    LeaseTime,
    LeaseToken,
    LimitInterval,
    LimitUnit,
    MaxLeased,
    Page,
    Payload,
    Prefix,
    Priority,
    QueueCap,
    QueueType,
    Rate,
    RequeueLimit,
    RetryFactor,
    RetryJitter,
    RetryMs,
    Search,
    State,
    Traceparent,
    Tracestate,
    Wait,
    Weight,
    jobs_bounds,
    limits_bounds,
    retry_expected,
)


class RetryForm(Struct, frozen=True, kw_only=True):
    """A retry policy."""

    delay: RetryMs
    factor: RetryFactor = 2
    max: RetryMs = 30 * 24 * 3600 * 1000
    jitter: RetryJitter = 0


Retry: TypeAlias = Annotated[RetryForm | UnsetType | None, retry_expected]


class EnqueueForm(Struct, frozen=True, kw_only=True):
    """A job to enqueue. Of a single enqueue, the path names the queue."""

    queue_type: QueueType = ""
    queue_id: Identifier = ""
    payload: Payload
    job_id: Identifier
    interval: Interval | UnsetType = UNSET
    rate: Rate | UnsetType = UNSET
    requeue_limit: RequeueLimit = -1
    burst: Burst | UnsetType = UNSET
    delay: Delay | UnsetType = UNSET
    max_queued_length: QueueCap | UnsetType = UNSET
    repeat: Flag = False
    cost: Cost = 1
    max_leased: MaxLeased | UnsetType = UNSET
    at: At | UnsetType = UNSET
    priority: Priority = 5
    expires: Expires | UnsetType = UNSET
    expires_at: At | UnsetType = UNSET
    on_expiry: Fate | UnsetType = UNSET
    retry: Annotated[RetryForm | UnsetType, retry_expected] = UNSET
    window: Identifier | UnsetType = UNSET
    ignore_window: Flag = False
    batch: BatchId | UnsetType = UNSET
    traceparent: Traceparent | UnsetType = UNSET
    tracestate: Tracestate | UnsetType = UNSET
    caps: object = UNSET


class LeaseForm(Struct, frozen=True, kw_only=True):
    """A lease to finish or to release."""

    queue_type: QueueType = ""
    queue_id: Identifier = ""
    job_id: Identifier = ""
    lease: LeaseToken | UnsetType = UNSET
    cost: ActualCost | UnsetType = UNSET
    hold: Hold = 0
    hold_type: Hold = 0
    hold_cap: object = UNSET
    result: Payload | UnsetType = UNSET
    delay: Delay | UnsetType = UNSET
    prefer_retry: Flag | UnsetType = UNSET
    count: Flag = True
    error: ErrorText = ""


class ExtendForm(Struct, frozen=True, kw_only=True):
    """A lease to extend."""

    queue_type: QueueType = ""
    queue_id: Identifier = ""
    job_id: Identifier = ""
    lease: LeaseToken | UnsetType = UNSET
    by: LeaseTime
    progress: Payload | UnsetType = UNSET


class CancelForm(Struct, frozen=True, kw_only=True):
    """A job to cancel."""

    queue_type: QueueType
    queue_id: Identifier
    job_id: Identifier
    force: Flag = False


class DeadRefForm(Struct, frozen=True, kw_only=True):
    """A dead letter of the type that the path names."""

    queue_id: Identifier
    job_id: Identifier


class BulkForm(Struct, frozen=True, kw_only=True):
    """A bulk body whose jobs are not decoded yet, so that a bad job fails alone."""

    jobs: Annotated[list[Raw], jobs_bounds] | UnsetType = UNSET


class ChangeForm(Struct, frozen=True, kw_only=True):
    """A change of a waiting job."""

    payload: Payload | UnsetType = UNSET
    delay: Delay | UnsetType = UNSET
    at: At | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    cost: Cost | UnsetType = UNSET
    expires: Expires | UnsetType | None = UNSET
    expires_at: At | UnsetType | None = UNSET


class RateForm(Struct, frozen=True, kw_only=True):
    """The rate of a queue from now on."""

    interval: Interval | UnsetType = UNSET
    rate: Rate | UnsetType = UNSET
    burst: Burst | UnsetType = UNSET
    pin: Flag | UnsetType = UNSET


class QueueForm(Struct, frozen=True, kw_only=True):
    """Settings of a queue."""

    interval: Interval | UnsetType | None = UNSET
    rate: Rate | UnsetType | None = UNSET
    burst: Burst | UnsetType | None = UNSET
    pin: Flag | UnsetType | None = UNSET
    max_leased: MaxLeased | UnsetType | None = UNSET
    weight: Weight | UnsetType | None = UNSET
    hold: Hold | UnsetType | None = UNSET
    retry: Retry = UNSET
    expires: Expires | UnsetType | None = UNSET
    on_expiry: Fate | UnsetType | None = UNSET
    window: Identifier | UnsetType | None = UNSET
    caps: object = UNSET


class LimitForm(Struct, frozen=True, kw_only=True):
    """A limit of a gathered type."""

    interval: LimitInterval | UnsetType = UNSET
    rate: Rate | UnsetType = UNSET
    burst: Burst = 1
    unit: LimitUnit = "job"


class TypeForm(Struct, frozen=True, kw_only=True):
    """Settings of a gathered type."""

    limits: Annotated[list[Raw], limits_bounds] | UnsetType | None = UNSET
    max_leased: MaxLeased | UnsetType | None = UNSET
    hold: Hold | UnsetType | None = UNSET
    retry: Retry = UNSET
    expires: Expires | UnsetType | None = UNSET
    on_expiry: Fate | UnsetType | None = UNSET
    window: Identifier | UnsetType | None = UNSET
    quotas: object = UNSET


class HoldForm(Struct, frozen=True, kw_only=True):
    """The time of a hold, or nothing for a pause."""

    for_ms: HoldFor | UnsetType = field(default=UNSET, name="for")
    until: HoldUntil | UnsetType = UNSET


class DeleteForm(Struct, frozen=True, kw_only=True):
    """The option of a deletion."""

    purge_all: Flag = False


class PrefixForm(Struct, frozen=True, kw_only=True):
    """The jobs of a queue to cancel."""

    prefix: Prefix


class Query(Struct, frozen=True, kw_only=True):
    """The parameters of all queries."""

    type: list[QueueType] = field(default_factory=list)
    count: Count = 1
    wait: Wait = 0
    lease: LeaseTime = 60_000
    force: Flag = False
    limit: Page = 100
    cursor: str = ""
    state: State = "queued"
    prefix: Prefix = ""
    queue_id: Identifier | UnsetType = UNSET
    by: str = ""
    search: Search = ""
