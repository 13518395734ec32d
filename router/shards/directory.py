"""Keeps this router's knowledge of the shards and their partitions: from seeds at first, then from pushed views.

A shard whose link is broken or silent is passed over. The ring is built again without it, so that its partitions go to
other nodes, which are asked to cover them until the membership changes, too.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from router.shards.link import ShardLink
from router.shards.owners import Excuses, Owners, all_partitions
from sharq_core.config import Address
from sharq_core.errors import SharqError, Unavailable
from sharq_core.link.messages import FORMATS, Cover, Member, ShardPort, View, Yield
from sharq_core.logs.rare_log import REFUSAL_EVERY_S, RareLog
from sharq_core.partitions import DEFAULT_PARTITIONS, Ring

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
"""Seconds between two checks for silent links, and between two requests to cover for them."""

RESOLVE_EVERY_S = 2.0
"""Seconds between two lookups of the seeds' names while no shard is reached."""

DOUBT_S = 0.5
"""Seconds for which a shard is passed over after a dequeue at which it did not reach its store. By then it has reported
its state itself.
"""

PARTING_S = 10.0
"""Seconds for which the link to a former member stays, so that calls in flight can end and a drain is not cut off."""


class Directory(Protocol):
    """The shards and their partitions, as this router knows them now.

    Attributes:
        second_tries: the number of calls repeated at another shard so far.
    """

    second_tries: int

    @property
    def sole_owner(self) -> ShardPort | None:
        """The shard to ask about every partition; None if the partitions may have different owners."""
        ...

    @property
    def formats(self) -> int:
        """The newest record format that every member can handle."""
        ...

    @property
    def partitions(self) -> int:
        """The number of partitions, P."""
        ...

    def owner(self, partition: int, /) -> ShardPort:
        """Return the shard to ask about a partition; raise Unavailable if no shard can be reached."""
        ...

    def shards(self) -> Sequence[ShardPort]:
        """Return every shard that can be reached; empty if there is none."""
        ...

    def informed(self, shards: Sequence[ShardPort], /) -> Sequence[ShardPort]:
        """Return the shards that dequeues ask first. Together they notify waiting dequeues of every job."""
        ...

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call tell whenever `shards` may have changed."""
        ...

    def stand_in(self, partition: int, failed: ShardPort, /) -> ShardPort | None:
        """Return the shard to ask instead of one that does not reach its store; None if there is none."""
        ...

    def doubt(self, shard: ShardPort) -> None:
        """Pass over a shard for a moment because it does not reach its store, so that its ready jobs are unknown.

        Other shards are asked meanwhile, and are told to answer for its partitions.
        """
        ...

    async def covered(self) -> None:
        """Return once the shards that were told to cover partitions of others do so, or have failed to."""
        ...


class ShardDirectory:
    """The shards of a cluster.

    Args:
        seeds: the addresses of the first shards; a name may resolve to several addresses.
        secret: the secret that router and shard prove to each other; None for no secret.
        timeout_s: the timeout of a call, in seconds.
        tls: for every link; None for plain links.

    Attributes:
        view: the members; None before the first shard was reached.
        formats: the newest record format that every member can handle.
        second_tries: the number of calls repeated at another shard so far.
        sole_owner: None, because the partitions have different owners.
    """

    sole_owner = None

    def __init__(
        self,
        seeds: Sequence[Address],
        secret: str | None,
        timeout_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.view: View | None = None
        self.formats = FORMATS
        self.second_tries = 0
        self._seeds = seeds
        self._secret = secret
        self._timeout_s = timeout_s
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._links: dict[str, ShardLink] = {}
        self._parting: dict[str, float] = {}
        self._owners = Owners(0, 0, {}, {})
        self._owner_links: tuple[ShardLink, ...] = ()
        self._usable: frozenset[str] = frozenset()
        self._excuses = Excuses()
        self._excused: frozenset[str] = frozenset()
        self._away: dict[str, frozenset[int]] = {}
        self._covering: tuple[Owners, asyncio.Future[Any]] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._unknown_seeds = RareLog(log, REFUSAL_EVERY_S)
        self._task: asyncio.Task[None] | None = None
        self._work: set[asyncio.Task[object]] = set()

    async def start(self) -> None:
        """Connect to the seeds, and follow the cluster from then on."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End every link."""
        for task in (self._task, *self._work):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(link.close() for link in self._links.values()))

    @property
    def partitions(self) -> int:
        """The number of partitions, P, as the shards report it; the default before the first shard was reached."""
        return self.view.partitions if self.view else DEFAULT_PARTITIONS

    @property
    def ring_version(self) -> int:
        """The version of the view in force; 0 before the first view."""
        return self.view.version if self.view else 0

    def owner(self, partition: int, /) -> ShardPort:
        """Return the link to the partition's owner, or to the stand-in of an owner that cannot be reached.

        Raises:
            Unavailable: no shard can be reached.
        """
        owner = self._owner_links[partition] if partition < len(self._owner_links) else None
        if owner is None or owner.is_suspect:
            self._settle()
            if partition >= len(self._owner_links):
                raise Unavailable(f"no shard can be reached{self._why()}")
            owner = self._owner_links[partition]
        return owner

    def shards(self) -> Sequence[ShardPort]:
        """Return every node that owns partitions and can be reached.

        Nodes that drain or do not reach their store are returned only if there are no others.
        """
        links = self._links_by_node()
        away = self._owners.away
        able = [link for node, link in links.items() if len(away.get(node, ())) < self.partitions]
        return able or list(links.values())

    def informed(self, shards: Sequence[ShardPort], /) -> Sequence[ShardPort]:
        """Return all of them: each knows its own partitions only."""
        return shards

    def stand_in(self, partition: int, failed: ShardPort, /) -> ShardPort | None:
        """Return the shard to ask instead of one that does not reach its store; None if there is none."""
        self._settle()
        return None if partition >= len(self._owner_links) else self._owners.stand_in(partition, failed)

    def doubt(self, shard: ShardPort) -> None:
        """Pass over a shard for DOUBT_S because it did not reach its store, and tell others to answer for it."""
        if isinstance(shard, ShardLink):
            shard.doubted_until = self._loop.time() + DOUBT_S
            if shard.node_id is not None and self._away.keys() != self._usable:
                self._excuses.revoke(shard.node_id)
            self._settle()
            self._cover()

    async def covered(self) -> None:
        """Return once the stand-ins have been told and have answered."""
        if self._covering is not None:
            await asyncio.shield(self._covering[1])

    @property
    def stood_in(self) -> int:
        """The number of partitions that have a stand-in because their owner does not reach its store."""
        return self._owners.stood_in

    @property
    def why_unreached(self) -> str | None:
        """The reason why no shard can be reached, in plain text without addresses; None while a link is up."""
        if any(not link.is_suspect for link in self._links.values()):
            return None
        reasons = dict.fromkeys(reason for link in self._links.values() if (reason := link.reason))
        return "; ".join(reasons) or "no name in [cluster] shards can be resolved"

    @property
    def why_one_unreached(self) -> str | None:
        """The reason why a shard that this router knows cannot be reached; None while all can."""
        return next((link.reason for link in self._links.values() if link.reason is not None), None)

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call tell whenever a link was added or dropped."""
        self._listeners.append(tell)

    def links(self) -> list[ShardLink]:
        """Return every link, up or not."""
        return list(self._links.values())

    async def _run(self) -> None:
        """Maintain the links until cancelled."""
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
                addresses = await self._loop.getaddrinfo(seed.host, seed.port, type=socket.SOCK_STREAM)
            except OSError as error:
                self._unknown_seeds.warning("seed_unknown seed=%s error=%r", seed, str(error), kind=str(seed))
                continue
            for _, _, _, _, place in addresses:
                await self._add(str(Address(str(place[0]), int(place[1]))))

    async def _add(self, address: str) -> None:
        if address in self._links:
            return
        link = ShardLink(
            address,
            self._secret,
            on_view=self._on_view,
            on_down=self._on_down,
            on_away=self._on_away,
            timeout_s=self._timeout_s,
            tls=self._tls,
        )
        self._links[address] = link
        await link.start()
        self._tell()

    def _on_view(self, view: View) -> None:
        """Take over the view of a shard if it is newer, or if no other shard is heard."""
        is_newer = self.view is None or view.version > self.view.version
        if not is_newer and any(not link.is_suspect for link in self._links.values()):
            return
        log.info("view version=%d %s", view.version, view.news(self.view))
        self.view = view
        self.formats = min((member.formats for member in view.members), default=FORMATS)
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

    def _on_down(self, _: ShardLink) -> None:
        self._settle()
        self._cover()

    def _on_away(self, _: ShardLink) -> None:
        self._settle()
        self._cover()

    def _settle(self) -> None:
        """Build the owners again if other shards can be reached or reach the store.

        Cost: some ms then, else O(nodes).
        """
        links = self._links_by_node()
        now = self._loop.time()
        away = {node: lost for node, link in links.items() if (lost := self._away_of(link, now))}
        whole = {node: links[node].lost_at for node, lost in away.items() if len(lost) >= self.partitions}
        usable = frozenset(links)
        excused = self._excuses.update(usable, whole, now)
        if (usable, away, excused) == (self._usable, self._away, self._excused):
            return
        self._usable, self._away, self._excused = usable, away, excused
        self._owners = Owners(self.ring_version, self.partitions, links, away, excused)
        self._owner_links = self._owners.links
        self._tell()

    def _away_of(self, link: ShardLink, now: float) -> frozenset[int]:
        """Return the partitions that a shard cannot serve now."""
        return all_partitions(self.partitions) if link.doubted_until > now else link.away

    def _why(self) -> str:
        reason = self.why_unreached
        return f": {reason}" if reason else ""

    def _links_by_node(self) -> dict[str, ShardLink]:
        """Return the reachable links of nodes that own partitions, or of all members if no such node is reached."""
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
        """Ask the stand-ins to answer for the partitions of others, too (I6)."""
        if self.view is None or (self._usable >= self.view.serving() and not self._owners.away):
            return
        intended = Ring.build(self.view.version, self.view.serving(), self.partitions)
        covers = [
            self._spawn(self._ask_to_cover(link, partitions))
            for link, partitions in self._owners.covers(intended).items()
        ]
        if covers and (self._covering is None or self._covering[0] is not self._owners):
            self._covering = self._owners, asyncio.gather(*covers, return_exceptions=True)

    def _tell_yielded(self) -> None:
        """Tell the shards that are away which partitions stand-ins serve, which have just read the store."""
        self._settle()
        for link, partitions in self._owners.yielded().items():
            self._spawn(self._ask(link, Yield(partitions)))

    async def _ask_to_cover(self, link: ShardLink, partitions: list[int]) -> None:
        """Ask a shard to cover partitions; once it has, tell the shards that are away.

        A shard that covers partitions has read them from the store. Only then does a shard that is away give them up:
        in an outage of the store, all shards keep waiting.
        """
        asked_at = self._loop.time()
        if await self._ask(link, Cover(partitions)):
            link.covered_at = asked_at
            self._tell_yielded()

    async def _ask(self, link: ShardLink, call: Cover | Yield) -> bool:
        """Make a call; return whether it succeeded."""
        try:
            await link.call(call)
        except SharqError as error:
            log.debug("cover_failed shard=%s error=%r", link.address, error.message)
            return False
        return True

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

    def _spawn(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        task = self._loop.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task
