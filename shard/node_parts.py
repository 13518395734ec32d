"""Builds the parts of one shard node and joins them. shard/node.py opens, runs and stops them.

shard/call_handlers.py handles the calls; shard/cluster/ownership.py tracks the partitions that the node serves.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from shard.batching.pipeline import Pipeline
from shard.batching.scheduler_calls import SchedulerCalls
from shard.batching.store_calls import StoreCalls
from shard.calendar.batch_ends import BatchEnds
from shard.calendar.node_calendar import NodeCalendar
from shard.call_handlers import CallHandlers
from shard.caps.node_caps import NodeCaps
from shard.cluster.contact import Contact
from shard.cluster.ownership import OwnerNotes, Ownership
from shard.cluster.partition_clocks import PartitionClocks
from shard.cluster.stand_in import StandIn
from shard.data_identity.guard import DataGuard
from shard.data_identity.memory import NoMemory
from shard.dequeuer import Dequeuer
from shard.index.census import Census
from shard.index.due_notes import DueNotes
from shard.index.explanations import Explanations
from shard.index.hints import NodeHints
from shard.index.job_ends import JobEnds
from shard.index.ready_index import ReadyIndex
from shard.index.refresher import Refresher
from shard.index.set_aside import SetAside
from shard.index.surveyor import Surveyor
from shard.metrics.node import NodeMetrics
from shard.metrics.samples import NodeSamples
from shard.metrics.store import DataMetrics, StoreMetrics
from shard.node_settings import NodeSettings
from shard.reaper import Reaper
from sharq_core.errors import ConfigError
from sharq_core.link.messages import ShardPort
from sharq_core.partitions import Ring
from sharq_core.process.notices import Notices
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys
from sharq_core.store.store import Store


class NodeParts:
    """The parts of one node.

    Args:
        ring: the ring until the node follows a view; None if it owns every partition.
        memory: the knowledge of the data set that outlives the process; None for none.
        port: the node itself, through which leases whose requests are gone are voided.
        on_misfit: called with the reason if the node can never work on the data of its store.
        on_away: called with the partitions whose server the node does not reach, whenever they change.

    Attributes:
        executor, calls, pipeline: send calls to the store: one at a time, their makers, and many merged.
        clocks: the deadlines of calls; due_notes and job_ends tell others what becomes due and what ends here.
        guard: the data set that the node works on.
        reaper: None if the node runs none.
        handlers: the handler of each type of call.
    """

    def __init__(
        self,
        settings: NodeSettings,
        store: Store,
        registry: CollectorRegistry,
        ring: Ring | None,
        memory: NoMemory | None,
        port: ShardPort,
        on_misfit: Callable[[ConfigError], None],
        on_away: Callable[[Sequence[int]], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self.notices = Notices()
        self.ownership = self._make_ownership(ring)
        keys = Keys(settings.key_prefix, settings.partitions)
        self.executor = Executor(store, keys)
        self.calls = StoreCalls(keys, settings.retention())
        self.metrics = NodeMetrics(registry)
        self.guard = self._make_guard(keys, memory or NoMemory(), on_misfit)
        self.index = ReadyIndex(self.executor.arrival_us)
        self.index.others = self.ownership.others
        self.due_notes = DueNotes(self.index)
        self.job_ends = JobEnds()
        self.pipeline = self._make_pipeline()
        self.set_aside = SetAside(self.notices)
        self.census = Census()
        self.clocks = self._make_clocks()
        self.batch_ends = self._make_batch_ends()
        self.reaper = self._make_reaper()
        self.caps = self._make_caps(registry)
        self.dequeuer = self._make_dequeuer(port)
        self.surveyor = self._make_surveyor()
        self.explanations = self._make_explanations()
        self.samples = self._make_samples(registry)
        self.contact = self._make_contact(on_away)
        self._hints = NodeHints(self.ownership, self.index, self.reaper, self.explanations)
        self.calendar = self._make_calendar(registry)
        self.handlers = self._make_handlers()
        self.refresher = self._make_refresher()
        self.caps.listen(self.surveyor, self.refresher, self.reaper)
        store.on_clock_news = self._on_clock_news
        self._export(registry)

    def services(self) -> list[Coroutine[Any, Any, None]]:
        """Return the work in the background of all parts, which begins once the store is open and never ends."""
        parts = self.guard, self.refresher, self.samples, self.batch_ends, self.calendar, self.caps
        services = [part.run() for part in parts]
        return services if self.reaper is None else [*services, self.reaper.run()]

    def follow(self, ring: Ring) -> None:
        """Own the partitions that a ring gives this node; newly owned ones are read before they are reported empty."""
        given_up = self.ownership.change(ring)
        self.refresher.give_up(given_up)
        if self.reaper is not None and not self._settings.serves_all:
            for partition in given_up:
                self.reaper.forget(partition)
        self.index.others = self.ownership.others
        self.surveyor.begin_again(self.ownership.unread)
        self.calendar.schedules.follow()

    def _make_guard(
        self, keys: Keys, memory: NoMemory, on_misfit: Callable[[ConfigError], None]
    ) -> DataGuard:
        return DataGuard(
            self._store,
            self.executor,
            keys,
            self._settings.node_id,
            memory,
            goes_on=self._settings.continues_on_data_loss,
            on_lost=self._forget_lost,
            on_misfit=on_misfit,
            on_remembered=self._mean,
        )

    def _make_ownership(self, ring: Ring | None) -> Ownership:
        settings = self._settings
        ring = ring or Ring.build(1, frozenset({settings.node_id}), settings.partitions)
        return Ownership(settings.node_id, ring, serves_all=settings.serves_all)

    def _make_caps(self, registry: CollectorRegistry) -> NodeCaps:
        parts = self.pipeline, self.calls, self.index, self.clocks, self.executor, self.ownership
        return NodeCaps(registry, *parts)

    def _make_samples(self, registry: CollectorRegistry) -> NodeSamples:
        parts = self.metrics, self.pipeline, self.calls, self.explanations, self.index, self.census
        return NodeSamples(registry, *parts, self.ownership.served)

    def _make_calendar(self, registry: CollectorRegistry) -> NodeCalendar:
        parts = self.pipeline, self.calls, self.executor, self.ownership, self.clocks, self.surveyor
        return NodeCalendar(registry, *parts, self._hints)

    def _make_pipeline(self) -> Pipeline:
        notes = OwnerNotes(self.ownership, self.calls.surveys)
        return Pipeline(self.executor, self.metrics.store_calls, self.index.subscribers, notes)

    def _make_clocks(self) -> PartitionClocks:
        clock_steps = self._store.inspector.clock_steps
        return PartitionClocks(self.executor, self.calls.functions, self.pipeline.run, clock_steps)

    def _make_batch_ends(self) -> BatchEnds:
        return BatchEnds(
            self.pipeline,
            self.calls.batches,
            self.clocks,
            self._settings.partitions,
            self._settings.finished_retention_us,
            self.metrics.batches,
        )

    def _make_explanations(self) -> Explanations:
        served, partitions = self.ownership.served, self._settings.partitions
        return Explanations(self.pipeline, self.calls.types, served, partitions)

    def _make_contact(self, on_away: Callable[[Sequence[int]], None]) -> Contact:
        parts = self._store, self.executor, self.pipeline, self.ownership
        return Contact(*parts, self._settings.partitions, on_away)

    def _make_reaper(self) -> Reaper | None:
        if not self._settings.reaps:
            return None
        return Reaper(
            self.pipeline,
            self.calls.functions,
            self.ownership,
            self.index,
            self.clocks,
            self.metrics,
            self.set_aside,
            self.batch_ends,
        )

    def _make_dequeuer(self, port: ShardPort) -> Dequeuer:
        parts = self.pipeline, self.calls.functions, self.index, self.clocks, self.reaper, self.metrics
        return Dequeuer(*parts, port, self.set_aside, self.caps)

    def _make_surveyor(self) -> Surveyor:
        return Surveyor(
            self.pipeline,
            self.calls.surveys,
            self.index,
            self.reaper,
            self.ownership,
            self.census,
            self.set_aside,
            self.guard,
            self.clocks,
            self.executor.server_of,
        )

    def _make_handlers(self) -> CallHandlers:
        return CallHandlers(
            self._store,
            self.calls,
            SchedulerCalls(self.calls.sources, self.clocks.not_after_us, self._settings.partitions),
            self.pipeline,
            self.dequeuer,
            self.index,
            self._hints,
            StandIn(self.ownership, self.surveyor, self.contact),
            self.reaper,
            self.metrics,
            self.guard,
            self.explanations,
            self.job_ends,
            self.caps.leases,
            self.notices,
            {**self.calendar.handlers, **self.samples.handlers},
        )

    def _make_refresher(self) -> Refresher:
        return Refresher(
            self.pipeline,
            self.calls.functions,
            self.calls.surveys,
            self.surveyor,
            self.index,
            self.census,
            self.ownership,
            self.clocks,
            self.set_aside,
            min(self._settings.reap_every_s, 1.0),
            self._settings.tombstone_limit,
            self._settings.dead_limit,
        )

    def _export(self, registry: CollectorRegistry) -> None:
        """Export the metrics of the parts, besides those that they count themselves."""
        registry.register(StoreMetrics(self._store))
        registry.register(DataMetrics(self.guard))
        self.metrics.export_store(self._store.inspector.counts)
        self.metrics.export(
            self.refresher,
            self.census,
            self.index,
            self.ownership,
            self.set_aside,
            lambda: self.reaper.lag_s if self.reaper else 0.0,
            self.samples.caps.is_out,
        )

    def _mean(self, data_id: str) -> None:
        """Bind calls about jobs to this data set from now on."""
        self.calls.functions.data_id = data_id.encode()

    def _forget_lost(self, partitions: frozenset[int]) -> None:
        """Forget the due times and timers of partitions whose data was lost."""
        for partition in partitions:
            self.surveyor.lose(partition)
            self.calendar.schedules.lose(partition)
            self.caps.lose(partition)
            if self.reaper is not None:
                self.reaper.forget(partition)

    def _on_clock_news(self) -> None:
        self.refresher.look_soon()
        self.calendar.schedules.look_soon()
