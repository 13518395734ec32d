"""The shapes of requests about the life of single jobs. router/api/life/parsing.py turns them into values.

An optional field that is absent is UNSET. router/api/life/fields.py has the range of each field.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from router.api.fields import (
    Cursor,
    Delay,
    JobId,
    PageLimit,
    Payload,
    QueueId,
    QueueType,
    bulk,
    bulk_expected,
)
from router.api.life.fields import (
    At,
    CancelledPrefix,
    Expires,
    ExpiresAt,
    Force,
    JobsLimit,
    LettersOf,
    ListedState,
    Prefix,
    Priority,
    RetryDelay,
    RetryFactor,
    RetryJitter,
    RetryMax,
    default_retry_meaning,
    retry_expected,
    retry_meaning,
)
from router.api.limits import Cost
from sharq_core.job_life import MAX_RETRY_MS


class RetryBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A retry policy."""

    delay: RetryDelay
    factor: RetryFactor = 2
    max: RetryMax = MAX_RETRY_MS
    jitter: RetryJitter = 0


RetryPolicy: TypeAlias = Annotated[RetryBody, retry_meaning, retry_expected]
DefaultRetry: TypeAlias = Annotated[RetryBody | UnsetType | None, default_retry_meaning, retry_expected]


class ChangeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes of a queued or delayed job. An absent field stays as it is; a null expiry means that it never expires."""

    payload: Payload | UnsetType = UNSET
    delay: Delay | UnsetType = UNSET
    at: At | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    cost: Cost | UnsetType = UNSET
    expires: Expires | UnsetType | None = UNSET
    expires_at: ExpiresAt | UnsetType | None = UNSET


class CancelEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job of a bulk cancellation."""

    queue_type: QueueType
    queue_id: QueueId
    job_id: JobId
    force: Force = False


class CancelBulk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs to cancel."""

    jobs: Annotated[list[CancelEntry], bulk, bulk_expected]


class CancelPrefixBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The jobs of a queue to cancel."""

    prefix: CancelledPrefix


class CancelQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The option of a cancellation."""

    force: Force = False


class JobsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page of a list of jobs."""

    state: ListedState = "queued"
    limit: JobsLimit = 100
    cursor: Cursor | UnsetType = UNSET
    prefix: Prefix | UnsetType = UNSET


class DeadQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page of a list of dead letters."""

    limit: PageLimit | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET
    queue_id: LettersOf | UnsetType = UNSET
