"""Joins what one node knows of caps: which queues wait for them, the slots that it holds, and when both meet."""

from __future__ import annotations

import asyncio
from time import monotonic

from prometheus_client import CollectorRegistry

from shard.batching.pipeline import Pipeline
from shard.batching.store_calls import StoreCalls
from shard.caps.cap_leases import NodeCapLeases
from shard.caps.cap_set import CapSet
from shard.caps.dequeues import CappedDequeue, CappedDequeues, DequeueObserver
from shard.caps.due_times import DueTimes
from shard.caps.ledgers import CapLedgers
from shard.caps.listings import Listings
from shard.caps.metrics import CapCounts
from shard.caps.parked_index import CapClaim, Names, ParkedIndex
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks
from shard.index.ready_index import ReadyIndex
from shard.index.refresher import Refresher
from shard.index.surveyor import Surveyor
from shard.reaper import Reaper
from sharq_core.clock import elapsed_us
from sharq_core.scheduler.executor import Executor

SETS_AT_ONCE = 16
"""Most sets of caps of which one dequeue uses slots, or asks for some."""

EARLY_US = 3_000
"""Time before slots become usable at which routers are told to send their dequeues, which then wait here for the slots.
Otherwise the way from a router's timer to this node would take part of the few milliseconds in which a slot is usable.
"""

FORGET_EVERY_S = 1.0

TAKES_ON_S = 0.05
"""Time after two close dequeues that got jobs for which slots are reserved for the next one. Workers that find jobs of
other queues again and again never wait, and would otherwise never see those of queues with caps.
"""

CLOSE_S = 0.005
"""The most time between close dequeues: half of the least grace. A dequeue that comes later may miss a slot that was
reserved for it, and that slot would be lost, so a slot is then reserved once the dequeue is there.
"""

LEASE_KNOWN_S = 600.0
"""Time for which the longest lease requested by a dequeue of a type is remembered. Workers may wait for minutes."""

MOST_LEASES = 10_000
"""Most types of which that is known."""

WEIGHED_FOR_US = 100_000
"""Time for which the number of a cap's due queues is remembered."""


class NodeCaps:
    """The caps of one node.

    Args:
        registry: receives the metrics.
        index: gets the times from which queues with caps may be leased from, and knows for which types workers wait.
        ownership: the partitions that it serves, and its name.

    Attributes:
        ledgers: the ledgers of the caps.
        funded: the types with slots that may be used, now or later, and when, by set of caps.
        knows: returns True if queues of a type wait for caps, or may do so.
        leases: applies the ends and extends of leases to caps.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        pipeline: Pipeline,
        calls: StoreCalls,
        index: ReadyIndex,
        clocks: PartitionClocks,
        executor: Executor,
        ownership: Ownership,
    ) -> None:
        self._counts = CapCounts()
        self._index = index
        self._clocks = clocks
        self._pipeline = pipeline
        self._calls = calls.functions.capped
        self._ownership = ownership
        self._sets: dict[Names, CapSet] = {}
        self._by_cap: dict[str, set[Names]] = {}
        self.funded: dict[str, DueTimes[Names]] = {}
        self._taken_at: dict[str, float] = {}
        self._taken_until: dict[str, float] = {}
        self._leases: dict[str, tuple[int, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._weights: dict[str, tuple[int, int]] = {}
        self._parked = ParkedIndex(self._on_claim, executor.now_us)
        self.knows = self._parked.knows
        self._listings = Listings(pipeline, self._calls, self._parked)
        self.ledgers = CapLedgers(
            pipeline, calls.caps, clocks, ownership, self._counts, self._weigh, lambda: executor.reign
        )
        self.ledgers.on_settled = self._on_settled
        self.ledgers.on_held = self._on_held
        self.leases = NodeCapLeases(pipeline, self._calls, clocks, self.ledgers)
        self._counts.waiting = lambda: len(self._sets)
        index.on_subscribed = self._on_awaited
        registry.register(self._counts)

    def serve(self, observer: DequeueObserver, most_us: int) -> None:
        """Set the part of the node that follows the replies of dequeues.

        Args:
            most_us: CPU time (µs) of the store for the choice of the jobs of one call.
        """
        self._dequeues = CappedDequeues(
            self._pipeline, self._calls, self._clocks, self._parked, self.hear, observer, most_us
        )

    def listen(self, surveyor: Surveyor, refresher: Refresher, reaper: Reaper | None) -> None:
        """Learn from these parts of the node what is parked, and which leases with permits have ended."""
        surveyor.on_parked = self.hear
        refresher.on_settled = self.ledgers.settle
        if reaper is not None:
            reaper.on_settled = self.ledgers.settle

    def hear(self, partition: int, queue_type: str, change: int) -> None:
        """Note the number of the latest change of a type's parked queues; read what is new if workers take jobs."""
        if self._parked.hear(partition, queue_type, change) and self._is_awaited(queue_type):
            self._listings.read_soon(queue_type)

    def note_lease(self, queue_type: str, lease_us: int) -> None:
        """Note the length of the leases that a dequeue of a type asks for; slots are reserved for the longest.

        A worker may wait before any queue of the type has a cap.
        """
        now = monotonic()
        longest = self._leases.get(queue_type)
        if longest is None and len(self._leases) >= MOST_LEASES:
            self._leases.clear()
        if longest is None or lease_us >= longest[0] or longest[1] < now:
            self._leases[queue_type] = lease_us, now + LEASE_KNOWN_S

    def note_demand(self, queue_type: str) -> None:
        """Note that a worker got jobs of a type and may at once take more, also of its queues with caps."""
        before, self._taken_at[queue_type] = self._taken_at.get(queue_type), monotonic()
        if before is None or self._taken_at[queue_type] > before + CLOSE_S:
            return
        was_awaited = self._is_awaited(queue_type)
        self._taken_until[queue_type] = monotonic() + TAKES_ON_S
        if not was_awaited:
            self._on_awaited(queue_type)

    def is_first(self, queue_type: str) -> bool:
        """Return True if, of the queues of a type that may be leased from now, one with caps has been due longest."""
        funded = self.funded.get(queue_type)
        usable = funded.due(elapsed_us(), 1) if funded is not None else []
        if not usable:
            return False
        claim = self._sets[usable[0]].claims[queue_type]
        others_at = self._index.next_uncapped(queue_type)
        return others_at is None or monotonic() + (claim.first_us - elapsed_us()) / 1e6 <= others_at

    def early_s(self, queue_type: str) -> float:
        """Return for how long a dequeue of a type should wait, because it came early for its slots (EARLY_US)."""
        first_us, now_us = self._funded_first_us(queue_type), elapsed_us()
        if first_us is None or not 0 < first_us - now_us <= EARLY_US:
            return 0.0
        early_s, others_at = (first_us - now_us) / 1e6, self._index.next_uncapped(queue_type)
        return early_s if others_at is None else min(early_s, others_at - monotonic())

    def may_lease(self, queue_type: str) -> bool:
        """Return True if a dequeue of a type that gets nothing might get a job after `look`."""
        return self._parked.has_news(queue_type) or bool(self._askable(queue_type))

    async def prepare(self, queue_type: str, count: int) -> None:
        """Reserve up to `count` slots that are due now, for queues that have been due for longer than uncapped ones.

        Else a dequeue would pass them over, because it gets a job of these. Nothing is done if no such queue is due:
        then `look` comes after the dequeue; or while slots are reserved ahead.
        """
        others_at = None if self._is_awaited(queue_type) else self._index.next_uncapped(queue_type)
        if others_at is None or others_at > monotonic():
            return
        others_us = elapsed_us() + (others_at - monotonic()) * 1e6
        if self._parked.has_news(queue_type):
            await self._listings.read_soon(queue_type)
        sets = [
            cap_set
            for cap_set in self._askable(queue_type)
            if cap_set.claims[queue_type].first_us < others_us
        ]
        if sets:
            await asyncio.gather(*(cap_set.reserve_now(count) for cap_set in sets))

    async def look(self, queue_type: str, count: int) -> bool:
        """Read what is new of a type, and reserve up to `count` slots that are due now.

        Returns:
            True if a dequeue of the type may now get a job.
        """
        if self._parked.has_news(queue_type):
            await self._listings.read_soon(queue_type)
        sets = self._askable(queue_type)
        if sets:
            await asyncio.gather(*(cap_set.reserve_now(count) for cap_set in sets))
        due_us = self._funded_first_us(queue_type)
        return due_us is not None and due_us <= elapsed_us()

    def send(
        self, queue_type: str, wanted: int, max_bytes: int, lease_us: int, begun_us: int
    ) -> list[CappedDequeue]:
        """Send dequeues with the slots of a type that may be used now, for up to `wanted` jobs.

        Args:
            max_bytes: the payload bytes of all of them together.
            begun_us: slots that may be used only after this time are left.
        """
        funded = self.funded.get(queue_type)
        if funded is None:
            return []
        sent: list[CappedDequeue] = []
        due = funded.due(elapsed_us(), SETS_AT_ONCE)
        for names in due:
            cap_set = self._sets.get(names)
            claim = cap_set.claims.get(queue_type) if cap_set is not None else None
            if cap_set is None or claim is None or wanted <= 0:
                continue
            calls = self._dequeues.send(cap_set, claim, wanted, max_bytes // len(due), lease_us, begun_us)
            wanted -= sum(call.count for call in calls)
            sent += calls
            self._refresh(cap_set)
        return sent

    async def run(self) -> None:
        """Forget the partitions that this node does not serve any more, until cancelled."""
        while True:
            await asyncio.sleep(FORGET_EVERY_S)
            self._parked.keep(self._ownership.serves)
            now = monotonic()
            self._taken_at = {name: at for name, at in self._taken_at.items() if at + CLOSE_S > now}
            self._taken_until = {name: until for name, until in self._taken_until.items() if until > now}
            self.ledgers.keep(self._by_cap.__contains__)

    def lose(self, partition: int) -> None:
        """Forget a partition whose data was lost."""
        self._parked.lose(partition)

    async def stop(self) -> None:
        """Give all slots back, and finish the calls in the background. No more slots are reserved from now on."""
        self._is_stopping = True
        for cap_set in self._sets.values():
            cap_set.is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listings.drained()
        await self.leases.drained()
        await self.ledgers.drained()

    def _askable(self, queue_type: str) -> list[CapSet]:
        """Return sets of caps for which a queue of a type is due and that may have a slot now, longest due first.

        While workers wait for the type, its slots are reserved ahead, so that none are asked for here.
        """
        if queue_type in self._index.subscribers:
            return []
        now_us = elapsed_us()
        due = [claim for claim in self._parked.claims(queue_type) if claim.first_us <= now_us]
        due.sort(key=_first)
        cap_sets: list[CapSet] = []
        for claim in due:
            cap_set = self._sets[claim.names]
            if cap_set.may_ask(now_us):
                cap_sets.append(cap_set)
                if len(cap_sets) == SETS_AT_ONCE:
                    break
        return cap_sets

    def _on_settled(self, name: str) -> None:
        """Ask a cap again that may have more leases now."""
        for names in self._by_cap.get(name, ()):
            self._sets[names].ask_again()

    def _on_held(self, name: str) -> None:
        """Use no slot of a cap that is held."""
        for names in self._by_cap.get(name, ()):
            self._sets[names].drop()

    def _on_awaited(self, queue_type: str) -> None:
        """Reserve slots for the queues of a type if workers wait for it now, or give them back if not."""
        if self._parked.has_news(queue_type) and self._is_awaited(queue_type):
            self._listings.read_soon(queue_type)
        for claim in self._parked.claims(queue_type):
            self._sets[claim.names].wake()

    def _on_claim(self, claim: CapClaim) -> None:
        """Follow a change of the queues of a type that wait for a set of caps."""
        cap_set = self._sets.get(claim.names)
        # No queue of the type waits for the set any more.
        if not claim.places:
            if cap_set is not None:
                self._remove(cap_set, claim)
            return
        if cap_set is None:
            cap_set = self._sets[claim.names] = CapSet(
                claim.names,
                self.ledgers,
                self._counts,
                self._is_awaited,
                self._lease_of,
                self._refresh,
                self._tasks,
            )
            for name in claim.names:
                self._by_cap.setdefault(name, set()).add(claim.names)
        cap_set.claims[claim.queue_type] = claim
        self._refresh(cap_set)
        cap_set.wake()

    def _remove(self, cap_set: CapSet, claim: CapClaim) -> None:
        cap_set.claims.pop(claim.queue_type, None)
        self._set_due(claim.queue_type, claim.names, None)
        cap_set.wake()
        if cap_set.claims:
            return
        del self._sets[claim.names]
        for name in claim.names:
            sets = self._by_cap[name]
            sets.discard(claim.names)
            if not sets:
                del self._by_cap[name]
                self._weights.pop(name, None)

    def _refresh(self, cap_set: CapSet) -> None:
        """Tell the index when the queues with a set of caps may be leased from."""
        for queue_type, due_us in cap_set.due_times():
            self._set_due(queue_type, cap_set.names, due_us)

    def _set_due(self, queue_type: str, names: Names, due_us: int | None) -> None:
        funded = self.funded.get(queue_type)
        if funded is None:
            if due_us is None:
                return
            funded = self.funded[queue_type] = DueTimes()
        # The index is told only of changes of the earliest time: routers wake up for each one.
        before_us = funded.first_us()
        funded.put(names, due_us)
        first_us = funded.first_us()
        if first_us is None:
            del self.funded[queue_type]
        if first_us != before_us:
            due_at = None if first_us is None else monotonic() + (first_us - elapsed_us() - EARLY_US) / 1e6
            self._index.set_capped(queue_type, due_at)

    def _funded_first_us(self, queue_type: str) -> int | None:
        funded = self.funded.get(queue_type)
        return None if funded is None else funded.first_us()

    def _is_awaited(self, queue_type: str) -> bool:
        """Return True if workers wait for a type, or have just taken jobs of it; for none while the node stops."""
        if self._is_stopping:
            return False
        until = self._taken_until.get(queue_type) if self._taken_until else None
        return queue_type in self._index.subscribers or (until is not None and until > monotonic())

    def _lease_of(self, queue_type: str) -> int:
        """Return the longest lease that dequeues of a type ask for (µs); 0 if that is not known."""
        longest = self._leases.get(queue_type)
        return longest[0] if longest is not None and longest[1] > monotonic() else 0

    def _weigh(self, name: str) -> int:
        """Return the number of due queues of this node that have a cap."""
        now_us = elapsed_us()
        weighed = self._weights.get(name)
        if weighed is not None and weighed[0] > now_us:
            return weighed[1]
        weight = sum(self._sets[names].queues(now_us) for names in self._by_cap.get(name, ()))
        self._weights[name] = now_us + WEIGHED_FOR_US, weight
        return weight


def _first(claim: CapClaim) -> int:
    return claim.first_us
