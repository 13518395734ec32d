"""This node's place among the shard nodes: it says that it is there, and learns who else is.

While the store is away the last view holds. Not here: what follows from a view (shard/node.py,
shard/cluster/ownership.py), and when a member counts as gone (lua/heartbeat.lua).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

import msgspec

from shard.data_identity.guard import DataGuard
from sharq_core.errors import SharqError
from sharq_core.link.messages import Member, View
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.membership import DataMissed, MembershipCalls, MembersLost, Refused

log = logging.getLogger(__name__)

RETRY_S = 0.25
"""Pause after a heartbeat that failed, if the configured one is not shorter: the store's return is noticed soon."""


class NotAMember(Exception):
    """This node may not be a member; the message says why, and who holds its node_id."""


class Membership:
    """One node's heartbeats.

    Args:
        node_id: the same after a restart; a second process may not use it.
        address: host:port at which routers reach this node.
        interval_s, ttl_s: pause between two heartbeats; the silence after which a node is none.
        on_view: told each view that differs from the one before, at once.
        is_away: this node reaches no server of its store well, and leaves all to others: no heartbeat is due.
        guard: knows which data set this node works on, and looks again when the members do not know it; None for none.

    Attributes:
        view: who is there, as this node heard last; version 0 before it has joined.
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
        self._me = Member(node_id, secrets.token_hex(8), address)
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
        """In the last view this process is a member."""
        return any(member.incarnation == self._me.incarnation for member in self.view.members)

    async def join(self) -> None:
        """Become a member; returns once this node is one, however long the store is away.

        Another process that holds the node_id may be this one's predecessor, so it is given a TTL to run out; and a
        second one, which all members get when nobody was heard for long (lua/members.lua).

        Raises:
            NotAMember: somebody else holds the node_id, there are too many, or they have another number of partitions.
        """
        loop = asyncio.get_running_loop()
        give_up_at = None
        while (refused := await self._try_beat()) is not None or not self.is_member:
            pause_s = self._pause_s()
            if refused is not None:
                if refused.is_lasting:
                    raise NotAMember(refused.reason)
                if give_up_at is None:
                    give_up_at = loop.time() + 2 * (self._ttl_s + self._interval_s)
                    log.warning("join_refused reason=%r: waiting for it to run out", refused.reason)
                elif loop.time() > give_up_at:
                    raise NotAMember(refused.reason)
                pause_s = min(self._interval_s, refused.left_us / 1e6)
            await asyncio.sleep(pause_s)
        log.info("joined node=%s members=%d", self._me.node_id, len(self.view.members))

    async def run(self) -> None:
        """Stay a member, until cancelled.

        Raises:
            NotAMember: another process has taken the node_id while this one was silent for a TTL. It does not take it
                back: one of the two has to go, and whoever started the other wants that one.
        """
        while not self._has_left:
            await asyncio.sleep(self._pause_s())
            refused = None if self._is_away() else await self._try_beat()
            if refused is not None:
                raise NotAMember(refused.reason)

    async def drain(self) -> None:
        """Own nothing any more, and say so now, if this node is a member and the store can be reached."""
        self._me = msgspec.structs.replace(self._me, is_draining=True)
        if self.is_member:
            await self._try_beat()

    async def leave(self) -> None:
        """Be a member no longer; while the store is away that happens by itself, after a TTL."""
        async with self._beating:
            self._has_left = True
            try:
                await self._executor.one(self._calls.leave(self._me.node_id, self._me.incarnation))
            except SharqError as error:
                log.warning("leave_failed error=%r", error.message)

    async def _try_beat(self) -> Refused | None:
        """One heartbeat; a store that is away is logged, once."""
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
        """One at a time, so that no heartbeat passes the one that says draining, or the leave."""
        async with self._beating:
            if self._has_left:
                return None
            outcome = await self._ask(names_members=False)
            if isinstance(outcome, MembersLost):
                log.warning("members_lost members=%d: naming them again", len(self.view.members))
                outcome = await self._ask(names_members=True)
            if isinstance(outcome, Refused):
                return outcome
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
        self.view = view
        log.info(
            "view version=%d members=%s",
            view.version,
            ",".join(member.node_id + " (draining)" * member.is_draining for member in view.members),
        )
        self._on_view(view)

    def _pause_s(self) -> float:
        return self._interval_s if self._is_heard else min(self._interval_s, RETRY_S)
