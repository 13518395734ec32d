"""Defines named caps, which any queues share, as they are sent and as the server answers them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from sharq_client.campaigns.limits import Limit


class Cap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The definition of a cap, which replaces the present one: what is not given is no limit.

    Attributes:
        limits: up to three limits, each of which every lease with the cap must keep.
        rate, interval, burst: short for one limit, `limits=[Limit(rate=..., burst=...)]`. Send limits or these.
        max_leased: the most jobs of all queues with the cap that are leased at a time.
        hold: the time from now for which no queue with the cap hands out jobs, up to 24 hours; None ends a hold. If it
            is not given, a hold stays.
    """

    limits: Sequence[Limit] = ()
    max_leased: int | None = None
    hold: float | UnsetType | None = UNSET
    rate: str | None = None
    interval: float | None = None
    burst: float | None = None


class CapHold(msgspec.Struct, frozen=True):
    """A hold of a cap, which a finish or a release asks for.

    Attributes:
        name: the name of the cap.
        ms: the time from now for which no queue with the cap hands out jobs, up to 24 hours.
    """

    name: str
    ms: float


class CapState(msgspec.Struct, frozen=True, kw_only=True):
    """A cap and its state.

    Attributes:
        limits, max_leased: as in Cap.
        held_until: the time before which no queue with the cap hands out jobs, in ms since the epoch by the store's
            clock; None if it is not held.
        leased: the number of leases that count towards max_leased; None without one.
        next_slot_in: the time until the cap allows the next lease, 0 if it does now; None if it is not known.
        slots_used: the number of slots that leases have used since the cap was defined, and of reserved slots whose
            time passed; the difference of two states over the time between them is the rate in use. None if the server
            is older and does not tell it.
        blocked_by: why it allows no lease now: "hold", "max_leased" or "rate"; None if it allows one.
        queues: the number of queues that have the cap; None in a list, and after put_cap.
        queued: the number of queued jobs of these queues; None as well.
        warning: the limit that is not delivered in full at its burst, after put_cap; empty if there is none.
        unread_partitions: the partitions that `queues` and `queued` are without, because their data is broken.
    """

    name: str
    limits: list[Limit]
    max_leased: int | None
    held_until: int | None
    leased: int | None
    next_slot_in: int | None
    blocked_by: str | None
    slots_used: int | None = None
    queues: int | None = None
    queued: int | None = None
    warning: str = ""
    unread_partitions: list[int] = []
