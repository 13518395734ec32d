"""Defines the values of named caps: limits that any queues share, wherever they are (docs/decisions/named-caps.md).

A cap has a ledger in its home partition. A node reserves slots there ahead of time, and each slot allows one lease.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from sharq_core.limits import BlockedBy, Limit

MAX_CAPS = 3
"""Most caps of a queue."""

Permit: TypeAlias = tuple[str, int]
"""The name of a cap with max_leased, and the serial of a slot: the right to one lease at a time."""

MAX_LIMITS = 3
"""Most limits of a cap."""

MAX_TAKE = 100
"""Most slots that one call reserves or gives back."""

MOST_IN_PARTITION = 100_000
"""Most caps that have their home in one partition, with those that were dropped lately."""

MIN_GRACE_US = 10_000
MOST_GRACE_US = 250_000
GRACE_PART = 20
"""The part of the shortest interval for which a slot may be used after its due time (grace_us), and its two bounds."""

EXTEND_WITHIN_US = 5_000_000
"""Time after the renewal of its permits within which a lease may be extended."""

MIN_HORIZON_US = 20_000
MOST_HORIZON_US = 100_000
HORIZON_SLOTS = 64
"""Slots are reserved this many intervals of the slowest limit ahead (horizon_us), within these two bounds, and at least
one interval. A longer time makes fewer calls, and a shorter one makes a hold and the end of a shard cost less.
"""


class CapDefinition(msgspec.Struct, frozen=True, array_like=True):
    """The definition of a cap.

    Attributes:
        limits: up to MAX_LIMITS limits; a slot is due when all of them allow it. None of them: any rate.
        max_leased: the most leases at one time; None for any number.
    """

    limits: list[Limit]
    max_leased: int | None = None


class CapSlot(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A reserved slot of a cap, which allows one lease.

    Attributes:
        due_us: the time from which it may be used, by the clock of the ledger (CapReply.now_us).
        serial: the number of the reservation, which no other reservation of the cap has.
    """

    due_us: int
    serial: int


class CapTakeStatus(enum.IntEnum):
    """The outcome of a reservation."""

    GRANTED = 0
    """The cap exists; the reply has as many slots as it allows, perhaps none."""
    UNKNOWN = 1
    """There is no such cap; its queues stand still."""


class CapReply(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a reservation.

    Attributes:
        now_us: the time at which the ledger made it. Only the difference to it says when a slot is due, because the
            ledger's clock is not that of a node or of another server.
        slots: the reserved slots, earliest first.
        ask_in_us: the time until the same question would get a slot, 0 for now; None if nothing is known of it (the cap
            is unknown or has as many leases as it allows). It is longer if it is the turn of other nodes.
        blocked_by: the reason why there are not more slots: HOLD, MAX_LEASED or RATE; None if all wanted ones are
            there.
        horizon_us: the time ahead for which slots of this cap are reserved; 0 for an unknown cap.
        has_permits: the cap has max_leased, so that each slot comes with a permit of the same serial.
        grace_us: how long after its due time each of the slots may be used; 0 for an unknown cap.
    """

    status: CapTakeStatus
    now_us: int
    slots: list[CapSlot]
    ask_in_us: int | None
    blocked_by: BlockedBy | None
    horizon_us: int = 0
    has_permits: bool = False
    grace_us: int = 0


class CapState(msgspec.Struct, frozen=True, array_like=True):
    """A cap as its ledger has it.

    Attributes:
        held_until_us: no slot is due before this time, by the store's clock; None for no hold.
        leased: number of leases that count towards max_leased; 0 for a cap without max_leased.
        reserved: number of slots that were reserved and not given back since the cap was made.
        next_slot_in_us: time until the next free slot is due, 0 for now; None if that is not known, because the cap
            has as many leases as it allows.
        now_us: the store's time of the answer.
        blocked_by: the reason why no slot is due now: HOLD, MAX_LEASED or RATE; None if one is.
    """

    name: str
    definition: CapDefinition
    held_until_us: int | None
    leased: int
    reserved: int
    next_slot_in_us: int | None
    now_us: int
    blocked_by: BlockedBy | None


class CapPage(msgspec.Struct, frozen=True, array_like=True):
    """A page of the caps that have their home in one partition.

    Attributes:
        scan: the cursor of the next page, 0 at the end.
    """

    caps: list[CapState]
    scan: int


class ParkedSet(msgspec.Struct, frozen=True, array_like=True):
    """The queues of one type in one partition that have the same caps and wait for nothing else, now or later.

    Attributes:
        number: the number of the set of caps, which the partition gave it; other partitions have other numbers.
        names: the names of the caps, sorted.
        due_us: the time from which the first of the queues may be leased from, by the store's clock.
        due_queues: number of queues for which that time has come.
    """

    number: int
    names: tuple[str, ...]
    due_us: int
    due_queues: int


class ParkedPage(msgspec.Struct, frozen=True, array_like=True):
    """The sets of caps of a type in one partition that have news, in the order of their changes.

    Attributes:
        changed: the number of the latest change that is in the page; pass it to the next call.
        now_us: the store's time of the answer.
        has_more: True if sets follow that changed later.
        type_ready_us: the time from which the type allows a lease, by the store's clock; 0 if it does now, None if that
            is not known, because the type is paused or has all its leases.
        clock_number: the number of changes of the partition's time (ClockShift.number).
    """

    sets: list[ParkedSet]
    changed: int
    now_us: int
    has_more: bool
    type_ready_us: int | None = 0
    clock_number: int = 0


class CapUses(msgspec.Struct, frozen=True, array_like=True):
    """The numbers of queues that have a cap and of their queued jobs, in one partition, or in a page of its sets.

    Attributes:
        after: the set to go on after; 0 at the end.
    """

    queues: int
    queued: int
    after: int = 0


def horizon_us(intervals_us: Iterable[int]) -> int:
    """Return how far ahead slots of a cap with these intervals are reserved (caps.lua)."""
    longest_us = max(intervals_us, default=0)
    return max(longest_us, MIN_HORIZON_US, min(HORIZON_SLOTS * longest_us, MOST_HORIZON_US))


def grace_us(intervals_us: Iterable[int]) -> int:
    """Return for how long after its due time a slot of a cap with these intervals may be used (caps.lua)."""
    shortest_us = min(intervals_us, default=0)
    return max(MIN_GRACE_US, min(shortest_us // GRACE_PART, MOST_GRACE_US))
