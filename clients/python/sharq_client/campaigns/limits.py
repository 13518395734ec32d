"""Defines the rates that queues share, as they are sent and as the server answers them."""

from __future__ import annotations

from typing import Literal

import msgspec


class Limit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rate that all queues of a gathered type, or all queues with a cap, share.

    Attributes:
        rate: the rate, such as "40/s", "90/min", "2000/h" or "10000/day".
        interval: the same as the least time between two leases, or for each unit of cost. Send one of the two; an
            answer has both.
        burst: the most leases or units back to back when the queues are late, at least 1, with up to two decimals.
        unit: "job" to count leases, "cost" to count the cost of their jobs.
    """

    rate: str | None = None
    interval: float | None = None
    burst: float = 1
    unit: Literal["job", "cost"] = "job"
