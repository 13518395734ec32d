"""Presents the store to the scheduler as one object, be it one server, a Sentinel group or a Redis Cluster.

It holds the servers and the owners of the slots. It reads these again when a call fails, when a server reports a
change, and every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from sharq_core.errors import SharqError, StoreAway, Unavailable
from sharq_core.logs.troubles import Trouble
from sharq_core.store.commands import FcallCommand
from sharq_core.store.failures import detail_of, why
from sharq_core.store.library_loader import FunctionLibrary
from sharq_core.store.node import StoreNode
from sharq_core.store.redirects import RedirectingPipeline
from sharq_core.store.replication.durability import Promise
from sharq_core.store.settings_audit import Inspector
from sharq_core.store.topology.layout import SLOTS, Layout, Topology, UrlOf
from sharq_core.store.witness import Witness

log = logging.getLogger(__name__)

_READ_EVERY_S = 2.0
_READ_EXCUSED_EVERY_S = 0.5
"""The pause in seconds between two readings of the layout, normally and while a server is excused.

An excused server is needed as soon as it can be promoted.
"""

TIDY_EVERY_S = 30.0
"""The time in seconds after which an unused connection is closed, and between two checks of each library."""

_READ_PAUSE_S = 0.1
"""The least time in seconds between two readings of the layout, whatever fails meanwhile."""

_NO_WRITES = "it cannot write to its disk (is it full?), so it refuses every write"


class Store:
    """The servers of one store.

    Args:
        url_of: returns the URL of a server that a redirection names.
        timeout_s: time limit of a call in seconds.
        promise: condition for the answer of a call; None for no condition.
        inspector: checks the servers' own settings.

    Attributes:
        resent_calls: calls sent again because a slot was elsewhere, so far.
        layout_unknown_since: the loop's time in seconds of the first failed reading of the layout since a successful
            one; None after a success.
        on_clock_news: called when a server's clock has stepped, or other servers are primaries; None for no listener.
        reigns: how often other servers have become primaries, as far as this process knows.
        sole_node: the server that holds all slots and that no other can replace; None if there is no such server, or
            before it was found. Calls may go to it directly.
    """

    def __init__(
        self,
        topology: Topology,
        library: FunctionLibrary,
        url_of: UrlOf,
        *,
        timeout_s: float,
        inspector: Inspector,
        promise: Promise | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self.inspector = inspector
        self.resent_calls = 0
        self.layout_unknown_since: float | None = None
        self.on_clock_news: Callable[[], None] | None = None
        self.reigns = 0
        self.sole_node: StoreNode | None = None
        self._promise = promise
        self._witness: Witness | None = None
        self._topology = topology
        self._library = library
        self._url_of = url_of
        self._nodes: dict[str, StoreNode] = {}
        self._layout = Layout(())
        self._was_found = False
        self._primaries: tuple[StoreNode, ...] = ()
        self._owners: list[StoreNode | None] = [None] * SLOTS
        self._only: StoreNode | None = None
        self._news = asyncio.Event()
        self._awaits_reading: list[asyncio.Future[None]] = []
        self._unknown = Trouble(log, "store_layout_unknown", "")
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def mode(self) -> str:
        """The kind of the store: single, sentinel or cluster."""
        return self._topology.mode

    @property
    def is_reachable(self) -> bool:
        """Some primary answered its last call."""
        return any(node.is_reachable for node in self._primaries)

    @property
    def is_usable(self) -> bool:
        """Some primary answered its last call and does not refuse its work."""
        return any(node.is_reachable and not node.health.refuses for node in self._primaries)

    @property
    def reason(self) -> str | None:
        """The reason why the store, or a part of it, cannot be used, without its address and our user.

        None while no problem is known.
        """
        nodes = self._primaries or tuple(self._nodes.values())
        reasons = [reason for reason in map(self._reason_of, nodes) if reason is not None]
        if not reasons or len(nodes) == 1:
            return next(iter(reasons), self._unknown.reason)
        which = "each" if len(reasons) == len(nodes) else len(reasons)
        return f"{which} of its {len(nodes)} servers: {'; '.join(dict.fromkeys(reasons))}"

    @property
    def is_writable(self) -> bool:
        """Some primary takes writes, as far as is known."""
        return not self._primaries or not all(map(self._refuses_writes, self._primaries))

    def _reason_of(self, node: StoreNode) -> str | None:
        return node.health.reason or (_NO_WRITES if self._refuses_writes(node) else None)

    def _refuses_writes(self, node: StoreNode) -> bool:
        facts = self.inspector.facts.get(node.name, {})
        return node.health.refuses_writes or facts.get("aof_last_write_status", "ok") != "ok"

    @property
    def takes_joint_calls(self) -> bool:
        """One server holds all keys, and accepts calls about several partitions."""
        return self._only is not None and self._topology.takes_joint_calls

    @property
    def promises(self) -> bool:
        """Some calls are answered only once a replica has them."""
        return self._promise is not None

    def has_promised(self, function: bytes) -> bool:
        """Return True if callers of the function are promised more than the primary's execution."""
        return self._promise is not None and self._promise.covers(function)

    def watch_data(self, witness: Witness) -> None:
        """Let a witness check every server that is reached anew."""
        self._witness = witness
        for node in self._nodes.values():
            node.witness = witness

    def settle_doubts(self) -> None:
        """Clear the doubts of the witness."""
        for node in self._nodes.values():
            node.doubt = None

    async def open(self) -> None:
        """Find the servers and load the library into each; after a success the servers are followed.

        A server that cannot be reached now is left out as long as another can. It gets the library when it is back.

        Raises:
            Unavailable: none can be reached; open it again later.
            ConfigError: a server is unfit (settings_audit.py). Nothing was changed.
        """
        try:
            await self._read_layout()
        except Unavailable as error:
            if not any(node.health.reason for node in self._nodes.values()):
                self._unknown.note(why(error), detail=detail_of(error))
            raise
        await self.inspector.look(self._primaries)
        self.inspector.refuse_unfit()
        loads = [node.load_library() for node in self._primaries]
        outcomes = await asyncio.gather(*loads, return_exceptions=True)
        failures = [outcome for outcome in outcomes if outcome is not None]
        # A server that is away gets the library at its return; the node can begin without it.
        if failures and len(failures) == len(outcomes):
            raise failures[0]
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self.inspector.run(self.nodes)),
                asyncio.create_task(self._tidy()),
            ]
            if not self._topology.is_fixed:
                self._tasks += [asyncio.create_task(self._follow()), asyncio.create_task(self._listen())]
        log.info("store_open mode=%s primaries=%d", self.mode, len(self._primaries))

    async def close(self) -> None:
        """Close every connection; for use when nothing is in flight."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for node in self._nodes.values():
            await node.close()

    def nodes(self) -> Sequence[StoreNode]:
        """Return the primaries."""
        return self._primaries

    def node_of(self, slot: int) -> StoreNode | None:
        """Return the primary that holds a slot (0-16383); None if no server does."""
        return self._only or self._owners[slot]

    async def send(
        self, calls: Sequence[FcallCommand], slots: Sequence[int], timeout_s: float | None = None
    ) -> list[Any | SharqError]:
        """Send function calls, those of each server as one pipeline; return the answer or the error of each.

        Args:
            slots: the slot of each call.
            timeout_s: the remaining time in seconds, at most the store's own timeout; None for that timeout.
        """
        left_s = self.timeout_s if timeout_s is None else min(timeout_s, self.timeout_s)
        if not self._was_found:
            return [StoreAway(self.unreached())] * len(calls)
        deadline = asyncio.get_running_loop().time() + left_s
        delivery = RedirectingPipeline(self, calls, slots, deadline)
        try:
            return await delivery.run()
        finally:
            self.resent_calls += delivery.resent

    def unreached(self) -> str:
        """Return the message about a store that has not been reached since the start."""
        return f"the store has not been reached yet{(self.reason and ': ' + self.reason) or ''}"

    async def check(self) -> None:
        """Return once every primary answers.

        Raises:
            Unavailable: a primary does not answer.
        """
        if not self._primaries:
            raise Unavailable(self.unreached())
        answers = await asyncio.gather(*(node.execute([[b"PING"]]) for node in self._primaries))
        for (answer,) in answers:
            if isinstance(answer, SharqError):
                raise Unavailable(answer.message)

    def node_at(self, host: str, port: int) -> StoreNode:
        """Return the server that a redirection names."""
        return self._node(self._url_of(host, port))

    def on_moved(self, slot: int, node: StoreNode) -> None:
        """Note that `node` owns the slot now, as its former owner says."""
        self._owners[slot] = node
        self._only = self.sole_node = None
        if node not in self._primaries:
            self.reigns += 1
        self.mark_stale()

    def mark_stale(self) -> None:
        """Note that the layout may be out of date: read it again soon."""
        self._news.set()

    def _node(self, url: str) -> StoreNode:
        node = self._nodes.get(url)
        if node is None:
            node = self._nodes[url] = StoreNode(
                url,
                self._library,
                timeout_s=self.timeout_s,
                promise=self._promise,
                doubt=self.mark_stale,
                until_confirmed=self._until_read,
                on_clock_step=self._tell_clock_news,
            )
            node.witness = self._witness
        return node

    async def _until_read(self) -> None:
        """Return once the layout was read again, or could not be read."""
        if self._tasks and not self._topology.is_fixed:
            reading = asyncio.get_running_loop().create_future()
            self._awaits_reading.append(reading)
            self.mark_stale()
            await reading

    def _tell_clock_news(self) -> None:
        if self.on_clock_news is not None:
            self.on_clock_news()

    async def _follow(self) -> None:
        """Read the layout at news and every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(_READ_PAUSE_S)
            try:
                every_s = _READ_EXCUSED_EVERY_S if self._layout.has_excuses else _READ_EVERY_S
                async with asyncio.timeout(every_s):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            waiting, self._awaits_reading = self._awaits_reading, []
            try:
                await self._read_layout()
                self.layout_unknown_since = None
            except Unavailable as error:
                self._note_unknown()
                self._unknown.note(why(error), detail=detail_of(error))
            except Exception:
                self._note_unknown()
                log.exception("store_layout_failed")
            for reading in waiting:
                if not reading.done():
                    reading.set_result(None)

    def _note_unknown(self) -> None:
        if self.layout_unknown_since is None:
            self.layout_unknown_since = asyncio.get_running_loop().time()

    async def _tidy(self) -> None:
        """Close unused connections and check the libraries every 30 seconds, until cancelled."""
        while True:
            await asyncio.sleep(TIDY_EVERY_S)
            for node in tuple(self._nodes.values()):
                try:
                    await node.tidy()
                except Unavailable as error:
                    log.debug("store_tidy_failed error=%r", error.message)
                except Exception:
                    log.exception("store_tidy_failed")

    async def _listen(self) -> None:
        try:
            await self._topology.listen(self._news)
        except Exception:
            log.exception("store_listen_failed")

    async def _read_layout(self) -> None:
        """Read the layout from the topology and apply it; close servers that are no longer in it."""
        layout = await self._topology.read(self._node)
        if (unknown_s := self._unknown.end()) is not None:
            log.info("store_layout_known unknown_s=%.1f", unknown_s)
        owners: list[StoreNode | None] = [None] * SLOTS
        for first, last, url in layout.ranges:
            owners[first : last + 1] = [self._node(url)] * (last + 1 - first)
        self._owners, self._was_found = owners, True
        self._primaries = tuple(map(self._node, layout.urls()))
        self._only = owners[0] if len(self._primaries) == 1 and None not in owners else None
        self.sole_node = self._only if self._topology.is_fixed else None
        # A new primary may lack what its predecessor answered: slots of caps from before must not be used.
        if {*layout.urls()} != {*self._layout.urls()}:
            self.reigns += 1
        if layout.urls() != self._layout.urls():
            log.info("store_primaries mode=%s count=%d", self.mode, len(self._primaries))
            self.inspector.look_soon()
            self._tell_clock_news()
        self._layout = layout
        # Seeds stay, because the next reading of the layout asks them.
        kept = {*layout.urls(), *self._topology.seeds}
        for url in [url for url in self._nodes if url not in kept]:
            await self._nodes.pop(url).close()
        for url, node in self._nodes.items():
            if node.keeping is not None:
                node.keeping.confirmation.follow(layout.successors.get(url))
            if node not in self._primaries:
                node.stand_by()
