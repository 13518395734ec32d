"""Sums what the shards report into one snapshot of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from heapq import nlargest

import msgspec
from msgspec import UNSET

from router.api.cluster_shapes import ClusterInfo, MemberInfo
from router.api.console_shapes import Snapshot, WatchedMinute, WatchedNotice, WatchedTotals, WatchedType
from router.console.history import EVERYTHING, History, ShardLoads
from sharq_core.limits import BlockedBy
from sharq_core.type_parts import merge_reasons

MAX_SHOWN = 200
"""Most types of one snapshot."""

_encode = msgspec.json.Encoder().encode


class Summary:
    """One snapshot of the cluster, from which the snapshot of each token is made.

    Args:
        at: the time, in ms since the epoch.
        every_ms: the time between two snapshots.
        loads: the loads of the shards that have reported, which the history has noted.
        minutes: the counts by minute; None if they are not known.
        open_types: those of `idle_at_caps` whose caps allow a lease.
    """

    def __init__(
        self,
        at: int,
        every_ms: int,
        cluster: ClusterInfo,
        loads: ShardLoads,
        minutes: list[WatchedMinute] | None,
        history: History,
        open_types: Collection[str] = (),
    ) -> None:
        self._at = at
        self._every_ms = every_ms
        self._cluster = cluster
        self._loads = loads
        self._minutes = minutes
        self._history = history
        self._open_types = open_types
        self._parts = loads.by_type()
        self._made: dict[object, bytes] = {}

    def whole(self) -> bytes:
        """Return the snapshot, as JSON, for a caller that may see everything."""
        made = self._made.get(None)
        if made is None:
            made = self._made[None] = _encode(self._snapshot(self._parts, self._totals(), is_whole=True))
        return made

    def part(self, rights: object, sees: Callable[[str], bool]) -> bytes:
        """Return the snapshot, as JSON, for a caller that may see some types.

        Args:
            rights: a value that is equal for callers who see the same types.
            sees: tells whether the caller may see a type.
        """
        made = self._made.get(rights)
        if made is None:
            seen = [name for name in self._parts if sees(name)]
            made = self._made[rights] = _encode(self._snapshot(seen, self._totals_of(seen), is_whole=False))
        return made

    def type_numbers(self, queue_type: str) -> WatchedType | None:
        """Return the numbers of a type; None if no shard reports it: it has no jobs, or there are too many types."""
        return self._type(queue_type) if queue_type in self._parts else None

    def _snapshot(self, names: Collection[str], totals: WatchedTotals, *, is_whole: bool) -> Snapshot:
        members = self._cluster.members
        most_types = max((load.types_total for load in self._loads.by_shard.values()), default=0)
        return Snapshot(
            at=self._at,
            every_ms=self._every_ms,
            totals=totals,
            minutes=self._minutes if is_whole else None,
            types=[self._type(name) for name in nlargest(MAX_SHOWN, names, key=self._weight)],
            types_total=max(most_types, len(names)) if is_whole else len(names),
            version=self._cluster.version,
            partitions=self._cluster.partitions,
            shards=members if is_whole else [_without_notices(member) for member in members],
            notices=[*_notices(self._cluster), *_missing(self._loads)] if is_whole else [],
        )

    def _weight(self, name: str) -> tuple[int, int]:
        """Return the rank of a type: its live jobs, then all the jobs that it ever had."""
        live = ever = 0
        for part in self._parts[name]:
            live += part.queued + part.delayed + part.leased
            ever += part.enqueued
        return live, ever

    def _type(self, name: str) -> WatchedType:
        parts, rates = self._parts[name], self._history.rates(name)
        is_open = name in self._open_types
        ready_us = [
            part.ready_for_us
            for part in parts
            if part.ready_for_us is not None and (is_open or part.blocked_by is None)
        ]
        is_counted = all(part.failed >= 0 for part in parts)
        return WatchedType(
            queue_type=name,
            queued=sum(part.queued for part in parts),
            delayed=sum(part.delayed for part in parts),
            leased=sum(part.leased for part in parts),
            dead=sum(part.dead for part in parts),
            enqueued_per_s=rates.enqueued,
            delivered_per_s=rates.leased,
            failed_per_min=self._history.failed(name) if is_counted else None,
            ready_for_ms=max(ready_us) // 1000 if ready_us else None,
            blocked_by=None if ready_us else merge_reasons(part.blocked_by for part in parts),
            caps={cap: share for part in parts for cap, share in part.caps.items()},
        )

    def _totals(self) -> WatchedTotals:
        wholes = [load.whole for load in self._loads.by_shard.values()]
        history, rates = self._history, self._history.rates(EVERYTHING)
        return WatchedTotals(
            queued=sum(whole.queued for whole in wholes) if wholes else None,
            delayed=sum(whole.delayed for whole in wholes) if wholes else None,
            leased=sum(whole.leased for whole in wholes) if wholes else None,
            dead=sum(whole.dead for whole in wholes) if wholes else None,
            enqueued_per_s=rates.enqueued,
            delivered_per_s=rates.leased,
            finished_per_s=rates.finished,
            failed_per_min=history.failed(EVERYTHING),
            died_per_min=history.died(),
            ready_delay_p50_ms=history.delay_ms(0.5),
            ready_delay_p99_ms=history.delay_ms(0.99),
        )

    def _totals_of(self, names: Sequence[str]) -> WatchedTotals:
        """Return the totals of some types; delays and deaths are known for all types together only."""
        parts = [part for name in names for part in self._parts[name]]
        rates = [self._history.rates(name) for name in names]
        return WatchedTotals(
            queued=sum(part.queued for part in parts),
            delayed=sum(part.delayed for part in parts),
            leased=sum(part.leased for part in parts),
            dead=sum(part.dead for part in parts),
            enqueued_per_s=_sum([rate.enqueued for rate in rates]),
            delivered_per_s=_sum([rate.leased for rate in rates]),
            finished_per_s=_sum([rate.finished for rate in rates]),
            failed_per_min=_sum([self._history.failed(name) for name in names]),
            died_per_min=None,
            ready_delay_p50_ms=None,
            ready_delay_p99_ms=None,
        )


def _sum(numbers: Sequence[float | None]) -> float | None:
    """Return the sum of the known numbers; None if none is known."""
    values = [number for number in numbers if number is not None]
    return round(sum(values), 2) if values else None


def idle_at_caps(loads: ShardLoads, history: History) -> list[str]:
    """Return the types that have jobs behind caps and no deliveries, so that perhaps their workers are missing."""
    return [
        name
        for name, parts in loads.by_type().items()
        if history.rates(name).leased == 0
        and any(part.blocked_by is BlockedBy.CAP and part.ready_for_us is not None for part in parts)
    ]


def _missing(loads: ShardLoads) -> list[WatchedNotice]:
    """Return the reasons why the numbers of shards are missing; several shards may have the same one."""
    return [
        WatchedNotice(node="", code="load", text=f"the numbers of a shard are missing: {reason}")
        for reason in dict.fromkeys(loads.failures)
    ]


def _notices(cluster: ClusterInfo) -> list[WatchedNotice]:
    """Return the problems of this router and of the members, each once, and those of members that cannot be reached."""
    nodes: dict[tuple[str, str], list[str]] = {}
    for member in cluster.members:
        if member.reason is not UNSET:
            nodes.setdefault(("shard", member.reason), []).append(member.node)
        if member.store is not None:
            texts = list(member.store.notices)
            if member.store.reason is not UNSET:
                texts.insert(0, member.store.reason)
            for text in texts:
                nodes.setdefault(("store", text), []).append(member.node)
        for text in member.notices:
            nodes.setdefault(("node", text), []).append(member.node)
    return [WatchedNotice(node="", code="router", text=text) for text in cluster.notices] + [
        WatchedNotice(node=", ".join(named), code=code, text=text) for (code, text), named in nodes.items()
    ]


def _without_notices(member: MemberInfo) -> MemberInfo:
    """Return a member without the texts about its store, which may name other types, and about itself."""
    store = member.store
    if store is not None:
        store = msgspec.structs.replace(store, notices=[], reason=UNSET)
    return msgspec.structs.replace(member, store=store, notices=[])
