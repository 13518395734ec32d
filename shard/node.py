"""Opens the store of one shard node, runs the node's parts, takes its calls, and stops it.

shard/node_parts.py builds the parts; shard/call_handlers.py handles the calls.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry

from shard.call_handlers import refuse
from shard.data_identity.memory import NoMemory
from shard.node_parts import NodeParts
from shard.node_settings import NodeSettings
from sharq_core.errors import ConfigError, SharqError, StoreAway
from sharq_core.link.messages import Call, CheckStore, DescribeStore, OnDue, View
from sharq_core.logs.troubles import Trouble
from sharq_core.partitions import Ring
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
        parts: the parts that work on the store.
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
        self._opened = asyncio.Event()
        self._opening = Trouble(log, "store_away", "", ": trying on")
        self._fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._has_opened_store = False
        self._on_away_changed: Callable[[Sequence[int]], None] = lambda _: None
        self._tasks: list[asyncio.Task[None]] = []
        mine = settings, store, registry, ring, memory
        self.parts = parts = NodeParts(*mine, self, self._end, self._on_away)
        self.notices = parts.notices
        self.guard = parts.guard
        self.due_notes = parts.due_notes
        self.job_ends = parts.job_ends
        self.watch_job, self.unwatch_job = parts.job_ends.watch, parts.job_ends.unwatch
        self.contact = parts.contact
        self._handlers = parts.handlers.by_type

    @property
    def ring(self) -> Ring:
        """The current ring, as this node knows it."""
        return self.parts.ownership.ring

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
        self.parts.pipeline.share_store(is_shared=len(view.serving()) > 1)
        self.parts.follow(ring)
        log.info("ring version=%d partitions=%d", ring.version, len(self.parts.ownership.owned))

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
        if self.parts.reaper is None:
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
        await self.parts.dequeuer.drained()
        await self.parts.caps.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.parts.pipeline.drained()
        await self.store.close()

    def call(self, call: Call[ReplyT]) -> Awaitable[ReplyT]:
        """Answer one call. sharq_core/link/messages.py defines the calls; ShardPort lists the errors."""
        refusal = self.guard.refusal
        if refusal is not None and not isinstance(call, _OF_THE_STORE):
            return refuse(refusal)
        if not self._opened.is_set() and not isinstance(call, DescribeStore):
            return refuse(StoreAway(self.store.unreached()))
        return self._handlers[type(call)](call)

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        """Call on_due with the current next-due time soon, and again whenever an earlier one becomes known."""
        self.parts.index.subscribe(queue_type, on_due)

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        """Stop calling on_due for the type; an unknown watch is ignored."""
        self.parts.index.unsubscribe(queue_type, on_due)

    async def _open(self) -> None:
        if not self._has_opened_store:
            await self.store.open()
            self._has_opened_store = True
        await self.guard.open()
        await self.parts.refresher.read_first()
        self._opened.set()
        if (away_s := self._opening.end()) is not None:
            log.info("store_back away_s=%.1f", away_s)
        self._tasks += [asyncio.create_task(service) for service in self.parts.services()]
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

    def _on_away(self, away: Sequence[int]) -> None:
        self._on_away_changed(away)

    async def _watch_contact(self) -> None:
        await self._opened.wait()
        await self.contact.run()
