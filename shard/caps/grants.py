"""Places the slots of caps in the time of this node: when a dequeue may use them, and until when a store may run it.

The node, the server of a cap's ledger and the server of a queue have a clock each, and no two of them are ever compared
(docs/decisions/named-caps.md). A reply is placed between the moment at which its call was sent and the one at which it
came. All times are integer µs by this node's clock (sharq_core.clock.elapsed_us).
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from sharq_core.caps import CapReply, CapSlot, Permit

GATHER_US = 4_000
"""Time for which grants wait for others that become usable soon after them. It is well within their grace."""


class SlotTerms(msgspec.Struct, frozen=True, order=True):
    """The leases that a slot is reserved for.

    Attributes:
        units: the most points of cost of the job.
        lease_us: the longest time of the lease.
    """

    units: int
    lease_us: int


class CapGrant(msgspec.Struct, frozen=True, order=True):
    """A slot of one cap, or slots of several caps that may be used together, for one lease.

    Attributes:
        from_us: not before this time: all slots are due then, even if the ledgers ran the calls as late as they can
            have.
        until_us: not after this time: no grace is over, even if the ledgers ran the calls as early as they can have.
        terms: what it is for.
        slots: the slot of each cap, in the order in which they were reserved.
        permits: the permits of the slots of caps with max_leased.
        reign: Executor.reign when the first of the slots was asked for.
    """

    from_us: int
    until_us: int
    terms: SlotTerms
    slots: tuple[tuple[str, CapSlot], ...]
    permits: tuple[Permit, ...] = ()
    reign: int = 0

    @property
    def is_usable_ever(self) -> bool:
        """Return True if there is a time at which it may be used."""
        return self.from_us <= self.until_us


def grants_of(
    name: str, reply: CapReply, terms: SlotTerms, sent_us: int, came_us: int, reign: int = 0
) -> list[CapGrant]:
    """Return the slots of a reply as grants, earliest first. A call that took too long gives grants without a time.

    Args:
        terms: what each slot was reserved for.
        sent_us, came_us: when the call was sent, and when its reply came.
    """
    return [
        CapGrant(
            came_us + slot.due_us - reply.now_us,
            sent_us + slot.due_us - reply.now_us + reply.grace_us,
            terms,
            ((name, slot),),
            ((name, slot.serial),) if reply.has_permits else (),
            reign,
        )
        for slot in reply.slots
    ]


def joined(grants: Sequence[CapGrant], others: Sequence[CapGrant]) -> tuple[list[CapGrant], list[CapGrant]]:
    """Join grants of different caps that may be used together; both are sorted, earliest first.

    Returns:
        The joint grants, and those that found no partner.
    """
    pairs: list[CapGrant] = []
    alone: list[CapGrant] = []
    index, other_index = 0, 0
    # Both lists are sorted by time, so one pass finds the partners, as in a merge.
    while index < len(grants) and other_index < len(others):
        first, second = grants[index], others[other_index]
        from_us = max(first.from_us, second.from_us)
        until_us = min(first.until_us, second.until_us)
        if from_us <= until_us:
            terms = min(first.terms, second.terms)
            slots, permits = first.slots + second.slots, first.permits + second.permits
            reign = min(first.reign, second.reign)
            pairs.append(CapGrant(from_us, until_us, terms, slots, permits, reign))
            index, other_index = index + 1, other_index + 1
        elif first.until_us < second.from_us or not first.is_usable_ever:
            alone.append(first)
            index += 1
        else:
            alone.append(second)
            other_index += 1
    return pairs, [*alone, *grants[index:], *others[other_index:]]


class GrantPool:
    """The unused grants of a set of caps, by the time from which they may be used."""

    def __init__(self) -> None:
        self._grants: list[CapGrant] = []

    def __len__(self) -> int:
        """Return the number of grants."""
        return len(self._grants)

    def units(self) -> dict[int, int]:
        """Return points of cost → the number of grants for as much."""
        return Counter(grant.terms.units for grant in self._grants)

    def add(self, grants: Iterable[CapGrant]) -> None:
        """Add grants, new ones or such that a dequeue did not use."""
        for grant in grants:
            insort(self._grants, grant)

    def expire(self, now_us: int, reign: int) -> list[CapGrant]:
        """Remove the grants that may not be used any more, because of the time or of the reign, and return them."""
        lost = [grant for grant in self._grants if grant.until_us < now_us or grant.reign != reign]
        if lost:
            self._grants = [
                grant for grant in self._grants if grant.until_us >= now_us and grant.reign == reign
            ]
        return lost

    def take_all(self) -> list[CapGrant]:
        """Take all grants."""
        taken, self._grants = self._grants, []
        return taken

    def next_us(self, first_us: Callable[[int], int | None], delay_us: int = 0) -> int | None:
        """Return the time at which grants should be used next; None for never.

        That is when the first one may be used, and those that may be used soon after it: one call for several leases
        costs the store much less than one for each.

        Args:
            first_us: returns the time from which there is a job of up to a number of points of cost; None for never.
            delay_us: how long each grant is left to others.
        """
        first: int | None = None
        last = 0
        for grant in self._grants:
            due_us = first_us(grant.terms.units)
            if due_us is None or (at_us := max(grant.from_us + delay_us, due_us)) > grant.until_us:
                continue
            if first is None:
                first = last = at_us
            elif grant.from_us > first + GATHER_US:
                break
            elif first < at_us <= first + GATHER_US:
                last = max(last, at_us)
        return None if first is None else last

    def first_end_us(self) -> int | None:
        """Return the time at which the first grant ends; None without grants."""
        return min((grant.until_us for grant in self._grants), default=None)

    def take(
        self,
        now_us: int,
        terms: SlotTerms,
        count: int,
        latest_us: int,
        fits: Callable[[int], bool] = lambda _: True,
    ) -> list[CapGrant]:
        """Take up to `count` grants that may be used now, those that end soonest first.

        Args:
            terms: what they must allow at least; all taken ones allow the same points of cost.
            latest_us: grants that may be used only after this time are left.
            fits: returns True for points of cost that jobs need; others are taken if there are no such grants.
        """
        usable = [
            grant
            for grant in self._grants
            if grant.from_us <= latest_us
            and now_us <= grant.until_us
            and grant.terms.units >= terms.units
            and grant.terms.lease_us >= terms.lease_us
        ]
        if not usable:
            return []
        usable.sort(key=_end)
        units = next((one.terms.units for one in usable if fits(one.terms.units)), usable[0].terms.units)
        taken = [grant for grant in usable if grant.terms.units == units][:count]
        for grant in taken:
            self._grants.remove(grant)
        return taken

    def take_ahead(self, now_us: int, lease_us: int | None = None) -> list[CapGrant]:
        """Take all grants that may not be used yet, to be given back.

        Args:
            lease_us: take only those for shorter leases; None for all.
        """
        ahead = [
            grant
            for grant in self._grants
            if grant.from_us > now_us and (lease_us is None or grant.terms.lease_us < lease_us)
        ]
        for grant in ahead:
            self._grants.remove(grant)
        return ahead


def _end(grant: CapGrant) -> int:
    return grant.until_us
