"""Samples what limits do to the types of this node: why workers wait, and how much of its rate each queue gets.

Both are samples, because an exact count would read every queue. Each costs the store less than a thousandth of its
time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from time import monotonic

from prometheus_client import CollectorRegistry, Counter

from shard.batching.pipeline import Pipeline
from shard.index.census import MAX_NAMED, Census
from shard.index.explanations import Explanations
from shard.index.ready_index import ReadyIndex
from sharq_core.errors import SharqError
from sharq_core.limits import BlockedBy
from sharq_core.process.counters import OTHER_TYPES
from sharq_core.rates import delivered, promised
from sharq_core.scheduler.limit_calls import LimitCalls

log = logging.getLogger(__name__)

EVERY_S = 1.0
"""Seconds between two samples."""

TYPES_A_SAMPLE = 32
"""Most types whose reason one sample reads; with more types that workers wait for, each is read less often."""

QUEUES_A_SAMPLE = 100
"""Queues whose numbers one sample reads, which takes the store about half a millisecond."""


class LimitSamples:
    """The samples of one node, exported as counters."""

    def __init__(
        self,
        registry: CollectorRegistry,
        pipeline: Pipeline,
        calls: LimitCalls,
        explanations: Explanations,
        index: ReadyIndex,
        census: Census,
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._explanations = explanations
        self._index = index
        self._census = census
        self._names: set[str] = set()
        self._to_explain: list[str] = []
        self._round_at = monotonic()
        self._round_s = 0.0
        self._places = self._all_places()
        self._scan = 0
        self._place: tuple[int, str] | None = None
        self._blocked_s = Counter(
            "sharq_blocked_seconds_total",
            "Time for which workers waited for jobs of a type that had some, by the reason why it gave none (sampled)",
            ["queue_type", "blocked_by"],
            registry=registry,
        )
        self._delivered = Counter(
            "sharq_sampled_delivered_jobs_total",
            "Jobs that sampled queues with a rate gave in the last complete minute",
            ["queue_type"],
            registry=registry,
        )
        self._promised = Counter(
            "sharq_sampled_promised_jobs_total",
            "Jobs that sampled queues with a rate should have given in that minute, by their rates and their jobs",
            ["queue_type"],
            registry=registry,
        )

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self._explain_some()
            await self._read_queues()

    async def _explain_some(self) -> None:
        """Add the time since the last round to the reasons of the types that workers wait for in vain."""
        if not self._to_explain:
            now = monotonic()
            self._round_s, self._round_at = now - self._round_at, now
            self._to_explain = list(self._index.subscribers)
        some, self._to_explain = self._to_explain[:TYPES_A_SAMPLE], self._to_explain[TYPES_A_SAMPLE:]
        for queue_type in some:
            due_in_us = self._index.due_in_us(queue_type)
            is_due = due_in_us is not None and due_in_us <= 0
            if is_due or not self._census.has_waiting(queue_type):
                continue
            try:
                reason = (await self._explanations.explain(queue_type)).blocked_by
            except SharqError as error:
                _note_failed(error)
                continue
            if reason is not None and reason is not BlockedBy.EMPTY:
                self._blocked_s.labels(self._name(queue_type), reason).inc(self._round_s)

    async def _read_queues(self) -> None:
        """Add the numbers of the next queues; each type in each partition has its turn."""
        if self._place is None:
            self._place = next(self._places)
        if self._place is None:
            return
        partition, queue_type = self._place
        try:
            page = await self._pipeline.value(
                self._calls.list_queue_stats(partition, queue_type, self._scan, QUEUES_A_SAMPLE)
            )
        except SharqError as error:
            # The next sample goes on with another place: this one may fail for long.
            self._place, self._scan = None, 0
            _note_failed(error)
            return
        self._scan = page.scan
        if not page.scan:
            self._place = None
        rated = [stats for _, stats in page.queues if promised(stats)]
        if rated:
            name = self._name(queue_type)
            self._delivered.labels(name).inc(sum(map(delivered, rated)))
            self._promised.labels(name).inc(sum(promised(stats) or 0 for stats in rated))

    def _all_places(self) -> Iterator[tuple[int, str] | None]:
        """Yield every partition and type of this node, round and round; None once a round."""
        while True:
            for partition in self._census.partitions():
                for queue_type in self._census.types_in(partition):
                    yield partition, queue_type
            yield None

    def _name(self, queue_type: str) -> str:
        """Return the label of a type: its name for the first MAX_NAMED types."""
        if len(self._names) < MAX_NAMED:
            self._names.add(queue_type)
        return queue_type if queue_type in self._names else OTHER_TYPES


def _note_failed(error: SharqError) -> None:
    # The store's absence is logged where it is noticed; a sample less does no harm.
    log.debug("sample_failed error=%r", error.message)
