"""Computes rates from the counters that the shards report: jobs per second, failures per minute, delays.

A shard's own counters begin at zero with its process, so a smaller value than before counts from zero. The counters of
the store do not, but a type's sum jumps while partitions move between shards, so the points before are dropped then.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from time import monotonic

from msgspec import Struct

from sharq_core.errors import SharqError
from sharq_core.link.messages import ShardPort
from sharq_core.link.node_load import NodeLoad, TypeLoad, delay_s

RATE_S = 10.0
"""The time over which rates are taken."""

FAILURES_S = 60.0
"""The time over which failures and delays are taken."""

SLACK_S = 0.5
"""A point may be this much older than requested, because a snapshot may come late."""

EVERYTHING = ""
"""The name of all types together."""


class ShardLoads(Struct, frozen=True):
    """The loads of the shards that answered, and why others did not, in plain text."""

    by_shard: dict[ShardPort, NodeLoad]
    failures: list[str]

    @classmethod
    def of(cls, answers: Mapping[ShardPort, NodeLoad | SharqError]) -> ShardLoads:
        """Sort the answers of shards."""
        loads = {shard: answer for shard, answer in answers.items() if isinstance(answer, NodeLoad)}
        return cls(loads, [answer.message for answer in answers.values() if isinstance(answer, SharqError)])

    def by_type(self) -> dict[str, list[TypeLoad]]:
        """Return type → its parts on the shards."""
        parts: dict[str, list[TypeLoad]] = defaultdict(list)
        for load in self.by_shard.values():
            for part in load.types:
                parts[part.queue_type].append(part)
        return parts


class Rates(Struct, frozen=True):
    """Jobs per second of one type or of all; None for what is not known."""

    enqueued: float | None = None
    finished: float | None = None
    leased: float | None = None


class _Point(Struct, frozen=True):
    """The counters at one time, summed over all shards.

    Attributes:
        at_s: time.monotonic.
        is_whole: every type is in `jobs`.
        jobs: type or EVERYTHING → enqueued, finished and leased jobs; leases are -1 if they are not counted.
        failed: type or EVERYTHING → failed attempts, only of types that had any.
        died: jobs that became dead letters.
        delays: leases by the time from ready to leased.
    """

    at_s: float
    is_whole: bool
    jobs: dict[str, tuple[int, int, int]]
    failed: dict[str, int]
    died: int
    delays: list[int]


class History:
    """The counters of the last minute."""

    def __init__(self) -> None:
        self._points: deque[_Point] = deque()
        self._place: tuple[int, frozenset[ShardPort]] | None = None
        self._latest: Mapping[ShardPort, NodeLoad] = {}
        self._leases: dict[str, int] = defaultdict(int)
        self._failed: dict[str, int] = defaultdict(int)
        self._died = 0
        self._delays: list[int] = []

    def note(self, version: int, loads: ShardLoads) -> None:
        """Add the present counters. Cost: about 2 µs for each type of each shard.

        Args:
            version: of the ring; a change of it drops the earlier points.
        """
        for shard, load in loads.by_shard.items():
            self._grow(load, self._latest.get(shard))
        self._latest = loads.by_shard
        place = version, frozenset(loads.by_shard)
        if place != self._place:
            self._place = place
            self._points.clear()
        self._points.append(self._point(loads))
        while self._points[0].at_s < self._points[-1].at_s - FAILURES_S - SLACK_S:
            self._points.popleft()

    def rates(self, name: str) -> Rates:
        """Return the rates of a type, or of EVERYTHING, over the last RATE_S."""
        past = self._past(RATE_S, name)
        if past is None or name not in self._points[-1].jobs:
            return Rates()
        span_s = self._points[-1].at_s - past.at_s
        now, then = self._points[-1].jobs[name], past.jobs.get(name, (0, 0, 0))
        enqueued, finished, leased = (
            round(max(new - old, 0) / span_s, 2) for new, old in zip(now, then, strict=True)
        )
        return Rates(enqueued, finished, leased if now[2] >= 0 and then[2] >= 0 else None)

    def failed(self, name: str) -> int | None:
        """Return the failed attempts of a type, or of EVERYTHING, in the last minute; None if not known yet."""
        past = self._past(FAILURES_S)
        if past is None:
            return None
        return max(self._points[-1].failed.get(name, 0) - past.failed.get(name, 0), 0)

    def died(self) -> int | None:
        """Return the jobs that became dead letters in the last minute; None if not known yet."""
        past = self._past(FAILURES_S)
        return None if past is None else self._points[-1].died - past.died

    def delay_ms(self, share: float) -> float | None:
        """Return the delay from ready to leased that a share of the last minute's leases did not exceed, in ms.

        None if there was no lease.
        """
        past = self._past(FAILURES_S)
        if past is None or len(past.delays) != len(self._points[-1].delays):
            return None
        delay = delay_s(
            [new - old for new, old in zip(self._points[-1].delays, past.delays, strict=True)], share
        )
        return None if delay is None else round(delay * 1000, 1)

    def _past(self, span_s: float, name: str = EVERYTHING) -> _Point | None:
        """Return the earliest point that covers a type and is at most span_s old; None if only the latest one does."""
        earliest_s = self._points[-1].at_s - span_s - SLACK_S
        for point in self._points:
            if point.at_s >= earliest_s and (point.is_whole or name in point.jobs):
                return point if point is not self._points[-1] else None
        return None

    def _point(self, loads: ShardLoads) -> _Point:
        jobs = {name: self._sums(name, parts) for name, parts in loads.by_type().items()}
        jobs[EVERYTHING] = self._sums(EVERYTHING, [load.whole for load in loads.by_shard.values()])
        failed = {name: count for name, count in self._failed.items() if count}
        is_whole = all(map(_is_whole, loads.by_shard.values()))
        return _Point(monotonic(), is_whole, jobs, failed, self._died, list(self._delays))

    def _sums(self, name: str, parts: Sequence[TypeLoad]) -> tuple[int, int, int]:
        is_counted = all(part.leases >= 0 for part in parts)
        return (
            sum(part.enqueued for part in parts),
            sum(part.finished for part in parts),
            self._leases[name] if is_counted else -1,
        )

    def _grow(self, load: NodeLoad, before: NodeLoad | None) -> None:
        """Add what a shard's own counters have grown by since its last report; its first report is the base."""
        self._delays = self._delays or [0] * len(load.delays)
        if before is None:
            return
        previous = {part.queue_type: part for part in (*before.types, before.whole)}
        for part in (*load.types, load.whole):
            old = previous.get(part.queue_type)
            if old is not None or _is_whole(before):
                self._leases[part.queue_type] += _growth(part.leases, old.leases if old else 0)
                self._failed[part.queue_type] += _growth(part.failed, old.failed if old else 0)
        self._died += _growth(load.died, before.died)
        for at, (count, old_count) in enumerate(zip(load.delays, before.delays, strict=True)):
            self._delays[at] += _growth(count, old_count)


def _is_whole(load: NodeLoad) -> bool:
    """Return True if a report has every type, so that a type that is not in it has no jobs."""
    return len(load.types) >= load.types_total


def _growth(now: int, before: int) -> int:
    """Return by how much a counter grew; a smaller value than before began at zero again."""
    return now - before if now >= before else max(now, 0)
