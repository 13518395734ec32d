"""Builds one shard node from its parts, opens its store, and starts and stops it.

shard/call_handlers.py handles the calls; shard/cluster/ownership.py tracks the partitions that the node serves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry

from shard.batching.pipeline import Pipeline
from shard.batching.scheduler_calls import SchedulerCalls
from shard.batching.store_calls import StoreCalls
from shard.calendar.batch_ends import BatchEnds
from shard.calendar.node_calendar import NodeCalendar
from shard.call_handlers import CallHandlers, refuse
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
from sharq_core.errors import ConfigError, SharqError, StoreAway
from sharq_core.link.messages import Call, CheckStore, DescribeStore, OnDue, View
from sharq_core.logs.troubles import Trouble
from sharq_core.partitions import Ring
from sharq_core.process.notices import Notices
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys
from sharq_core.store.failures import detail_of, why_of
from sharq_core.store.store import Store

__all__ = ["NodeSettings", "ShardNode"]

log = logging.getLogger(__name__)

ReplyT = TypeVar("ReplyT")

_RETRY_S = 0.5

_OF_THE_STORE = (CheckStore, DescribeStore)
"""Calls that do not touch the data, so they are answered even if it is lost."""


class ShardNode:
    """A shard node on one store. It is a `ShardPort` for a router in the same process.

    Args:
        store: the store, not open yet (shard/store_factory.py); the node opens and closes it.
        registry: receives the node's metrics.
        ring: the ring until the node follows a view; None if it owns every partition.
        memory: the knowledge of the data set that outlives the process; None for none.

    Attributes:
        notices: the problems of the node itself; its process adds them.
        due_notes: tells other workers of one sharq-server what becomes due here.
        job_ends, watch_job, unwatch_job: the watchers of jobs, and how to become one; see ShardPort.
    """

    def __init__(
        self,
        settings: NodeSettings,
        store: Store,
        registry: CollectorRegistry,
        ring: Ring | None = None,
        memory: NoMemory | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.notices = Notices()
        self._opened = asyncio.Event()
        self._opening = Trouble(log, "store_away", "", ": trying on")
        self._fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._has_opened_store = False
        self._on_away_changed: Callable[[Sequence[int]], None] = lambda _: None
        self._tasks: list[asyncio.Task[None]] = []
        ring = ring or Ring.build(1, frozenset({settings.node_id}), settings.partitions)
        self._ownership = Ownership(settings.node_id, ring, serves_all=settings.serves_all)
        keys = Keys(settings.key_prefix, settings.partitions)
        self._executor = Executor(store, keys)
        self._calls = StoreCalls(keys, settings.retention())
        self._metrics = NodeMetrics(registry)
        self.guard = self._make_guard(keys, memory or NoMemory())
        self._index = ReadyIndex(self._executor.arrival_us)
        self._index.others = self._ownership.others
        self.due_notes = DueNotes(self._index)
        self.job_ends = JobEnds()
        self.watch_job, self.unwatch_job = self.job_ends.watch, self.job_ends.unwatch
        notes = OwnerNotes(self._ownership, self._calls.surveys)
        self._pipeline = Pipeline(self._executor, self._metrics.store_calls, self._index.subscribers, notes)
        self._set_aside = SetAside(self.notices)
        self._census = Census()
        self._clocks = PartitionClocks(
            self._executor, self._calls.functions, self._pipeline.run, store.inspector.clock_steps
        )
        self._batch_ends = BatchEnds(
            self._pipeline,
            self._calls.batches,
            self._clocks,
            settings.partitions,
            settings.finished_retention_us,
            self._metrics.batches,
        )
        self._reaper = self._make_reaper()
        seen = self._index, self._clocks, self._executor, self._ownership
        self._caps = NodeCaps(registry, self._pipeline, self._calls, *seen)
        self._dequeuer = self._make_dequeuer()
        self._surveyor = self._make_surveyor()
        self._explanations = Explanations(
            self._pipeline, self._calls.types, self._ownership.served, settings.partitions
        )
        shown = self._metrics, self._pipeline, self._calls, self._explanations, self._index, self._census
        self._samples = NodeSamples(registry, *shown, self._ownership.served)
        self.contact = Contact(
            self.store, self._executor, self._pipeline, self._ownership, settings.partitions, self._on_away
        )
        self._hints = NodeHints(self._ownership, self._index, self._reaper, self._explanations)
        parts = self._pipeline, self._calls, self._executor, self._ownership, self._clocks, self._surveyor
        self._calendar = NodeCalendar(registry, *parts, self._hints)
        self._handlers = self._make_calls()
        self._refresher = self._make_refresher()
        self._caps.listen(self._surveyor, self._refresher, self._reaper)
        store.on_clock_news = self._on_clock_news
        self._export(registry)

    @property
    def ring(self) -> Ring:
        """The current ring, as this node knows it."""
        return self._ownership.ring

    @property
    def is_ready(self) -> bool:
        """Return True if the store answered its last call and holds the data set of this node."""
        return self._opened.is_set() and self.store.is_usable and self.guard.reason is None

    @property
    def why_not_ready(self) -> str | None:
        """The reason that a load balancer should send nothing here; None while some partition is served."""
        if self.guard.whole_reason is not None:
            return self.guard.whole_reason
        return None if self._opened.is_set() and self.store.is_usable else self.why_no_store

    @property
    def warning(self) -> str | None:
        """The problem of a part of the store; the partitions on it fail, all others are served. None for no problem."""
        return f"a part of the store cannot be used: {self.store.reason}" if self.store.reason else None

    @property
    def why_no_store(self) -> str:
        """The reason that the store cannot be used, without internal details."""
        reason = self.store.reason or self._opening.reason
        return f"the store cannot be used: {why_of(reason)}" if reason else "the store does not answer"

    def follow(self, view: View) -> None:
        """Own the partitions that the ring over the view's members gives this node.

        Newly owned partitions are read before they are reported empty.
        """
        ring = Ring.build(view.version, view.serving(), view.partitions)
        self._pipeline.share_store(is_shared=len(view.serving()) > 1)
        given_up = self._ownership.change(ring)
        self._refresher.give_up(given_up)
        if self._reaper is not None and not self.settings.serves_all:
            for partition in given_up:
                self._reaper.forget(partition)
        self._index.others = self._ownership.others
        self._surveyor.begin_again(self._ownership.unread)
        self._calendar.schedules.follow()
        log.info("ring version=%d partitions=%d", ring.version, len(self._ownership.owned))

    def tell_away(self, on_change: Callable[[Sequence[int]], None]) -> None:
        """Monitor the contact with the store once it is open; call on_change when the partitions away change.

        A node without other nodes does not need this: it could not leave its partitions to any.
        """
        self._on_away_changed = on_change
        self._tasks.append(asyncio.create_task(self._watch_contact()))

    async def start(self) -> None:
        """Open the store, or keep trying in the background while it is away.

        Raises:
            ConfigError: the store was made with another number of partitions, or is unfit.
        """
        if self._reaper is None:
            log.warning("reaper_off: this process does not requeue the jobs of ended leases")
        try:
            await self._open()
        except SharqError as error:
            self._opening.note(error.message, detail=detail_of(error))
            self._tasks.append(asyncio.create_task(self._open_later()))

    async def until_fatal(self) -> None:
        """Wait for an error after which this node can never serve; never returns.

        Raises:
            ConfigError: the store, once reached, turned out to have another number of partitions, or is unfit.
        """
        await asyncio.shield(self._fatal)

    async def until_open(self) -> None:
        """Wait until the store is reached and this node can work on its data."""
        await self._opened.wait()

    async def stop(self) -> None:
        """Finish the calls in flight, and close the store."""
        await self._dequeuer.drained()
        await self._caps.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pipeline.drained()
        await self.store.close()

    def call(self, call: Call[ReplyT]) -> Awaitable[ReplyT]:
        """Answer one call. sharq_core/link/messages.py defines the calls; ShardPort lists the errors."""
        refusal = self.guard.refusal
        if refusal is not None and not isinstance(call, _OF_THE_STORE):
            return refuse(refusal)
        if not self._opened.is_set() and not isinstance(call, DescribeStore):
            return refuse(StoreAway(self.store.unreached()))
        return self._handlers.by_type[type(call)](call)

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        """Call on_due with the current next-due time soon, and again whenever an earlier one becomes known."""
        self._index.subscribe(queue_type, on_due)

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        """Stop calling on_due for the type; an unknown watch is ignored."""
        self._index.unsubscribe(queue_type, on_due)

    def _make_guard(self, keys: Keys, memory: NoMemory) -> DataGuard:
        return DataGuard(
            self.store,
            self._executor,
            keys,
            self.settings.node_id,
            memory,
            goes_on=self.settings.continues_on_data_loss,
            on_lost=self._forget_lost,
            on_misfit=self._end,
            on_remembered=self._mean,
        )

    def _make_dequeuer(self) -> Dequeuer:
        parts = self._pipeline, self._calls.functions, self._index, self._clocks, self._reaper, self._metrics
        return Dequeuer(*parts, self, self._set_aside, self._caps)

    def _make_calls(self) -> CallHandlers:
        return CallHandlers(
            self.store,
            self._calls,
            SchedulerCalls(self._calls.sources, self._clocks.not_after_us, self.settings.partitions),
            self._pipeline,
            self._dequeuer,
            self._index,
            self._hints,
            StandIn(self._ownership, self._surveyor, self.contact),
            self._reaper,
            self._metrics,
            self.guard,
            self._explanations,
            self.job_ends,
            self._caps.leases,
            self.notices,
            {**self._calendar.handlers, **self._samples.handlers},
        )

    def _make_surveyor(self) -> Surveyor:
        return Surveyor(
            self._pipeline,
            self._calls.surveys,
            self._index,
            self._reaper,
            self._ownership,
            self._census,
            self._set_aside,
            self.guard,
            self._clocks,
            self._executor.server_of,
        )

    def _make_reaper(self) -> Reaper | None:
        if not self.settings.reaps:
            return None
        return Reaper(
            self._pipeline,
            self._calls.functions,
            self._ownership,
            self._index,
            self._clocks,
            self._metrics,
            self._set_aside,
            self._batch_ends,
        )

    def _make_refresher(self) -> Refresher:
        return Refresher(
            self._pipeline,
            self._calls.functions,
            self._calls.surveys,
            self._surveyor,
            self._index,
            self._census,
            self._ownership,
            self._clocks,
            min(self.settings.reap_every_s, 1.0),
            self.settings.tombstone_limit,
            self.settings.dead_limit,
        )

    def _export(self, registry: CollectorRegistry) -> None:
        """Export the metrics of the parts, besides those that they count themselves."""
        registry.register(StoreMetrics(self.store))
        registry.register(DataMetrics(self.guard))
        self._metrics.export_store(self.store.inspector.counts)
        self._metrics.export(
            self._refresher,
            self._census,
            self._index,
            self._ownership,
            self._set_aside,
            lambda: self._reaper.lag_s if self._reaper else 0.0,
            self._samples.caps.is_out,
        )

    async def _open(self) -> None:
        if not self._has_opened_store:
            await self.store.open()
            self._has_opened_store = True
        await self.guard.open()
        await self._refresher.read_first()
        self._opened.set()
        if (away_s := self._opening.end()) is not None:
            log.info("store_back away_s=%.1f", away_s)
        parts = self.guard, self._refresher, self._samples, self._batch_ends, self._calendar, self._caps
        self._tasks += [asyncio.create_task(part.run()) for part in parts]
        if self._reaper is not None:
            self._tasks.append(asyncio.create_task(self._reaper.run()))
        log.info("node_ready node=%s partitions=%d", self.settings.node_id, self.settings.partitions)

    async def _open_later(self) -> None:
        while not self._opened.is_set():
            await asyncio.sleep(_RETRY_S)
            try:
                await self._open()
            except SharqError as error:
                self._opening.note(error.message, detail=detail_of(error))
            except ConfigError as error:
                self._end(error)
                return

    def _end(self, error: ConfigError) -> None:
        """Record an error after which this node can never serve."""
        if not self._fatal.done():
            self._fatal.set_exception(error)

    def _mean(self, data_id: str) -> None:
        """Bind calls about jobs to this data set from now on."""
        self._calls.functions.data_id = data_id.encode()

    def _forget_lost(self, partitions: frozenset[int]) -> None:
        """Forget the due times and timers of partitions whose data was lost."""
        for partition in partitions:
            self._surveyor.lose(partition)
            self._calendar.schedules.lose(partition)
            self._caps.lose(partition)
            if self._reaper is not None:
                self._reaper.forget(partition)

    def _on_clock_news(self) -> None:
        self._refresher.look_soon()
        self._calendar.schedules.look_soon()

    def _on_away(self, away: Sequence[int]) -> None:
        self._on_away_changed(away)

    async def _watch_contact(self) -> None:
        await self._opened.wait()
        await self.contact.run()
