"""Reports the load of a node to routers: jobs by type, delays and failures, from memory.

Only the reasons why types give no jobs are read from the store, and few of them for each report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from heapq import nlargest
from itertools import chain
from time import monotonic

from msgspec import structs

from shard.index.census import Census
from shard.index.explanations import Explanations
from shard.index.ready_index import ReadyIndex
from shard.metrics.node import NodeMetrics
from sharq_core.errors import SharqError
from sharq_core.limits import BlockedBy
from sharq_core.link.node_load import NodeLoad, TypeLoad
from sharq_core.partitions import is_gathered

MAX_TYPES = 1000
"""Most types of one report."""

TYPES_AT_ONCE = 2000
"""Types that are ranked without a pause for other calls, which takes about a millisecond."""

RANKED_S = 10.0
"""The time for which the order of more than TYPES_AT_ONCE types is kept."""

READS_A_REPORT = 512
"""Most partitions that one report reads for the reasons of types; further types have their turn later."""

REASON_S = 60.0
"""The time after which a reason is forgotten."""

READY_S = 1.0
"""The time after which a type that still seems ready is asked for its reason: its queues may have been paused since."""


class LoadReports:
    """The reports of one node.

    Args:
        served: returns the partitions that this node serves.
        caps: returns the shares in use of a type's limits.
        is_out: tells whether a quota holds a type back.
    """

    def __init__(
        self,
        metrics: NodeMetrics,
        census: Census,
        index: ReadyIndex,
        explanations: Explanations,
        served: Callable[[], list[int]],
        caps: Callable[[str], Mapping[str, float]],
        is_out: Callable[[str], bool],
    ) -> None:
        self._metrics = metrics
        self._census = census
        self._index = index
        self._explanations = explanations
        self._served = served
        self._caps = caps
        self._is_out = is_out
        self._ranked: list[str] = []
        self._ranked_at = -RANKED_S
        self._reasons: dict[str, tuple[float, BlockedBy | None]] = {}
        self._turns: dict[str, float] = {}

    async def report(self, max_types: int) -> NodeLoad:
        """Return the load, with the max_types types that have most jobs.

        Cost: about 3 µs for each type in the report, and READS_A_REPORT small reads of the store at most.
        """
        names = await self._rank(min(max_types, MAX_TYPES))
        types = [self._type_load(name) for name in names]
        await self._read_reasons([load.queue_type for load in types if _may_be_held_back(load)])
        now = monotonic()
        return NodeLoad(
            [self._with_reason(load, now) if _may_be_held_back(load) else load for load in types],
            self._whole(),
            self._census.size,
            self._metrics.deaths,
            self._metrics.delay_counts(),
        )

    async def _rank(self, limit: int) -> list[str]:
        """Return the types with most live jobs, then those with most jobs ever."""
        census = self._census
        if census.size <= TYPES_AT_ONCE:
            return nlargest(limit, census.names(), key=census.weight)
        if monotonic() - self._ranked_at >= RANKED_S:
            self._ranked_at, names, first = monotonic(), census.names(), list[str]()
            for at in range(0, len(names), TYPES_AT_ONCE):
                some: Iterable[str] = chain(first, names[at : at + TYPES_AT_ONCE])
                first = nlargest(MAX_TYPES, filter(census.has, some), key=census.weight)
                await asyncio.sleep(0)
            self._ranked = first
        return [name for name in self._ranked if census.has(name)][:limit]

    def _type_load(self, name: str) -> TypeLoad:
        enqueued, queued, delayed, leased, finished, dead, _ = self._census.totals_of(name)
        due_in_us = self._index.due_in_us(name) if queued else None
        is_ready = due_in_us is not None and due_in_us <= 0 and not self._is_out(name)
        attempts = self._metrics.attempts
        return TypeLoad(
            name,
            enqueued,
            queued,
            delayed,
            leased,
            finished,
            dead,
            attempts.leases_of(name),
            attempts.failed_of(name),
            -due_in_us if is_ready and due_in_us is not None else None,
            None if queued else BlockedBy.DELAYED if delayed else BlockedBy.EMPTY,
            dict(self._caps(name)) if is_gathered(name) else {},
        )

    def _whole(self) -> TypeLoad:
        enqueued, queued, delayed, leased, finished, dead, _ = self._census.whole
        attempts = self._metrics.attempts
        return TypeLoad(
            "", enqueued, queued, delayed, leased, finished, dead, attempts.all_leases, attempts.all_failed
        )

    def _with_reason(self, load: TypeLoad, now: float) -> TypeLoad:
        read_at, reason = self._reasons.get(load.queue_type, (0.0, None))
        if reason is None or now - read_at >= REASON_S:
            return load
        # A node does not know if the cap of another partition allows a lease: the router asks it.
        ready_for_us = load.ready_for_us if reason is BlockedBy.CAP else None
        return structs.replace(load, blocked_by=reason, ready_for_us=ready_for_us)

    async def _read_reasons(self, names: list[str]) -> None:
        """Read the reasons of the types whose turn is next; a type that was read longest ago comes first."""
        turns = {name: self._turns.get(name, 0.0) for name in names}
        self._turns, remaining, reads = turns, READS_A_REPORT, list[str]()
        self._reasons = {name: entry for name, entry in self._reasons.items() if name in turns}
        places = max(len(self._served()), 1)
        for name in sorted(turns, key=turns.__getitem__):
            cost = 1 if is_gathered(name) else places
            if reads and cost > remaining:
                break
            remaining -= cost
            reads.append(name)
        explained = await asyncio.gather(
            *(self._explanations.explain(name) for name in reads), return_exceptions=True
        )
        now = monotonic()
        for name, answer in zip(reads, explained, strict=True):
            self._turns[name] = now
            if not isinstance(answer, BaseException):
                self._reasons[name] = now, answer.blocked_by
            elif not isinstance(answer, SharqError):
                raise answer


def _may_be_held_back(load: TypeLoad) -> bool:
    """Return True if a type has queued jobs of which perhaps none is ready."""
    return load.queued > 0 and (load.ready_for_us is None or load.ready_for_us > READY_S * 1e6)
