"""One shard node: what it is made of, how it opens its store, starts and stops.

Not here: HTTP (router/), what it does for a call (shard/calls.py), which partitions it owns (shard/ownership.py), and
who else there is (shard/membership.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from functools import partial
from typing import Never, TypeVar

import msgspec
from prometheus_client import CollectorRegistry

from shard.calls import Calls
from shard.dequeuer import Dequeuer
from shard.metrics import NodeMetrics
from shard.ownership import Ownership
from shard.partition_clocks import PartitionClocks
from shard.pipeline import Pipeline
from shard.ready_index import ReadyIndex
from shard.reaper import Reaper
from shard.store_metrics import StoreMetrics
from shard.watch import Watch
from shard.watchers import Watchers
from sharq_core.errors import ConfigError, SharqError, Unavailable
from sharq_core.messages import Call, OnDue, View
from sharq_core.partitions import DEFAULT_PARTITIONS, Ring
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import ClockShift, Hint
from sharq_core.store.store import Store
from sharq_core.voiding import give_back

log = logging.getLogger(__name__)

ReplyT = TypeVar("ReplyT")

_RETRY_S = 0.5


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is told.

    Attributes:
        key_prefix: in front of every key, without braces.
        partitions: P; the store remembers the first one it was given.
        reaps: False for a node that runs no reaper.
        reap_every_s: longest time between two looks at a partition's timers.
        finished_retention_us, dead_retention_us: how long finished jobs and dead letters are kept.
        tombstone_limit: most finished jobs remembered, of all types.
        dead_limit: most dead letters kept, of each type.
    """

    node_id: str = "local"
    key_prefix: str = "sharq_server"
    partitions: int = DEFAULT_PARTITIONS
    reaps: bool = True
    reap_every_s: float = 1.0
    finished_retention_us: int = 300_000_000
    dead_retention_us: int = 604_800_000_000
    tombstone_limit: int = 1_000_000
    dead_limit: int = 100_000

    def retention(self) -> Retention:
        """What the functions are told; one partition may hold all, and two generations of tombstones together do."""
        return Retention(
            self.finished_retention_us, self.dead_retention_us, self.tombstone_limit // 2, self.dead_limit
        )


class ShardNode:
    """A shard node on one store. It is a `ShardPort` for a router in the same process.

    Args:
        store: not open yet (shard/stores.py); the node opens and closes it.
        registry: gets the node's metrics.
        ring: what it owns until it follows a view; None for everything.
    """

    def __init__(
        self,
        settings: NodeSettings,
        store: Store,
        registry: CollectorRegistry,
        ring: Ring | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self._ownership = Ownership(
            settings.node_id, ring or Ring.build(1, frozenset({settings.node_id}), settings.partitions)
        )
        self._opened = asyncio.Event()
        self._fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keys = Keys(settings.key_prefix, settings.partitions)
        self._executor = Executor(store, keys)
        self._functions = Functions(keys, settings.retention())
        self._metrics = NodeMetrics(registry)
        self._watchers = Watchers()
        self._pipeline = Pipeline(self._executor, self._metrics.store_calls.observe, self._watchers.__bool__)
        registry.register(StoreMetrics(store))
        self._metrics.watch_store(store.inspector.counts)
        self._index = ReadyIndex(self._watchers.on_earlier, self._executor.now_us)
        self._watchers.next_due = self._index.next_due
        self._clocks = PartitionClocks(self._executor, self._set_clock, store.inspector.clock_steps)
        self._reaper = self._make_reaper()
        self._dequeuer = Dequeuer(
            self._pipeline,
            self._functions,
            self._index,
            self._clocks.not_after_us,
            self._note_timer,
            self._metrics.leased,
            self._metrics.reaped,
            partial(give_back, self),
        )
        self._calls = Calls(
            store,
            self._clocks.not_after_us,
            self._functions,
            self._pipeline,
            self._dequeuer,
            self._watchers,
            settings.partitions,
            self._note,
            self._make_sure,
            self._cover,
            self._metrics,
        )
        self._watch = self._make_watch()
        store.on_clock_news = self._watch.look_soon
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ring(self) -> Ring:
        """Who owns what, as this node knows it."""
        return self._ownership.ring

    @property
    def is_ready(self) -> bool:
        """The store holds what this node can work with, and answered when it was last asked."""
        return self._opened.is_set() and self.store.is_reachable

    def follow(self, view: View) -> None:
        """Own from now on what the ring over the view's members gives this node.

        What it takes over is read at once, and before it says that nothing is ready there.
        """
        ring = Ring.build(view.version, view.serving(), view.partitions)
        for partition in self._ownership.change(ring):
            self._watch.forget(partition)
            if self._reaper is not None:
                self._reaper.forget(partition)
        log.info("ring version=%d partitions=%d", ring.version, len(self._ownership.owned))

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
            log.warning("store_away error=%r: trying on", error.message)
            self._tasks.append(asyncio.create_task(self._open_later()))

    async def until_fatal(self) -> None:
        """Wait until this node can never serve; returns never.

        Raises:
            ConfigError: the store, once it was reached, was made with another number of partitions.
        """
        await asyncio.shield(self._fatal)

    async def until_open(self) -> None:
        """Wait until the store was reached and holds what this node can work with."""
        await self._opened.wait()

    async def stop(self) -> None:
        """Finish what is in flight, and close."""
        await self._dequeuer.drained()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pipeline.drained()
        await self.store.close()

    def call(self, call: Call[ReplyT]) -> Awaitable[ReplyT]:
        """Answer one call; see sharq_core/messages.py for what each does and ShardPort for what it raises."""
        return self._calls.answer(call) if self._opened.is_set() else _refuse_unopened()

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        """Call on_due with the current next-due time soon, and again whenever an earlier one becomes known."""
        self._watchers.add(queue_type, on_due)

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        """Stop; unknown watches are ignored."""
        self._watchers.remove(queue_type, on_due)

    def _make_reaper(self) -> Reaper | None:
        if not self.settings.reaps:
            return None
        owns = self._ownership.owns
        return Reaper(
            self._pipeline,
            self._functions,
            owns,
            self._clocks.not_after_us,
            self._note,
            self._metrics.reaped,
        )

    def _make_watch(self) -> Watch:
        watch = Watch(
            self._pipeline,
            self._functions,
            self._index,
            self._reaper,
            self._ownership,
            self._clocks,
            min(self.settings.reap_every_s, 1.0),
            self.settings.tombstone_limit,
            self.settings.dead_limit,
        )
        self._metrics.watch(
            watch,
            self._index,
            self._ownership,
            self._watchers,
            lambda: self._reaper.lag_s if self._reaper else 0.0,
        )
        return watch

    async def _set_clock(self, partition: int, number: int, seen_us: int, shift_us: int) -> ClockShift:
        return await self._pipeline.value(self._functions.set_clock(partition, number, seen_us, shift_us))

    async def _open(self) -> None:
        await self.store.open()
        partitions = await self._executor.one(self._functions.claim_partitions())
        if partitions != self.settings.partitions:
            raise ConfigError(
                f"[cluster] partitions: {self.settings.partitions} is configured, but the store's data was made with "
                f"{partitions}; the number is fixed for the life of the data"
            )
        await self._watch.read_all()
        self._opened.set()
        self._tasks.append(asyncio.create_task(self._watch.run()))
        if self._reaper is not None:
            self._tasks.append(asyncio.create_task(self._reaper.run()))
        log.info("node_ready node=%s partitions=%d", self.settings.node_id, partitions)

    async def _open_later(self) -> None:
        while not self._opened.is_set():
            await asyncio.sleep(_RETRY_S)
            try:
                await self._open()
            except SharqError as error:
                log.debug("store_away error=%r", error.message)
            except ConfigError as error:
                self._fatal.set_exception(error)
                return

    def _note(self, partition: int, queue_type: str, hint: Hint) -> None:
        """A reply's news: a queue became due earlier, or a timer was set."""
        self._ownership.host(partition)
        self._index.note(partition, queue_type, hint)
        self._note_timer(partition, queue_type, hint)

    async def _make_sure(self) -> bool:
        """Read what this node must not call empty unread; False when it is sure of everything.

        Raises:
            SharqError: a partition could not be read.
        """
        if self._ownership.is_sure:
            return False
        await self._ownership.look(self._watch.read)
        return True

    async def _cover(self, partitions: list[int]) -> None:
        """Answer for partitions whose owner a router cannot reach, from now on for a while.

        Raises:
            SharqError: one could not be read.
        """
        for partition in partitions:
            self._ownership.host(partition)
        await asyncio.gather(*map(self._watch.read, partitions))

    def _note_timer(self, partition: int, queue_type: str, hint: Hint) -> None:
        if self._reaper is not None:
            self._reaper.note(partition, queue_type, hint)


async def _refuse_unopened() -> Never:
    raise Unavailable("the store has not been reached yet")
