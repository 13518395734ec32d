"""Whether this node reaches its store: it notices within half a second that it does not, and says so to the routers.

A node that is away leaves its partitions to others, and takes them back only when it has reached the store well for a
while, longer each time it was away again: a connection that comes and goes must not fail a call each time. In a Redis
Cluster this is about each server for itself. A server that keeps no promise, or has become a replica, counts as silent
while nobody can say which server is the primary, because the other nodes may know. Not here: how calls get there
(sharq_core/store/node.py), and who is asked instead (router/shards/owners.py).
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
"""A server that answers nothing for so long, though it was asked, is away; with PROBE_EVERY_S that is half a second."""

TROUBLE_S = 0.15
"""A server that is out of reach for so long is in trouble; the second time within FLAPPING_S it is away at once."""

FLAPPING_S = 10.0

CALM_S = 2.0
MOST_CALM_S = 30.0
"""How long a server must be reached well before it is back; twice as long each time it was away within RELAPSE_S."""

RELAPSE_S = 60.0

PROBE_EVERY_S = 0.1
"""A server that has said nothing for so long is asked for a sign of life."""

PROBE_AGAIN_S = 0.25
MAX_PROBES = 8
PROBE_S = 2.0
"""While it says nothing it is asked again, each time over another connection: those that were open may be dead. A probe
waits so long at the most, whatever the store's timeout is.
"""

TICK_S = 0.05
STALL_S = 0.2
"""A look that comes so late says nothing of the store: this process stood still, and first reads what came."""

ASIDE_S = 1.0
"""How long a router's word holds that others answer for a partition; it says so four times a second."""


class Server:
    """What this node knows of its way to one server of the store; times in the loop's seconds."""

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
        """Nothing was heard for a while; the caller sends a probe then, and the time counts from here."""
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
        """This process stood still for so long: that was not the server's silence."""
        if self._asked_at is not None:
            self._asked_at += stood_still_s

    def note_layout(self, unknown_since: float | None) -> None:
        """Take note of since when nobody can say who is the primary (the loop's seconds); None if that is known."""
        keeping = self.node.keeping
        is_breaking = keeping is not None and keeping.refusal is not None
        is_known = unknown_since is None or not (is_breaking or self.node.misplaced_at > unknown_since)
        self._superseded_since = None if is_known else unknown_since

    def silence_s(self, now: float) -> float:
        """Return how long it has been asked without an answer, could not be reached, or may have been superseded."""
        if not self.node.is_reachable:
            return now - self.node.heard_at
        if self._superseded_since is not None:
            return now - self._superseded_since
        asked_at = self._asked_at
        return 0.0 if asked_at is None or self.node.heard_at >= asked_at else now - asked_at

    def is_silent(self, now: float) -> bool:
        """It is away now, and not only until it has been reached for long enough."""
        return self.is_away and (self.silence_s(now) >= TROUBLE_S or not self.node.is_reachable)

    def judge(self, now: float) -> bool:
        """Look at what was heard; True when it is away from now on, or back."""
        silence_s = self.silence_s(now)
        is_troubled = silence_s >= AWAY_AFTER_S or (not self.node.is_reachable and silence_s >= TROUBLE_S)
        is_flapping = False
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
            "store_contact_lost server=%s silent_s=%.2f: its partitions are left to other nodes until it was reached "
            "well for %.3g s",
            self.node.name,
            self.silence_s(now),
            self.calm_s,
        )


class Contact:
    """This node's way to all servers of its store.

    Args:
        on_change: told the partitions that are away, ascending, whenever those are others.

    Attributes:
        away: the partitions, of all, whose server is away.
        losses: how often a server was lost so far.
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
        """How many of this node's partitions are away."""
        return sum(map(self._ownership.owns, self.away))

    async def run(self) -> None:
        """Look after the servers until cancelled."""
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
        """Others answer for these partitions now: those that are away are not this node's for a second, and what it has
        not sent to a silent server it refuses, so that it is asked there. Returns True when one of them is new.
        """
        now = self._loop.time()
        nodes: set[StoreNode] = set()
        left = []
        for partition in partitions:
            node = self._executor.node_of(partition)
            server = None if node is None else self._servers.get(node)
            if node is not None and server is not None and server.is_away:
                left.append(partition)
                if server.is_silent(now):
                    nodes.add(node)
        is_new = self._ownership.stand_aside(left, now + ASIDE_S)
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
        """Cost: O(partitions) while a server is away, else O(servers)."""
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
        """Send to the servers that answer again, and to those that no router has others for any more."""
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
        """A PING; that its answer was heard the node itself notes."""
        await server.node.execute([[b"PING"]], PROBE_S, slots=server.slots)
