"""Holds the slots of one set of caps on this node, and reserves more while workers wait for its queues.

It asks for nothing while no worker waits or no queue is due. When the last worker leaves, the slots that are not due
yet go back to their ledgers. Times are integer µs by this node's clock (sharq_core.clock.elapsed_us).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from shard.caps.appetite import Appetite
from shard.caps.grants import CapGrant, GrantPool, SlotTerms
from shard.caps.metrics import CapCounts
from shard.caps.parked_index import CapClaim, Names
from shard.caps.rounds import SlotSource, reserve
from sharq_core.clock import elapsed_us

log = logging.getLogger(__name__)

LEAD_US = 5_000
"""Time before a queue is due at which a slot for it is requested."""

USUAL_LEASE_US = 60_000_000
"""The length of leases that slots are reserved for while it is not known what dequeues ask for."""

LINGER_US = 10_000
"""Time for which slots are kept after the last worker has left: most workers come back at once."""

MOST_COSTS = 4
"""Most different points of cost for which slots are reserved at one time: each takes a call."""

YIELD_US = 3_000
"""Time for which a due slot is reserved for the type whose queue has been due longest, if workers wait for it."""


class CapSet:
    """A set of caps, the queues of this node that have it, and the slots for them.

    Args:
        is_awaited: returns True if workers wait for a type.
        lease_of: returns the longest lease that dequeues of a type ask for, in µs; 0 if that is not known. If it were
            guessed too long, a new primary would give no permit for too long (lua/permits.lua).
        on_change: called after the slots have changed.
        tasks: holds the running tasks of all sets.

    Attributes:
        names: the names of the caps, sorted.
        claims: type → its queues with this set.
        is_closed: the node stops: no slots are reserved, and those that come back go to their ledgers.
    """

    def __init__(
        self,
        names: Names,
        source: SlotSource,
        counts: CapCounts,
        is_awaited: Callable[[str], bool],
        lease_of: Callable[[str], int],
        on_change: Callable[[CapSet], None],
        tasks: set[asyncio.Task[None]],
    ) -> None:
        self.names = names
        self.claims: dict[str, CapClaim] = {}
        self.is_closed = False
        self._source = source
        self._counts = counts
        self._is_awaited = is_awaited
        self._lease_of = lease_of
        self._on_change = on_change
        self._tasks = tasks
        self._pool = GrantPool()
        self._appetite = Appetite()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ask_us = 0
        self._lease_us = 0
        self._told_us: int | None = None
        self._drops = 0

    def ask_again(self) -> None:
        """Ask for slots without the usual pause, because a cap has fewer leases now."""
        self._ask_us = 0
        self.wake()

    def drop(self) -> None:
        """Use none of the slots, nor of those that are being reserved: a cap is held."""
        now_us = elapsed_us()
        self._drops += 1
        self._give_back(now_us)
        self._forget(self._pool.take_all())

    def wake(self) -> None:
        """Reserve slots from now on if workers wait for a due queue; the state of either may have changed."""
        if self.is_closed:
            self._give_back(elapsed_us())
            return
        self._news.set()
        if self._task is None and (len(self._pool) or self._first_us() is not None):
            self._task = asyncio.create_task(self._run())
            self._tasks.add(self._task)
            self._task.add_done_callback(self._on_end)

    def queues(self, now_us: int) -> int:
        """Return the number of due queues with this set."""
        return sum(claim.queues(now_us) for claim in self.claims.values())

    def due_times(self) -> list[tuple[str, int | None]]:
        """Return each type and when a slot may be used for a queue of it; None if no slot is known for one.

        A slot that is left to another type is not known to the others until its yield is over. Otherwise each slot
        would wake the workers of all types, and those of all but one in vain.
        """
        now_us, first_us = elapsed_us(), self._first_us()
        self._told_us = first_us
        times: list[tuple[str, int | None]] = []
        for queue_type, claim in self.claims.items():
            at_us = self._use_us(claim, first_us)
            is_left = at_us is not None and at_us > now_us and self._delay_us(claim, first_us) > 0
            times.append((queue_type, None if is_left else at_us))
        return times

    def may_ask(self, now_us: int) -> bool:
        """Return True if every cap of the set may have a slot that is due now, as far as is known."""
        return all(self._source.next_us(name, is_ahead=False) <= now_us for name in self.names)

    def take(self, claim: CapClaim, count: int, lease_us: int, latest_us: int) -> tuple[list[CapGrant], int]:
        """Take up to `count` slots that may be used now for a type, and the points of cost that each of them allows.

        Args:
            lease_us: the length of the leases. From now on slots are reserved for leases of this length, too.
            latest_us: slots that may be used only after this time are left.
        """
        now_us = elapsed_us()
        self._expire(now_us)
        if lease_us > self._lease_us:
            self._lease_us = lease_us
            self._give_back(now_us, lease_us)
        terms = SlotTerms(claim.least_cost(now_us), lease_us)
        delay_us = self._delay_us(claim, self._first_us())
        grants = self._pool.take(
            now_us, terms, count, min(now_us, latest_us) - delay_us, partial(claim.fits, now_us)
        )
        return grants, grants[0].terms.units if grants else terms.units

    def is_valid(self, grants: Sequence[CapGrant]) -> bool:
        """Return False if other servers have become primaries since some slots were asked for."""
        reign = self._source.reign
        return all(grant.reign == reign for grant in grants)

    def put_back(self, grants: Sequence[CapGrant], used: int) -> None:
        """Note that a dequeue has used some of the slots that were taken for it, and keep the others.

        Any of them may be the used ones, as all might be used at that time: those that end first.
        """
        self._counts.used += sum(len(grant.slots) for grant in grants[:used])
        self._appetite.note(used, 0)
        self._pool.add(grants[used:])
        self._expire(elapsed_us())
        self._on_change(self)
        self.wake()

    def lose(self, grants: Sequence[CapGrant]) -> None:
        """Note that slots were perhaps used: the dequeue was not answered."""
        self._counts.lost += sum(len(grant.slots) for grant in grants)

    async def reserve_now(self, count: int) -> None:
        """Reserve up to `count` slots that are due now, and not many more than there are jobs, as far as is known.

        A slot that is due does not come back. One for each due queue is used, and more if all were used lately.
        """
        now_us = elapsed_us()
        useful = max(self._appetite.target, self.queues(now_us))
        await self._reserve(min(count, useful), now_us, is_ahead=False)
        self.wake()

    def _first_us(self) -> int | None:
        """Return when the first queue of a type that workers wait for is due; None if there is none."""
        return min(
            (claim.first_us for name, claim in self.claims.items() if self._is_awaited(name)), default=None
        )

    def _delay_us(self, claim: CapClaim, first_us: int | None) -> int:
        """Return how long slots are left to other types, whose queues have been due for longer.

        Args:
            first_us: as `_first_us` returns it.
        """
        return YIELD_US if first_us is not None and first_us < claim.first_us else 0

    def _use_us(self, claim: CapClaim, first_us: int | None) -> int | None:
        """Return when a slot may be used for a claim, after its yield; None if no slot is known for it."""
        return self._pool.next_us(claim.first_for_us, self._delay_us(claim, first_us))

    def _yielded_us(self, now_us: int) -> int | None:
        """Return when the next yield is over; None if there is none."""
        if len(self.claims) < 2 or not len(self._pool):
            return None
        first_us = self._first_us()
        ends = (
            self._use_us(claim, first_us)
            for claim in self.claims.values()
            if self._delay_us(claim, first_us) and self._is_awaited(claim.queue_type)
        )
        return min((at_us for at_us in ends if at_us is not None and at_us > now_us), default=None)

    def _expire(self, now_us: int) -> None:
        lost = self._pool.expire(now_us, self._source.reign)
        if lost:
            self._appetite.note(0, len(lost))
            self._forget(lost)

    def _forget(self, lost: Sequence[CapGrant]) -> None:
        """Forget slots that were not used and never will be."""
        self.lose(lost)
        self._source.settle([permit for grant in lost for permit in grant.permits])
        self._on_change(self)

    async def _run(self) -> None:
        """Reserve slots while workers wait, and give those back that nobody waits for any more."""
        self._appetite.begin(self.queues(elapsed_us()))
        awaited_us = elapsed_us()
        try:
            while True:
                self._news.clear()
                now_us = elapsed_us()
                self._expire(now_us)
                first_us = self._first_us()
                if first_us != self._told_us and len(self.claims) > 1:
                    self._on_change(self)  # another type comes first, because the workers of one have left
                if first_us is not None:
                    awaited_us = now_us
                elif now_us >= awaited_us + LINGER_US:
                    self._give_back(now_us)
                    if not len(self._pool):
                        self._lease_us = 0
                        return
                room = self._appetite.room(len(self._pool))
                wait_us = self._wait_us(now_us, first_us, room)
                if wait_us > 0:
                    await self._wait(now_us, wait_us)
                elif first_us is not None:
                    await self._reserve(room, max(first_us, now_us), is_ahead=True)
        finally:
            self._give_back(elapsed_us())

    def _give_back(self, now_us: int, lease_us: int | None = None) -> None:
        """Give the slots back that are not due yet; if lease_us is given, only those for shorter leases."""
        ahead = self._pool.take_ahead(now_us, lease_us)
        if ahead:
            self._source.give_back(ahead)
            self._on_change(self)

    def _wait_us(self, now_us: int, first_us: int | None, room: int) -> int:
        """Return how long to wait until there is something to ask, or a slot that has ended."""
        ask_us = now_us + LINGER_US
        if first_us is not None and room:
            ask_us = max(first_us - LEAD_US, self._ask_us)
        end_us = self._pool.first_end_us()
        return max((ask_us if end_us is None else min(ask_us, end_us + 1)) - now_us, 0)

    async def _reserve(self, count: int, start_us: int, *, is_ahead: bool) -> None:
        """Reserve up to `count` slots, for what the jobs that come next cost."""
        lease_us = max(self._lease_us, *map(self._lease_of, self.claims)) or USUAL_LEASE_US
        drops = self._drops
        for units, wanted in self._costs(start_us, count).items():
            taken = await reserve(
                self._source,
                self.names,
                wanted,
                SlotTerms(units, lease_us),
                start_us=start_us,
                is_ahead=is_ahead,
            )
            if is_ahead:
                self._ask_us = taken.next_us
            if drops != self._drops:
                self._source.give_back(taken.grants)
                return
            if taken.grants:
                self._pool.add(taken.grants)
                self._expire(elapsed_us())
                self._on_change(self)
            if len(taken.grants) < wanted:
                return

    def _costs(self, at_us: int, count: int) -> dict[int, int]:
        """Return points of cost → how many of the next `count` jobs cost as much, those that come first first.

        Jobs for which a slot is held already are left out: a place that waits for a slot of many points would get
        another one in each reservation, until the first one is due, and jobs of few points would use them.
        """
        costs: list[int] = []
        wanted = count + len(self._pool)
        claims = sorted(self.claims.values(), key=_first)
        for claim in claims:
            costs += claim.costs(at_us, min(max(claim.queues(at_us), 1), wanted - len(costs)))
        costs += [claims[0].usual_cost if claims else 1] * (wanted - len(costs))
        if min(costs) == max(costs):
            return {costs[0]: count}
        return grouped(without(costs, self._pool.units())[:count], MOST_COSTS)

    async def _wait(self, now_us: int, wait_us: int) -> None:
        """Wait for a time, or until something has changed; then let other types use slots whose yield is over."""
        yielded_us = self._yielded_us(now_us)
        await self._sleep(wait_us if yielded_us is None else min(wait_us, yielded_us - now_us))
        if yielded_us is not None and yielded_us <= elapsed_us():
            self._on_change(self)

    async def _sleep(self, wait_us: int) -> None:
        """Wait for a time, or until something has changed."""
        timer = asyncio.get_running_loop().call_later(wait_us / 1e6, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._tasks.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.error("cap_set_failed caps=%s", ",".join(self.names), exc_info=error)
        else:
            self.wake()  # a worker may have come after the last look of the task


def without(costs: Sequence[int], held: Mapping[int, int]) -> list[int]:
    """Return the costs for which no slot is held, in their order. A slot serves a cost of more than half its points.

    Args:
        held: points of cost → the number of slots that are held for as much. Every slot serves one cost at most.
    """
    left = dict(held)
    unserved: list[int] = []
    for cost in costs:
        units = min(
            (units for units, number in left.items() if number and cost <= units < 2 * cost), default=0
        )
        if units:
            left[units] -= 1
        else:
            unserved.append(cost)
    return unserved


def grouped(costs: Sequence[int], most: int) -> dict[int, int]:
    """Return points of cost → how many of some costs they are for, in the order of these; up to `most` of them.

    If there are more different costs, the smaller of two neighbours that differ least counts as the other one.
    """
    kinds = sorted(set(costs))
    stand_in: dict[int, int] = {}
    while len(kinds) > most:
        index = min(range(len(kinds) - 1), key=lambda at: kinds[at + 1] / kinds[at])
        stand_in[kinds[index]] = kinds[index + 1]
        del kinds[index]
    groups: dict[int, int] = {}
    for cost in costs:
        units = cost
        while units in stand_in:
            units = stand_in[units]
        groups[units] = groups.get(units, 0) + 1
    return groups


def _first(claim: CapClaim) -> int:
    return claim.first_us
