"""Samples how much of its limits and quotas each gathered type uses.

A gathered type is in one partition, so one node leases all its jobs and can count the units that its limits count.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from time import monotonic

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shard.batching.pipeline import Pipeline
from shard.index.census import Census
from shard.metrics.unit_counts import UnitCounts
from sharq_core.errors import SharqError
from sharq_core.limits import BlockedBy, Limit, LimitUnit, Quota, TypeStats
from sharq_core.partitions import is_gathered
from sharq_core.rates import write_rate
from sharq_core.scheduler.limit_calls import TypeCalls

log = logging.getLogger(__name__)

EVERY_S = 1.0
"""Seconds between two samples."""

WINDOW_S = 60.0
"""Time over which the use of a rate is taken."""

NAMES_A_SAMPLE = 2000
"""Types whose names one sample looks at, in turn."""

TYPES_A_SAMPLE = 32
"""Most gathered types that one sample reads, which takes the store about half a millisecond."""

MAX_TYPES = 100
"""Most gathered types with settings that are exported: each has up to four limits and three quotas."""


class _Use:
    """The use of one type's limits and quotas.

    Attributes:
        shares: cap → share of it in use.
    """

    def __init__(self) -> None:
        self.shares: dict[str, float] = {}
        self._samples: deque[tuple[float, int, int]] = deque()

    def add(self, stats: TypeStats, jobs: int, cost: int) -> None:
        """Take a sample of the type: its statistics, and the units that it has leased so far."""
        now = monotonic()
        self._samples.append((now, jobs, cost))
        while len(self._samples) > 1 and self._samples[0][0] < now - WINDOW_S:
            self._samples.popleft()
        since, jobs_then, cost_then = self._samples[0]
        rates = {LimitUnit.JOB: jobs - jobs_then, LimitUnit.COST: cost - cost_then}
        self.shares = {}
        if now > since:
            for limit in stats.limits:
                share = rates[limit.unit] * limit.interval_us / ((now - since) * 1e6)
                self.shares[_label(limit)] = share
        if stats.max_leased:
            self.shares["max_leased"] = stats.leased / stats.max_leased
        for use in stats.quotas:
            self.shares[_quota_label(use.quota)] = use.used / use.quota.quota


class TypeCaps(Collector):
    """The use of the limits of this node's gathered types, exported as gauges."""

    def __init__(
        self,
        registry: CollectorRegistry,
        pipeline: Pipeline,
        calls: TypeCalls,
        census: Census,
        units: UnitCounts,
    ) -> None:
        self._units = units
        self._pipeline = pipeline
        self._calls = calls
        self._census = census
        self._uses: dict[str, _Use] = {}
        self._out: set[str] = set()
        self._seen: set[str] = set()
        self._names = self._all_names()
        registry.register(self)

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self._read_some()
            except SharqError as error:
                # The store's absence is logged where it is noticed; a sample less does no harm.
                log.debug("sample_failed error=%r", error.message)

    def collect(self) -> Iterator[Metric]:
        """Yield the shares in use."""
        metric = GaugeMetricFamily(
            "sharq_type_cap_used_ratio",
            "Share of a limit of a gathered type that was in use over the last minute (max_leased: at the moment; "
            "a quota: of its present day or hour)",
            labels=["queue_type", "cap"],
        )
        for queue_type, use in self._uses.items():
            for cap, share in use.shares.items():
                metric.add_metric([queue_type, cap], share)
        yield metric

    def shares(self, queue_type: str) -> Mapping[str, float]:
        """Return the share in use of each limit and quota of a type; empty for a type that is not sampled."""
        use = self._uses.get(queue_type)
        return use.shares if use is not None else {}

    def is_out(self, queue_type: str) -> bool:
        """Return True if a quota held the type back at its latest sample, so that no worker could lease its jobs."""
        return queue_type in self._out

    async def _read_some(self) -> None:
        """Read the next gathered types; at the end of a round, forget those that are not here any more."""
        reads = 0
        for name in islice(self._names, NAMES_A_SAMPLE):
            if name is None:
                self._forget_others()
                return
            partition, queue_type = name
            if not is_gathered(queue_type):
                continue
            await self._read(partition, queue_type)
            reads += 1
            if reads == TYPES_A_SAMPLE:
                return

    async def _read(self, partition: int, queue_type: str) -> None:
        stats = await self._pipeline.value(self._calls.get_type_stats(partition, queue_type))
        self._out.discard(queue_type)
        if stats.blocked_by is BlockedBy.QUOTA:
            self._out.add(queue_type)
        if not stats.limits and stats.max_leased is None and not stats.quotas:
            return
        use = self._uses.get(queue_type)
        if use is None:
            if len(self._uses) >= MAX_TYPES:
                return
            use = self._uses[queue_type] = _Use()
        self._seen.add(queue_type)
        use.add(stats, *self._units.used(queue_type))

    def _forget_others(self) -> None:
        """Forget the types that the round that has just ended did not find with settings."""
        self._uses = {name: use for name, use in self._uses.items() if name in self._seen}
        self._out &= self._seen
        self._units.keep(self._seen)
        self._seen = set()

    def _all_names(self) -> Iterator[tuple[int, str] | None]:
        """Yield every partition and type of this node, round and round; None after each round."""
        while True:
            for partition in self._census.partitions():
                for queue_type in self._census.types_in(partition):
                    yield partition, queue_type
            yield None


def _label(limit: Limit) -> str:
    """Return the name of a limit in the metrics, such as `40/s` or `90000/min cost`."""
    rate = write_rate(limit.interval_us) or ""
    return rate if limit.unit is LimitUnit.JOB else f"{rate} {limit.unit}"


def _quota_label(quota: Quota) -> str:
    """Return the name of a quota in the metrics, such as `2000 per day Asia/Tokyo` or `5 per hour UTC cost`."""
    label = f"{quota.quota} per {quota.period} {quota.tz}"
    return label if quota.unit is LimitUnit.JOB else f"{label} {quota.unit}"
