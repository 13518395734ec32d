"""Reserves slots of several caps that may be used together.

First the cap whose next slot is latest, then the others from there on. If one has a slot only later, the slots are
given back and the next round begins with that cap. After two rounds the queues wait (docs/decisions/named-caps.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from shard.caps.grants import CapGrant, SlotTerms, joined
from sharq_core.caps import Permit
from sharq_core.clock import elapsed_us

ROUNDS = 2

MOST_AHEAD_US = 3_600_000_000
"""The furthest time ahead for which slots are requested. The ledger gives none beyond its horizon."""


class Taken(msgspec.Struct, frozen=True):
    """The outcome of a question for slots.

    Attributes:
        grants: the reserved slots, earliest first.
        next_us: the time at which the same question may have a slot, or another one.
    """

    grants: list[CapGrant]
    next_us: int


class SlotSource(Protocol):
    """The ledgers of all caps (shard/caps/ledgers.py)."""

    @property
    def reign(self) -> int:
        """Executor.reign: slots of an earlier one may not be used."""
        ...

    def next_us(self, name: str, *, is_ahead: bool) -> int:
        """Return the time before which it is of no use to ask a cap; 0 if nothing is known of it."""
        ...

    async def take(
        self, name: str, want: int, terms: SlotTerms, *, within_us: int, after_us: int = 0
    ) -> Taken:
        """Reserve up to `want` slots of a cap."""
        ...

    def give_back(self, grants: Iterable[CapGrant]) -> None:
        """Give slots back in the background."""
        ...

    def settle(self, permits: Sequence[Permit]) -> None:
        """Give permits back in the background whose leases have ended, or never began."""
        ...


async def reserve(
    source: SlotSource,
    names: tuple[str, ...],
    want: int,
    terms: SlotTerms,
    *,
    start_us: int,
    is_ahead: bool,
) -> Taken:
    """Reserve up to `want` slots of each of some caps.

    Args:
        names: the caps, sorted.
        terms: what the slots are for.
        start_us: the slots are not due before this time of the node's clock.
        is_ahead: also reserve slots that are due later, up to the horizon of each cap.
    """
    within_us = MOST_AHEAD_US if is_ahead else 0
    # The cap whose slot comes last decides when all can be used, so the others are asked for that time.
    order = sorted(names, key=lambda name: -source.next_us(name, is_ahead=is_ahead))
    next_us = start_us
    for _ in range(ROUNDS if len(names) > 1 else 1):
        taken, latest = await _round(source, order, want, terms, start_us, within_us)
        if taken.grants or latest is None:
            return taken
        # The next round begins with the cap that was too late for the others.
        order.remove(latest)
        order.insert(0, latest)
        start_us = next_us = taken.next_us
    return Taken([], next_us)


async def _round(
    source: SlotSource, order: list[str], want: int, terms: SlotTerms, start_us: int, within_us: int
) -> tuple[Taken, str | None]:
    """Take slots of the first cap, and of each other cap those that may be used together with them.

    Returns:
        The joint grants. If there are none because a cap has slots only later: when, and its name.
    """
    after_us = max(start_us - elapsed_us(), 0)
    taken = await source.take(order[0], want, terms, within_us=within_us, after_us=after_us)
    joint = taken.grants
    for name in order[1:]:
        if not joint:
            break
        now_us = elapsed_us()
        after_us = max(joint[0].from_us - now_us, 0) if within_us else 0
        last_us = max(joint[-1].until_us - now_us, 0) if within_us else 0
        others = await source.take(name, len(joint), terms, within_us=last_us, after_us=after_us)
        pairs, alone = joined(joint, others.grants)
        source.give_back(alone)
        # No slot of this cap fits those of the caps before it. All of them have gone back.
        if not pairs:
            late_us = others.grants[0].from_us if others.grants else others.next_us + last_us
            return Taken([], late_us), name
        joint = pairs
    return Taken(joint, taken.next_us), None
