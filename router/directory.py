"""Which shards there are and who owns what, as this router knows it: from seeds first, then from the pushed views.

A shard whose link is broken or silent is passed over: the ring is built again without it, so its partitions fall to the
nodes after it on the walk, and those are asked to cover them until the membership says so too. Not here: a link
(router/link_client.py) and what is said over it (router/dispatch.py, router/polls.py).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from router.link_client import ShardLink
from sharq_core.config import Address
from sharq_core.errors import SharqError, Unavailable
from sharq_core.messages import Cover, Member, ShardPort, View
from sharq_core.partitions import DEFAULT_PARTITIONS, Ring

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
"""How often it looks for links that went silent, and asks others to cover for them."""

RESOLVE_EVERY_S = 2.0
"""How often the seeds' names are looked up while no shard is reached."""

PARTING_S = 10.0
"""How long the link to a node that is no member any more stays: calls under way end, and a drain is not cut."""


class Directory(Protocol):
    """Which shard owns what, as this router knows it now."""

    @property
    def partitions(self) -> int:
        """P."""
        ...

    def owner(self, partition: int) -> ShardPort:
        """The shard to ask about a partition. Raises Unavailable when no shard can be reached."""
        ...

    def shards(self) -> Sequence[ShardPort]:
        """Every shard that can be reached; empty when there is none."""
        ...

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call tell whenever `shards` may have changed."""
        ...


class OneShard:
    """The directory of a router whose only shard is in the same process."""

    def __init__(self, shard: ShardPort, partitions: int) -> None:
        self.partitions = partitions
        self._shards = (shard,)

    def owner(self, partition: int) -> ShardPort:
        return self._shards[0]

    def shards(self) -> Sequence[ShardPort]:
        return self._shards

    def on_change(self, tell: Callable[[], None]) -> None:
        """Nothing ever changes."""


class ShardDirectory:
    """The shards of a cluster.

    Args:
        seeds: where the first shards are looked for; a name may have several addresses.
        secret: what router and shard prove to each other; None for nothing.
        timeout_s: how long a call may take.
        tls: of every link; None for plain links.

    Attributes:
        view: who is there; None before the first shard was reached.
    """

    def __init__(
        self,
        seeds: Sequence[Address],
        secret: str | None,
        timeout_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.view: View | None = None
        self._seeds = seeds
        self._secret = secret
        self._timeout_s = timeout_s
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._links: dict[str, ShardLink] = {}
        self._parting: dict[str, float] = {}
        self._owners: tuple[ShardLink, ...] = ()
        self._usable: frozenset[str] = frozenset()
        self._listeners: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._work: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Look for the seeds, and follow the cluster from then on."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End every link."""
        for task in (self._task, *self._work):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(link.close() for link in self._links.values()))

    @property
    def partitions(self) -> int:
        """P, as the shards say; the default before the first was reached."""
        return self.view.partitions if self.view else DEFAULT_PARTITIONS

    @property
    def ring_version(self) -> int:
        """Of the view in force; 0 before the first."""
        return self.view.version if self.view else 0

    def owner(self, partition: int) -> ShardPort:
        """The link to the partition's owner, or to the node that stands in for one that cannot be reached.

        Raises:
            Unavailable: no shard can be reached.
        """
        owner = self._owners[partition] if partition < len(self._owners) else None
        if owner is None or owner.is_suspect:
            self._settle()
            if partition >= len(self._owners):
                raise Unavailable("no shard can be reached")
            owner = self._owners[partition]
        return owner

    def shards(self) -> Sequence[ShardPort]:
        """Every node that owns partitions and can be reached; of those that drain, only when there is no other."""
        return list(self._links_by_node().values())

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call tell whenever a link was added or dropped."""
        self._listeners.append(tell)

    def links(self) -> list[ShardLink]:
        """Every link, up or not."""
        return list(self._links.values())

    async def _run(self) -> None:
        """Look after the links until cancelled."""
        resolve_at = 0.0
        while True:
            if not self._usable and self._loop.time() >= resolve_at:
                await self._look_up_seeds()
                resolve_at = self._loop.time() + RESOLVE_EVERY_S
            self._settle()
            self._drop_parted()
            self._cover()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look_up_seeds(self) -> None:
        for seed in self._seeds:
            try:
                found = await self._loop.getaddrinfo(seed.host, seed.port, type=socket.SOCK_STREAM)
            except OSError as error:
                log.warning("seed_unknown seed=%s error=%r", seed, str(error))
                continue
            for _, _, _, _, place in found:
                await self._add(str(Address(str(place[0]), int(place[1]))))

    async def _add(self, address: str) -> None:
        if address in self._links:
            return
        link = ShardLink(
            address,
            self._secret,
            on_view=self._on_view,
            on_down=self._on_down,
            timeout_s=self._timeout_s,
            tls=self._tls,
        )
        self._links[address] = link
        await link.start()
        self._tell()

    def _on_view(self, view: View) -> None:
        """A shard told who is there; the newest view holds, or the only one that can be heard."""
        is_newer = self.view is None or view.version > self.view.version
        if not is_newer and any(not link.is_suspect for link in self._links.values()):
            return
        self.view = view
        log.info("view version=%d members=%d", view.version, len(view.members))
        self._spawn(self._follow(view))

    async def _follow(self, view: View) -> None:
        for member in view.members:
            self._parting.pop(member.address, None)
            await self._add(member.address)
        if self.view is view:
            addresses = {member.address for member in view.members}
            for address in self._links.keys() - addresses - self._parting.keys():
                self._parting[address] = self._loop.time() + PARTING_S
            self._usable = frozenset()
            self._settle()

    def _on_down(self, link: ShardLink) -> None:
        self._settle()
        self._cover()

    def _settle(self) -> None:
        """Build the owners anew when another set of nodes can be reached. Cost: some ms then, else O(nodes)."""
        links = self._links_by_node()
        usable = frozenset(links)
        if usable == self._usable:
            return
        self._usable = usable
        ring = Ring.build(self.ring_version, usable, self.partitions)
        self._owners = tuple(links[node] for node in ring.owners)
        self._tell()

    def _links_by_node(self) -> dict[str, ShardLink]:
        """The reachable links of the nodes that own partitions; of all members when no such node is reached."""
        if self.view is None:
            return {}
        serving = self.view.serving()
        reached = {
            member.node_id: link
            for member in self.view.members
            if (link := self._link_of(member)) is not None and not link.is_suspect
        }
        return {node: link for node, link in reached.items() if node in serving} or reached

    def _link_of(self, member: Member) -> ShardLink | None:
        return self._links.get(member.address)

    def _cover(self) -> None:
        """Ask the nodes that stand in for unreachable ones to answer for their partitions too (I6)."""
        if self.view is None or not self._owners or self._usable >= self.view.serving():
            return
        intended = Ring.build(self.view.version, self.view.serving(), self.partitions)
        stood_in: dict[ShardLink, list[int]] = {}
        for partition, node in enumerate(intended.owners):
            if node not in self._usable:
                stood_in.setdefault(self._owners[partition], []).append(partition)
        for link, partitions in stood_in.items():
            self._spawn(self._ask_to_cover(link, partitions))

    async def _ask_to_cover(self, link: ShardLink, partitions: list[int]) -> None:
        try:
            await link.call(Cover(partitions))
        except SharqError as error:
            log.debug("cover_failed shard=%s error=%r", link.address, error.message)

    def _drop_parted(self) -> None:
        now = self._loop.time()
        for address, until in list(self._parting.items()):
            if until <= now:
                del self._parting[address]
                self._spawn(self._links.pop(address).close())
                self._tell()

    def _tell(self) -> None:
        for tell in self._listeners:
            tell()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
