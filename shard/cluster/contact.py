"""Detects within half a second that this node does not reach a server of its store, and tells the routers.

The node then leaves the server's partitions to other nodes. It takes them back only after stable contact for a while,
which is longer after each relapse: an unstable connection must not fail a call each time. In a Redis Cluster each
server is judged on its own. A server whose writes no replica acknowledges, or that has become a replica, counts as
silent while the primary is unknown to this node, because other nodes may know it. router/shards/owners.py chooses the
node that is asked instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from shard.batching.pipeline import Pipeline
from shard.cluster.ownership import Ownership
from sharq_core.errors import StoreAway
from sharq_core.scheduler.executor import Executor
from sharq_core.store.node import StoreNode
from sharq_core.store.store import Store

log = logging.getLogger(__name__)

AWAY_AFTER_S = 0.4
"""A server that leaves a call unanswered for this long is away; with PROBE_EVERY_S that makes half a second."""

TROUBLE_S = 0.15
"""A server out of reach for this long is in trouble; the second time within FLAPPING_S it is away at once."""

FLAPPING_S = 10.0

CALM_S = 2.0
MOST_CALM_S = 30.0
"""Time of stable contact before a server is back; it doubles for each relapse within RELAPSE_S, up to MOST_CALM_S."""

RELAPSE_S = 60.0

PROBE_EVERY_S = 0.1
"""A server that has been silent for this long is probed."""

PROBE_AGAIN_S = 0.25
MAX_PROBES = 8
PROBE_S = 2.0
"""A silent server is probed again every PROBE_AGAIN_S, by at most MAX_PROBES probes at once. Each probe uses another
connection, since the open ones may be dead, and waits at most PROBE_S, whatever the store's timeout is.
"""

TICK_S = 0.05
STALL_S = 0.2
"""A check that is late by more than this does not count: this process stood still, and replies may be unread."""

ASIDE_S = 1.0
"""Time for which a router's message holds that others serve a partition; it is repeated four times a second."""


class Server:
    """The contact with one server of the store; times are the loop's, in seconds."""

    def __init__(self, node: StoreNode, now: float) -> None:
        self.node = node
        self.slots = asyncio.Semaphore(MAX_PROBES)
        self.probes: set[asyncio.Task[None]] = set()
        self.is_away = False
        self.calm_s = CALM_S
        self._asked_at: float | None = None
        self._probed_at = now
        self._superseded_since: float | None = None
        self._well_since = now
        self._back_at: float | None = None
        self._trouble_at: float | None = None
        self._is_troubled = False

    def wants_probe(self, now: float) -> bool:
        """Return True if the server was silent for a while; the caller then sends a probe, whose time starts now."""
        if self._asked_at is not None and self.node.heard_at >= self._asked_at:
            self._asked_at = None
        pause_s = PROBE_EVERY_S if self._asked_at is None else PROBE_AGAIN_S
        if now - max(self.node.heard_at, self._probed_at) < pause_s or len(self.probes) >= MAX_PROBES:
            return False
        self._probed_at = now
        if self._asked_at is None:
            self._asked_at = now
        return True

    def excuse(self, stood_still_s: float) -> None:
        """Subtract a time for which this process stood still from the server's silence."""
        if self._asked_at is not None:
            self._asked_at += stood_still_s

    def note_layout(self, unknown_since: float | None) -> None:
        """Record since when the primary is unknown (the loop's time, seconds); None if it is known."""
        keeping = self.node.keeping
        is_breaking = keeping is not None and keeping.refusal is not None
        is_known = unknown_since is None or not (is_breaking or self.node.misplaced_at > unknown_since)
        self._superseded_since = None if is_known else unknown_since

    def silence_s(self, now: float) -> float:
        """Return the seconds for which the server has not answered, was unreachable, or may have been superseded."""
        if not self.node.is_reachable:
            return now - self.node.heard_at
        if self._superseded_since is not None:
            return now - self._superseded_since
        asked_at = self._asked_at
        return 0.0 if asked_at is None or self.node.heard_at >= asked_at else now - asked_at

    def is_silent(self, now: float) -> bool:
        """Return True if the server is away and still out of contact, not only waiting to count as stable."""
        return self.is_away and (self.silence_s(now) >= TROUBLE_S or not self.node.is_reachable)

    def judge(self, now: float) -> bool:
        """Judge the contact; return True if the server has just become away or come back."""
        silence_s = self.silence_s(now)
        is_troubled = silence_s >= AWAY_AFTER_S or (not self.node.is_reachable and silence_s >= TROUBLE_S)
        is_flapping = False
        # Trouble that comes back within a short time is not awaited in full: the contact is unstable.
        if is_troubled and not self._is_troubled:
            is_flapping = self._trouble_at is not None and now - self._trouble_at < FLAPPING_S
            self._trouble_at = now
        self._is_troubled = is_troubled
        if is_troubled:
            self._well_since = now
        if not self.is_away and (silence_s >= AWAY_AFTER_S or is_flapping):
            self._leave(now)
            return True
        if self.is_away and now - self._well_since >= self.calm_s:
            self.is_away = False
            self._back_at = now
            log.info("store_contact_back server=%s well_s=%.3g", self.node.name, self.calm_s)
            return True
        return False

    def _leave(self, now: float) -> None:
        is_relapse = self._back_at is not None and now - self._back_at < RELAPSE_S
        self.calm_s = min(2 * self.calm_s, MOST_CALM_S) if is_relapse else CALM_S
        self.is_away = True
        log.warning(
            "store_contact_lost server=%s silent_s=%.2f: its partitions are left to other nodes until contact was "
            "stable for %.3g s",
            self.node.name,
            self.silence_s(now),
            self.calm_s,
        )


class Contact:
    """The contact of this node with all servers of its store.

    Args:
        on_change: called with the partitions that are away, ascending, whenever they change.

    Attributes:
        away: the partitions whose server is away, among all partitions.
        losses: the number of times contact with a server was lost.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        pipeline: Pipeline,
        ownership: Ownership,
        partitions: int,
        on_change: Callable[[Sequence[int]], None],
    ) -> None:
        self.away: tuple[int, ...] = ()
        self.losses = 0
        self._store = store
        self._executor = executor
        self._pipeline = pipeline
        self._ownership = ownership
        self._partitions = partitions
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._servers: dict[StoreNode, Server] = {}
        self._given_up: set[StoreNode] = set()

    @property
    def owned_away(self) -> int:
        """The number of this node's partitions that are away."""
        return sum(map(self._ownership.owns, self.away))

    async def run(self) -> None:
        """Monitor the servers until cancelled."""
        looked_at = self._loop.time()
        try:
            while True:
                await asyncio.sleep(TICK_S)
                now = self._loop.time()
                stood_still_s = now - looked_at - TICK_S
                looked_at = now
                try:
                    self._look(now, stood_still_s if stood_still_s > STALL_S else 0.0)
                except Exception:
                    log.exception("store_contact_failed")
        finally:
            probes = [probe for server in self._servers.values() for probe in server.probes]
            for probe in probes:
                probe.cancel()
            await asyncio.gather(*probes, return_exceptions=True)

    def stand_aside(self, partitions: Sequence[int]) -> bool:
        """Leave those of the given partitions that are away to other nodes for a second.

        Calls for a silent server are refused, so that the routers ask the other nodes. Return True if one of the
        partitions was not left before.
        """
        now = self._loop.time()
        nodes: set[StoreNode] = set()
        aside = []
        for partition in partitions:
            node = self._executor.node_of(partition)
            server = None if node is None else self._servers.get(node)
            if node is not None and server is not None and server.is_away:
                aside.append(partition)
                if server.is_silent(now):
                    nodes.add(node)
        is_new = self._ownership.stand_aside(aside, now + ASIDE_S)
        # Refused calls fail at once, so that the routers ask the other nodes before their timeout.
        for node in nodes - self._given_up:
            self._given_up.add(node)
            reason = node.health.reason or "it is silent"
            self._pipeline.give_up(node, StoreAway(f"the store cannot be reached: {reason}"))
        return is_new

    def _look(self, now: float, stood_still_s: float) -> None:
        self._follow_servers(now)
        is_changed = False
        for server in self._servers.values():
            server.note_layout(self._store.layout_unknown_since)
            # While this process stood still, answers may have arrived unread: they say nothing about the
            # server.
            if stood_still_s:
                server.excuse(stood_still_s)
            elif server.judge(now):
                is_changed = True
                self.losses += server.is_away
            if server.wants_probe(now):
                self._probe(server)
        self._take_up(now)
        away = self._find_away()
        if is_changed or away != self.away:
            self._change(away)

    def _follow_servers(self, now: float) -> None:
        nodes = self._store.nodes()
        for node in self._servers.keys() - set(nodes):
            for probe in self._servers.pop(node).probes:
                probe.cancel()
        for node in nodes:
            if node not in self._servers:
                self._servers[node] = Server(node, now)

    def _find_away(self) -> tuple[int, ...]:
        """Return the partitions whose server is away. Cost: O(partitions) while a server is away, else O(servers)."""
        away = {node for node, server in self._servers.items() if server.is_away}
        if not away:
            return ()
        return tuple(p for p in range(self._partitions) if self._executor.node_of(p) in away)

    def _change(self, away: tuple[int, ...]) -> None:
        back = set(self.away).difference(away)
        self.away = away
        self._ownership.come_back(back)
        self._on_change(away)

    def _take_up(self, now: float) -> None:
        """Send calls again to servers that answer, or whose partitions no router sends to other nodes any more."""
        self._ownership.end_asides(now)
        for node in list(self._given_up):
            server = self._servers.get(node)
            if server is None or not server.is_silent(now) or not self._ownership.stands_aside:
                self._given_up.discard(node)
                self._pipeline.take_up(node)

    def _probe(self, server: Server) -> None:
        task = self._loop.create_task(self._ask(server))
        server.probes.add(task)
        task.add_done_callback(server.probes.discard)

    async def _ask(self, server: Server) -> None:
        """Send a PING; the store node itself records that an answer arrived."""
        await server.node.execute([[b"PING"]], PROBE_S, slots=server.slots)
