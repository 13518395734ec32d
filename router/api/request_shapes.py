"""The shapes of requests: one Struct for each body and each query string.

The OpenAPI document is made from them, too. An optional field that is absent is UNSET; `payload` may be null, and null
clears a setting. router/api/fields.py and limits.py have the range of each field; router/api/parsing.py and
queue_parsing.py turn the shapes into the scheduler's values.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Raw, Struct, UnsetType, field

from router.api.campaigns.fields import (
    BatchId,
    DefaultWindow,
    IgnoreWindow,
    JobWait,
    Progress,
    Result,
    WindowName,
)
from router.api.campaigns.quota_shapes import QuotaEntry, few_quotas, few_quotas_expected
from router.api.caps.fields import Caps, DefaultCaps, HoldCapField
from router.api.fields import (
    Count,
    Cursor,
    Delay,
    ExtendBy,
    Ignored,
    Interval,
    JobId,
    LeaseTime,
    LeaseToken,
    NewJobId,
    PageLimit,
    Payload,
    Pin,
    PurgeAll,
    QueueCap,
    QueueId,
    QueueType,
    QueueTypes,
    Repeat,
    RequeueLimit,
    Search,
    TopBy,
    TopLimit,
    Wait,
    bulk,
    bulk_expected,
)
from router.api.life.fields import (
    At,
    DefaultExpires,
    DefaultFate,
    ErrorText,
    Expires,
    ExpiresAt,
    ExpiryFate,
    PreferRetry,
    Priority,
)
from router.api.life.requests import DefaultRetry, RetryPolicy
from router.api.life.trace_fields import Traceparent, Tracestate
from router.api.limits import (
    ActualCost,
    Burst,
    Cost,
    CountsAttempt,
    Hold,
    HoldFor,
    HoldType,
    HoldUntil,
    LimitBurst,
    LimitInterval,
    LimitRate,
    ListBy,
    MaxLeased,
    Rate,
    TypeMaxLeased,
    UnitOfLimit,
    Weight,
    few_limits,
    few_limits_expected,
)
from sharq_core.job_life import PRIORITY


class EnqueueBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job for the queue that the path names."""

    payload: Payload
    job_id: NewJobId | UnsetType = UNSET
    interval: Interval | UnsetType = UNSET
    rate: Rate | UnsetType = UNSET
    requeue_limit: RequeueLimit | UnsetType = UNSET
    burst: Burst | UnsetType = UNSET
    delay: Delay | UnsetType = UNSET
    max_queued_length: QueueCap | UnsetType = UNSET
    repeat: Repeat = False
    cost: Cost = 1
    max_leased: MaxLeased | UnsetType = UNSET
    caps: Caps | UnsetType = UNSET
    at: At | UnsetType = UNSET
    priority: Priority = PRIORITY
    expires: Expires | UnsetType = UNSET
    expires_at: ExpiresAt | UnsetType = UNSET
    on_expiry: ExpiryFate | UnsetType = UNSET
    retry: RetryPolicy | UnsetType = UNSET
    window: WindowName | UnsetType = UNSET
    ignore_window: IgnoreWindow = False
    batch: BatchId | UnsetType = UNSET
    traceparent: Traceparent | UnsetType = UNSET
    tracestate: Tracestate | UnsetType = UNSET
    queue_type: Ignored | UnsetType = UNSET
    queue_id: Ignored | UnsetType = UNSET


class EnqueueEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job of a bulk enqueue, with the queue that it is for."""

    queue_type: QueueType
    queue_id: QueueId
    payload: Payload
    job_id: NewJobId | UnsetType = UNSET
    interval: Interval | UnsetType = UNSET
    rate: Rate | UnsetType = UNSET
    requeue_limit: RequeueLimit | UnsetType = UNSET
    burst: Burst | UnsetType = UNSET
    delay: Delay | UnsetType = UNSET
    max_queued_length: QueueCap | UnsetType = UNSET
    repeat: Repeat = False
    cost: Cost = 1
    max_leased: MaxLeased | UnsetType = UNSET
    caps: Caps | UnsetType = UNSET
    at: At | UnsetType = UNSET
    priority: Priority = PRIORITY
    expires: Expires | UnsetType = UNSET
    expires_at: ExpiresAt | UnsetType = UNSET
    on_expiry: ExpiryFate | UnsetType = UNSET
    retry: RetryPolicy | UnsetType = UNSET
    window: WindowName | UnsetType = UNSET
    ignore_window: IgnoreWindow = False
    batch: BatchId | UnsetType = UNSET
    traceparent: Traceparent | UnsetType = UNSET
    tracestate: Tracestate | UnsetType = UNSET


class FinishBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lease to end. Without a lease token, the current lease of the job ends."""

    lease: LeaseToken | UnsetType = UNSET
    cost: ActualCost | UnsetType = UNSET
    hold: Hold = 0
    hold_type: HoldType = 0
    hold_cap: HoldCapField | UnsetType = UNSET
    result: Result | UnsetType = UNSET


class ExtendBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new end of a lease: now + `by`. The lease token is here or in the query."""

    by: ExtendBy
    lease: LeaseToken | UnsetType = UNSET
    progress: Progress | UnsetType = UNSET


class ReleaseBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job to give back, which may be leased again after `delay`. The lease token is here or in the query."""

    lease: LeaseToken | UnsetType = UNSET
    delay: Delay | UnsetType = UNSET
    prefer_retry: PreferRetry | UnsetType = UNSET
    cost: ActualCost | UnsetType = UNSET
    hold: Hold = 0
    hold_type: HoldType = 0
    hold_cap: HoldCapField | UnsetType = UNSET
    count: CountsAttempt = True
    error: ErrorText | UnsetType = UNSET


class FinishEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job of a bulk finish."""

    queue_type: QueueType
    queue_id: QueueId
    job_id: JobId
    lease: LeaseToken | UnsetType = UNSET
    cost: ActualCost | UnsetType = UNSET
    hold: Hold = 0
    hold_type: HoldType = 0
    hold_cap: HoldCapField | UnsetType = UNSET
    result: Result | UnsetType = UNSET


class ExtendEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job of a bulk extend."""

    queue_type: QueueType
    queue_id: QueueId
    job_id: JobId
    lease: LeaseToken
    by: ExtendBy
    progress: Progress | UnsetType = UNSET


class ReleaseEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job of a bulk release."""

    queue_type: QueueType
    queue_id: QueueId
    job_id: JobId
    lease: LeaseToken
    delay: Delay | UnsetType = UNSET
    prefer_retry: PreferRetry | UnsetType = UNSET
    cost: ActualCost | UnsetType = UNSET
    hold: Hold = 0
    hold_type: HoldType = 0
    hold_cap: HoldCapField | UnsetType = UNSET
    count: CountsAttempt = True
    error: ErrorText | UnsetType = UNSET


class RedriveEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dead letter of the type that the path names."""

    queue_id: QueueId
    job_id: JobId


class EnqueueBulk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs for any queues."""

    jobs: Annotated[list[EnqueueEntry], bulk, bulk_expected]


class FinishBulk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leases to end."""

    jobs: Annotated[list[FinishEntry], bulk, bulk_expected]


class ExtendBulk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leases to extend."""

    jobs: Annotated[list[ExtendEntry], bulk, bulk_expected]


class ReleaseBulk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs to give back."""

    jobs: Annotated[list[ReleaseEntry], bulk, bulk_expected]


class RedriveBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The dead letters to queue again. Without `jobs`, all dead letters of the type."""

    jobs: Annotated[list[RedriveEntry], bulk, bulk_expected] | UnsetType = UNSET


class RawBulk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bulk body whose jobs are not decoded yet, so that a bad job fails alone."""

    jobs: Annotated[list[Raw], bulk, bulk_expected]


class RawRedrive(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A RedriveBody whose jobs are not decoded yet."""

    jobs: Annotated[list[Raw], bulk, bulk_expected] | UnsetType = UNSET


class RateBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rate of a queue from now on: `interval` or `rate`, one of the two."""

    interval: Interval | UnsetType = UNSET
    rate: Rate | UnsetType = UNSET
    burst: Burst | UnsetType = UNSET
    pin: Pin | UnsetType = UNSET


class SettingsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a queue: an absent field stays as it is, and null clears the setting.

    Settings outlive any idle time, and win over the values that enqueues carry.
    """

    interval: Interval | UnsetType | None = UNSET
    rate: Rate | UnsetType | None = UNSET
    burst: Burst | UnsetType | None = UNSET
    pin: Pin | UnsetType | None = UNSET
    max_leased: MaxLeased | UnsetType | None = UNSET
    weight: Weight | UnsetType | None = UNSET
    hold: Hold | UnsetType | None = UNSET
    retry: DefaultRetry = UNSET
    expires: DefaultExpires | UnsetType | None = UNSET
    on_expiry: DefaultFate | UnsetType | None = UNSET
    window: DefaultWindow | UnsetType | None = UNSET
    caps: DefaultCaps | UnsetType | None = UNSET


class LimitEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rate that the queues of a gathered type or of a cap share: `interval` or `rate`, one of the two."""

    interval: LimitInterval | UnsetType = UNSET
    rate: LimitRate | UnsetType = UNSET
    burst: LimitBurst = 1
    unit: UnitOfLimit = "job"


class TypeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a gathered type: an absent field stays as it is, and null clears the setting.

    `rate` or `interval`, with or without `burst`, is short for `limits` with one limit of unit `job`.
    """

    limits: Annotated[list[LimitEntry], few_limits, few_limits_expected] | UnsetType | None = UNSET
    interval: LimitInterval | UnsetType | None = UNSET
    rate: LimitRate | UnsetType | None = UNSET
    burst: LimitBurst | UnsetType | None = UNSET
    max_leased: TypeMaxLeased | UnsetType | None = UNSET
    hold: HoldType | UnsetType | None = UNSET
    retry: DefaultRetry = UNSET
    expires: DefaultExpires | UnsetType | None = UNSET
    on_expiry: DefaultFate | UnsetType | None = UNSET
    window: DefaultWindow | UnsetType | None = UNSET
    quotas: Annotated[list[QuotaEntry], few_quotas, few_quotas_expected] | UnsetType | None = UNSET


class PauseBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time of a hold: `for` or `until`, one of the two. Without both, the queue is paused until it is resumed."""

    hold_for: HoldFor | UnsetType = field(default=UNSET, name="for")
    until: HoldUntil | UnsetType = UNSET


class DeleteQueueBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of the deletion of a queue."""

    purge_all: PurgeAll = False


class NoBody(Struct, frozen=True, forbid_unknown_fields=True):
    """An empty object, or no body."""


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class DequeueTypeQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The number of jobs, the time to wait for one, and the length of the lease."""

    count: Count | UnsetType = UNSET
    wait: Wait = 0
    lease: LeaseTime | UnsetType = UNSET


class DequeueQuery(DequeueTypeQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, and the queue types if the path does not name one."""

    type: QueueTypes | UnsetType = UNSET


class JobQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time to wait for the end of the job."""

    wait: JobWait = 0


class LeaseQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lease token, if it is not in the body."""

    lease: LeaseToken | UnsetType = UNSET


class PageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page of a long list."""

    limit: PageLimit | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET


class QueuesQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page of a list of queues, or its order."""

    limit: PageLimit = 100
    cursor: Cursor | UnsetType = UNSET
    by: ListBy | UnsetType = UNSET
    search: Search | UnsetType = UNSET


class TopQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The order of the queues and the number of them in the answer."""

    by: TopBy = "age"
    limit: TopLimit = 20
