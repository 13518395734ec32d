"""Defines the values of limits: the settings of a queue and of a queue type, and the reason why nothing is leased.

Settings are maps, because a field that is absent stays as it is: UNSET means absent, None clears, a value sets.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from sharq_core.campaigns.quotas import PeriodLength
from sharq_core.job_life import OnExpiry, Retry

MAX_COST = 1_000_000
MAX_LEASED = 1_000_000
MAX_WEIGHT = 100
MAX_HOLD_US = 24 * 3600 * 1_000_000

Burst: TypeAlias = int | float
"""Leases that may go back to back if a queue is late: 1 or more, with at most two decimals."""


class BlockedBy(enum.StrEnum):
    """The reason why nothing is leased. If there are several, the first one in this order counts."""

    ALL_PAUSED = "all_paused"
    TYPE_PAUSED = "type_paused"
    PAUSED = "paused"
    TYPE_HOLD = "type_hold"
    HOLD = "hold"
    EMPTY = "empty"
    DELAYED = "delayed"
    WINDOW = "window"
    QUOTA = "quota"
    TYPE_MAX_LEASED = "type_max_leased"
    MAX_LEASED = "max_leased"
    TYPE_RATE = "type_rate"
    RATE = "rate"
    CAP = "cap"
    """A cap that the queue shares with others; on the wire with its name, as `cap:acct17`."""


class CapHold(msgspec.Struct, frozen=True, array_like=True):
    """A hold of a cap: no slot of it is due for `hold_us` from now, 1 to MAX_HOLD_US."""

    name: str
    hold_us: int


class CapCorrection(msgspec.Struct, frozen=True, array_like=True):
    """The difference between the actual cost of a job and the one that it was leased with.

    Attributes:
        names: the caps of its queue.
        difference: in points; more than 0 if the job cost more.
    """

    names: tuple[str, ...]
    difference: int


class PauseStatus(enum.IntEnum):
    """The outcome of a pause, a hold or a resume. Only DONE changed anything."""

    NOT_FOUND = 0
    DONE = 1
    PAST = 2
    """The hold would end in the past."""
    TOO_LONG = 3
    """The hold would last longer than MAX_HOLD_US."""


class QueueSettings(msgspec.Struct, frozen=True):
    """A change of the settings of a queue. A setting lasts until it is cleared, and an enqueue does not change it.

    Attributes:
        interval_us: the least time between two leases, 0 for no limit. Clearing keeps the interval until the next
            enqueue that carries one.
        burst: as in NewJob. Clearing sets 1.
        pin: True protects interval, burst and max_leased from the values that enqueues carry. Clearing ends that.
        max_leased: the most leases at one time, 1 to MAX_LEASED. Clearing removes the limit.
        weight: how many jobs the queue gives in its turn under the limits of its type, 1 to MAX_WEIGHT. Clearing sets
            1.
        hold_us: nothing is leased for this time from now, up to MAX_HOLD_US. A hold only grows; clearing ends it.
        retry: the retry policy of jobs that have none of their own.
        expires_us: the time after which jobs without an expiry of their own expire, counted from when they are due.
        on_expiry: the fate of expired jobs that do not name one.
        window: the name of the window outside of which nothing is leased.
        caps: the caps that the queue shares with others, sorted names. Clearing leaves them to the next enqueue that
            carries some.
    """

    interval_us: int | UnsetType | None = UNSET
    burst: Burst | UnsetType | None = UNSET
    pin: bool | UnsetType | None = UNSET
    max_leased: int | UnsetType | None = UNSET
    weight: int | UnsetType | None = UNSET
    hold_us: int | UnsetType | None = UNSET
    retry: Retry | UnsetType | None = UNSET
    expires_us: int | UnsetType | None = UNSET
    on_expiry: OnExpiry | UnsetType | None = UNSET
    window: str | UnsetType | None = UNSET
    caps: tuple[str, ...] | UnsetType | None = UNSET


class LimitUnit(enum.StrEnum):
    """A thing that a limit of a type counts."""

    JOB = "job"
    COST = "cost"


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """A rate that all queues of a gathered type share."""

    unit: LimitUnit
    interval_us: int
    burst: Burst = 1


class Quota(msgspec.Struct, frozen=True, array_like=True):
    """The most jobs, or points of their costs, that a gathered type leases in each local day or hour.

    Attributes:
        tz: the zone of the days and hours, a name of the time zone database.
    """

    quota: int
    period: PeriodLength
    tz: str = "UTC"
    unit: LimitUnit = LimitUnit.JOB


class QuotaUse(msgspec.Struct, frozen=True, array_like=True):
    """A quota and its present period.

    Attributes:
        used: units that leases of this period took.
        resets_at_us: the end of the period, µs by the store's clock; None while no shard has computed it.
    """

    quota: Quota
    used: int
    resets_at_us: int | None


class TypeSettings(msgspec.Struct, frozen=True):
    """A change of the settings of a gathered type.

    Attributes:
        limits: up to three limits, which replace all present ones. Clearing removes them.
        max_leased: the most leases of all queues together at one time. Clearing removes the limit.
        hold_us: as in QueueSettings, for all queues of the type.
        retry, expires_us, on_expiry: as in QueueSettings, for jobs of queues that have no such setting.
        window: as in QueueSettings, for queues that have no window of their own.
        quotas: up to three quotas, which replace all present ones. One of the same unit, period and zone as a present
            one goes on with what was used. Clearing removes them.
    """

    limits: list[Limit] | UnsetType | None = UNSET
    max_leased: int | UnsetType | None = UNSET
    hold_us: int | UnsetType | None = UNSET
    retry: Retry | UnsetType | None = UNSET
    expires_us: int | UnsetType | None = UNSET
    on_expiry: OnExpiry | UnsetType | None = UNSET
    window: str | UnsetType | None = UNSET
    quotas: list[Quota] | UnsetType | None = UNSET


class TypeStats(msgspec.Struct, frozen=True, array_like=True):
    """The settings and the statistics of a type in one partition.

    Attributes:
        held_until_us: the end of the type's hold, by the store's clock; None if there is none.
        queues: number of queues that the partition has a record of.
        blocked_by: the reason why none of its queues may be leased from; None if one is ready.
        next_ready_in_us: time until one of its queues may be leased from, 0 if one is ready; None if it is not known.
        retry, expires_us, on_expiry, window: as in TypeSettings; None for none.
        quotas: the quotas, with what is used of them.
        is_window_unknown: the change names a window that does not exist; nothing was done, and the other fields are
            void.
        caps: the caps of the queue that comes first, if one of them is the reason.
    """

    is_paused: bool
    limits: list[Limit]
    max_leased: int | None
    held_until_us: int | None
    queued: int
    delayed: int
    leased: int
    dead: int
    queues: int
    blocked_by: BlockedBy | None
    next_ready_in_us: int | None
    retry: Retry | None = None
    expires_us: int | None = None
    on_expiry: OnExpiry | None = None
    window: str | None = None
    quotas: list[QuotaUse] = []
    is_window_unknown: bool = False
    caps: tuple[str, ...] = ()


class TypeSummary(msgspec.Struct, frozen=True, array_like=True):
    """The numbers of a type in one partition or several.

    Attributes:
        enqueued_in_minute, leased_in_minute: number of jobs enqueued and leased in the last full minute.
        is_explained: False if the reason comes from the counts alone, which do not tell all reasons.
        caps: the caps of the queue that comes first, if one of them is the reason.
    """

    queue_type: str
    queued: int
    delayed: int
    leased: int
    dead: int
    enqueued_in_minute: int
    leased_in_minute: int
    blocked_by: BlockedBy | None
    is_explained: bool = True
    caps: tuple[str, ...] = ()


class TypePage(msgspec.Struct, frozen=True, array_like=True):
    """A page of the types of one partition.

    Attributes:
        scan: the cursor of the next page, 0 at the end.
    """

    types: list[TypeSummary]
    scan: int


class Explanation(msgspec.Struct, frozen=True, array_like=True):
    """The reason why a dequeue of a type gets nothing in one partition.

    Attributes:
        blocked_by: the reason of the queue that comes first; None if a queue is ready.
        next_ready_in_us: time until that queue may be leased from; None if it is not known.
        caps: the caps of that queue, if one of them is the reason.
    """

    blocked_by: BlockedBy | None
    next_ready_in_us: int | None
    caps: tuple[str, ...] = ()
