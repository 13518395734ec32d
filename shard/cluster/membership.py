"""Keeps this node a member of the cluster with heartbeats, and learns the view of all members from their answers.

The last view stays in force while the store is away. shard/cluster/ownership.py acts on a view; lua/heartbeat.lua
decides when a member counts as gone.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

import msgspec

from shard.data_identity.guard import DataGuard
from sharq_core.errors import SharqError
from sharq_core.link.messages import FORMATS, Member, View
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.membership import DataMissed, MembershipCalls, MembersLost, Refused

log = logging.getLogger(__name__)

RETRY_S = 0.25
"""Longest pause after a failed heartbeat, so that the store's return is noticed soon."""


class NotAMember(Exception):
    """The error of a node that may not be a member; the message gives the reason and the holder of its node_id."""


class Membership:
    """The membership of one node.

    Args:
        node_id: the node's name, the same after a restart; no two processes may use it at once.
        address: host:port at which routers reach this node.
        interval_s, ttl_s: the pause between two heartbeats, and the silence after which a node is no member any more.
        on_view: called at once with each view that differs from the one before.
        is_away: returns True if this node leaves all partitions to others; it then sends no heartbeat.
        guard: names the data set that this node works on, and checks it if the members miss it; None for none.

    Attributes:
        view: the last view that this node received; version 0 before it has joined.
    """

    def __init__(
        self,
        executor: Executor,
        keys: Keys,
        node_id: str,
        address: str,
        *,
        interval_s: float,
        ttl_s: float,
        on_view: Callable[[View], None],
        is_away: Callable[[], bool] = lambda: False,
        guard: DataGuard | None = None,
    ) -> None:
        self.view = View(0, keys.partitions, ())
        self._executor = executor
        self._calls = MembershipCalls(keys)
        self._me = Member(node_id, secrets.token_hex(8), address, formats=FORMATS)
        self._interval_s = interval_s
        self._ttl_s = ttl_s
        self._on_view = on_view
        self._is_away = is_away
        self._guard = guard
        self._is_heard = True
        self._has_left = False
        self._beating = asyncio.Lock()

    @property
    def is_member(self) -> bool:
        """Return True if this process is a member in the last view."""
        return any(member.incarnation == self._me.incarnation for member in self.view.members)

    async def join(self) -> None:
        """Become a member, and return once this node is one, however long the store is away.

        Another process that holds the node_id may be this one's predecessor, so this one waits for a TTL; and for a
        second TTL, which all members get after a long time without any heartbeat (lua/members.lua).

        Raises:
            NotAMember: another process holds the node_id, there are too many members, or the members have another
                number of partitions.
        """
        loop = asyncio.get_running_loop()
        give_up_at = None
        while (refused := await self._try_beat()) is not None or not self.is_member:
            pause_s = self._pause_s()
            if refused is not None:
                if refused.is_lasting:
                    raise NotAMember(refused.reason)
                # The holder may be this process's dead predecessor, whose membership ends within this time.
                if give_up_at is None:
                    give_up_at = loop.time() + 2 * (self._ttl_s + self._interval_s)
                    log.warning(
                        "join_refused reason=%r: waiting for that membership to expire", refused.reason
                    )
                elif loop.time() > give_up_at:
                    raise NotAMember(refused.reason)
                pause_s = min(self._interval_s, refused.left_us / 1e6)
            await asyncio.sleep(pause_s)
        log.info("joined node=%s members=%d", self._me.node_id, len(self.view.members))

    async def run(self) -> None:
        """Stay a member until cancelled.

        Raises:
            NotAMember: another process took the node_id while this one was silent for a TTL. This process does not take
                it back: one of the two must stop, and the other one was started later, on purpose.
        """
        while not self._has_left:
            await asyncio.sleep(self._pause_s())
            refused = None if self._is_away() else await self._try_beat()
            if refused is not None:
                raise NotAMember(refused.reason)

    async def drain(self) -> None:
        """Give up all partitions, and announce it at once if this node is a member and reaches the store."""
        self._me = msgspec.structs.replace(self._me, is_draining=True)
        if self.is_member:
            await self._try_beat()

    async def leave(self) -> None:
        """Leave the membership. If the store is away, the membership expires by itself after a TTL."""
        async with self._beating:
            self._has_left = True
            try:
                await self._executor.one(self._calls.leave(self._me.node_id, self._me.incarnation))
            except SharqError as error:
                log.warning("leave_failed error=%r", error.message)

    async def _try_beat(self) -> Refused | None:
        """Send one heartbeat; log a store that is away once."""
        try:
            refused = await self._beat()
        except SharqError as error:
            if self._is_heard:
                log.warning(
                    "heartbeat_failed error=%r: going on with view %d", error.message, self.view.version
                )
            self._is_heard = False
            return None
        if not self._is_heard:
            log.info("heartbeat_back")
        self._is_heard = True
        return refused

    async def _beat(self) -> Refused | None:
        """Send one heartbeat at a time, so that none overtakes the one that announces the drain, or the leave."""
        async with self._beating:
            if self._has_left:
                return None
            outcome = await self._ask(names_members=False)
            if isinstance(outcome, MembersLost):
                log.warning(
                    "members_lost members=%d: the store has forgotten them; naming them again",
                    len(self.view.members),
                )
                outcome = await self._ask(names_members=True)
            if isinstance(outcome, Refused):
                return outcome
            # The store does not hold this node's data set.
            if not isinstance(outcome, View):
                if self._guard is not None:
                    self._guard.suspect()
                raise outcome
            self._take(outcome)
            return None

    async def _ask(self, *, names_members: bool) -> View | Refused | DataMissed | MembersLost:
        call = self._calls.heartbeat(
            self._me,
            int(self._ttl_s * 1e6),
            data_id=self._guard.data_id if self._guard else "",
            view=self.view,
            names_members=names_members,
        )
        return await self._executor.one(call)

    def _take(self, view: View) -> None:
        if view == self.view:
            return
        log.info("view version=%d %s", view.version, view.news(self.view))
        self.view = view
        self._on_view(view)

    def _pause_s(self) -> float:
        return self._interval_s if self._is_heard else min(self._interval_s, RETRY_S)
