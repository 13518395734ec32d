"""The shapes of quotas in requests and answers; router/api/campaigns/quota_parsing.py turns requests into values."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from router.api.campaigns.time_zones import TimeZone
from router.api.fields import Expected
from router.api.limits import UnitOfLimit
from router.api.response_shapes import Shape
from sharq_core.campaigns.quotas import MAX_QUOTA, PeriodLength
from sharq_core.limits import LimitUnit

MAX_QUOTAS = 3
"""Most quotas of a gathered type."""

QUOTAS_TEXT = f"a list of up to {MAX_QUOTAS} quotas, each with quota and period"

QuotaNumber: TypeAlias = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_QUOTA,
        description="The most jobs, or units of cost, that all queues of the type together give in one period, from 1 "
        f"to {MAX_QUOTA}.",
    ),
    Expected(f"an integer from 1 to {MAX_QUOTA}"),
]
Period: TypeAlias = Annotated[
    Literal["day", "hour"],
    Meta(
        description="The period that the quota counts: each `day` or each `hour` of the local clock of `tz`. A day on "
        "which that clock is changed has 23 or 25 hours."
    ),
    Expected("a word: day or hour"),
]


class QuotaEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A quota of a gathered type: how many jobs, or units of cost, it gives in each local day or hour."""

    quota: QuotaNumber
    period: Period
    tz: TimeZone = "UTC"
    unit: UnitOfLimit = "job"


few_quotas = Meta(
    max_length=MAX_QUOTAS,
    description=f"Up to {MAX_QUOTAS} quotas, each of which every lease of the type must keep. They replace all present "
    "ones. A quota with the `unit`, `period` and `tz` of a present one goes on with what is used of that.",
)
few_quotas_expected = Expected(QUOTAS_TEXT)


class QuotaAnswer(Shape, frozen=True, kw_only=True):
    """One quota of a gathered type, and its present period."""

    quota: Annotated[
        int, Meta(description="The most jobs, or units of cost, that the type gives in one period.")
    ]
    period: Annotated[
        PeriodLength, Meta(description="The period: each local day or each local hour of `tz`.")
    ]
    tz: Annotated[str, Meta(description="The time zone of the days or hours.")]
    unit: Annotated[
        LimitUnit,
        Meta(description="What the quota counts: `job` for leases, `cost` for the cost of their jobs."),
    ]
    used: Annotated[int, Meta(description="The jobs or units of cost given in the present period.")]
    resets_at: Annotated[
        int | None,
        Meta(
            description="The end of the period, in ms since the epoch; null until a shard has computed it, which takes "
            "seconds. Nothing is given meanwhile."
        ),
    ]
