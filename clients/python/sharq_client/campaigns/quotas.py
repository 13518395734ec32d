"""Defines quotas of gathered types, as operators set them and as the server shows them."""

from __future__ import annotations

from typing import Literal

import msgspec


class Quota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The most jobs, or units of cost, that all queues of a gathered type give in each local day or hour.

    Attributes:
        quota: the number, 1 to 10**12.
        period: "day" or "hour" of the local clock of `tz`.
        tz: a name of the time zone database, such as "America/New_York".
        unit: "job" to count leases, "cost" to count the cost of their jobs.
    """

    quota: int
    period: Literal["day", "hour"]
    tz: str = "UTC"
    unit: Literal["job", "cost"] = "job"


class QuotaUse(msgspec.Struct, frozen=True, kw_only=True):
    """A quota of a gathered type, and its present period.

    Attributes:
        quota, period, tz, unit: as in Quota.
        used: the jobs or units given in the present period.
        resets_at: the end of the period, in ms since the epoch by the store's clock; None for the few seconds until
            the server has computed it.
    """

    quota: int
    period: Literal["day", "hour"]
    tz: str
    unit: Literal["job", "cost"]
    used: int
    resets_at: int | None
