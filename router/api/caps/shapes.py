"""The shapes of requests and answers about named caps. router/api/caps/parsing.py turns the requests into values."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from router.api.caps.fields import CapReason, HeldFor
from router.api.limits import (
    HoldOfCap,
    LimitBurst,
    LimitInterval,
    LimitRate,
    MaxLeasedOfCap,
    few_limits_expected,
    few_limits_of_cap,
)
from router.api.queue_shapes import LimitAnswer
from router.api.request_shapes import LimitEntry
from router.api.response_shapes import CursorOut, Shape, Success, UnreadOut


class CapBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The definition of a cap, which replaces the present one: a limit that is absent is none.

    `rate` or `interval`, with or without `burst`, is short for `limits` with one limit of unit `job`.
    """

    limits: Annotated[list[LimitEntry], few_limits_of_cap, few_limits_expected] | UnsetType | None = UNSET
    interval: LimitInterval | UnsetType | None = UNSET
    rate: LimitRate | UnsetType | None = UNSET
    burst: LimitBurst | UnsetType | None = UNSET
    max_leased: MaxLeasedOfCap | UnsetType | None = UNSET
    hold: HoldOfCap | UnsetType | None = UNSET


class HoldNamedCap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time of a hold."""

    hold_for: HeldFor = field(name="for")


NameOut: TypeAlias = Annotated[str, Meta(description="The name of the cap.")]
LimitsOut: TypeAlias = Annotated[
    list[LimitAnswer], Meta(description="The limits that all queues with the cap share.")
]
MaxLeasedOut: TypeAlias = Annotated[
    int | None, Meta(description="Maximum number of jobs leased at a time; null for no maximum.")
]
HeldUntilOut: TypeAlias = Annotated[
    int | None,
    Meta(
        description="The time before which no queue with the cap gives a job, in ms since the epoch; null without a "
        "hold."
    ),
]
LeasedOut: TypeAlias = Annotated[
    int | None,
    Meta(
        description="Number of leases that count towards `max_leased`. It may be above what is leased: one that ended "
        "a moment ago, or whose worker is gone, counts until its time is over. null without `max_leased`."
    ),
]
NextSlotOut: TypeAlias = Annotated[
    int | None,
    Meta(
        description="Time until the cap allows the next lease, in ms, 0 if it does now; null if it is not known, "
        "because as many jobs are leased as it allows."
    ),
]
SlotsUsedOut: TypeAlias = Annotated[
    int,
    Meta(
        description="Number of slots that leases have used since the cap was defined; a slot whose time passed unused "
        "after a shard had reserved it counts too. The difference of two answers, divided by the time between them, is "
        "the rate in use."
    ),
]
BlockedByOut: TypeAlias = Annotated[
    CapReason | None,
    Meta(
        description="Why the cap allows no lease now: `hold`, `max_leased` or `rate`; null if it allows one."
    ),
]
UsesOut: TypeAlias = Annotated[
    int, Meta(description="Number of queues that have the cap, of all types, also those without jobs.")
]


class CapRow(Shape, frozen=True, kw_only=True):
    """One cap of a list."""

    name: NameOut
    limits: LimitsOut
    max_leased: MaxLeasedOut
    held_until: HeldUntilOut
    leased: LeasedOut
    next_slot_in: NextSlotOut
    slots_used: SlotsUsedOut
    blocked_by: BlockedByOut


class CapRows(Success, frozen=True, kw_only=True):
    """A page of all caps, in no particular order."""

    caps: Annotated[list[CapRow], Meta(description="The caps of the page.")]
    cursor: CursorOut
    unread_partitions: UnreadOut | UnsetType = UNSET


class CapDefined(CapRow, Success, frozen=True, kw_only=True):
    """The state of a cap after its definition."""

    warning: (
        Annotated[
            str, Meta(description="The limit that is not delivered in full at its burst; absent if all are.")
        ]
        | UnsetType
    ) = UNSET


class CapAnswer(CapRow, Success, frozen=True, kw_only=True):
    """The state of a cap, and what waits for it."""

    queues: UsesOut
    queued: Annotated[
        int,
        Meta(description="Number of queued jobs of these queues, which wait for it or for their own rate."),
    ]
    unread_partitions: UnreadOut | UnsetType = UNSET


class CapDropped(Success, frozen=True, kw_only=True):
    """The confirmation that a cap is deleted."""

    queues: Annotated[
        int,
        Meta(description="Number of queues that have the cap. They stand still until it exists again."),
    ]
    unread_partitions: UnreadOut | UnsetType = UNSET
