"""Sends one pipeline of calls to the servers of their slots, and again if a slot is, or is about to be, elsewhere.

Only refused calls are sent again: nothing of them was done. A call that was sent and not answered is *perhaps done* and
stays so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeAlias

from sharq_core.errors import SharqError
from sharq_core.store.commands import FcallCommand
from sharq_core.store.failures import Misplaced, Redirected
from sharq_core.store.node import StoreNode
from sharq_core.store.resend import to_resend

_FIRST_PAUSE_S = 0.001
_LAST_PAUSE_S = 0.05
"""The bounds of the pause in seconds between two rounds: a slot moves in milliseconds, a failover takes seconds."""

_Route: TypeAlias = tuple[StoreNode | None, bool]
"""The server, and True if it needs ASKING because the slot still belongs to another."""

_NOBODY = Misplaced("no server of the store is in charge of these jobs now")


class Slots(Protocol):
    """The owners of the slots, as far as known."""

    def node_of(self, slot: int) -> StoreNode | None:
        """Return the server of a slot; None if no server is known to have it."""
        ...

    def node_at(self, host: str, port: int) -> StoreNode:
        """Return the server at an address."""
        ...

    def on_moved(self, slot: int, node: StoreNode) -> None:
        """Note that `node` owns the slot now, as its former owner says."""
        ...

    def mark_stale(self) -> None:
        """Note that the known owners may be out of date."""
        ...


class RedirectingPipeline:
    """One pipeline in progress.

    Args:
        slots: the slot of each call.
        deadline: the loop's time at which to stop sending, in seconds.

    Attributes:
        resent: calls sent again so far.
    """

    def __init__(
        self, owners: Slots, calls: Sequence[FcallCommand], slots: Sequence[int], deadline: float
    ) -> None:
        self._owners = owners
        self._calls = calls
        self._slots = slots
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._answers: list[Any | SharqError] = [_NOBODY] * len(calls)
        self._detours: dict[int, _Route] = {}
        self.resent = 0

    async def run(self) -> list[Any | SharqError]:
        """Return the answer or the error of each call."""
        remaining: Sequence[int] = range(len(self._calls))
        for pause_s in _pauses():
            routes = await self._send(remaining)
            remaining = to_resend(self._calls, self._answers, Misplaced, remaining)
            if not remaining or self._loop.time() + pause_s >= self._deadline:
                break
            self._learn(remaining, routes)
            self.resent += sum(len(self._calls[index].keys) for index in remaining)
            await asyncio.sleep(pause_s)
        return self._answers

    async def _send(self, indices: Sequence[int]) -> dict[int, _Route]:
        """Send these calls concurrently, one pipeline per server; return the route of each slot.

        All calls of a slot take one route, in order (I3).
        """
        routes = {slot: self._route(slot) for slot in dict.fromkeys(self._slots[i] for i in indices)}
        groups: dict[_Route, list[int]] = {}
        for index in indices:
            groups.setdefault(routes[self._slots[index]], []).append(index)
        await asyncio.gather(*(self._send_to(route, group) for route, group in groups.items()))
        return routes

    def _route(self, slot: int) -> _Route:
        return self._detours.get(slot) or (self._owners.node_of(slot), False)

    async def _send_to(self, route: _Route, indices: Sequence[int]) -> None:
        node, is_asking = route
        if node is None:
            return
        left_s = max(self._deadline - self._loop.time(), 0.0)
        answers = await node.call([self._calls[index] for index in indices], left_s, is_asking=is_asking)
        for index, answer in zip(indices, answers, strict=True):
            self._answers[index] = answer
        if not node.is_reachable:
            self._owners.mark_stale()

    def _learn(self, refused: Sequence[int], routes: dict[int, _Route]) -> None:
        """Learn the new route of each slot from its first refusal."""
        self._detours = {}
        # Backwards, so that the first refusal of a slot overwrites what later ones say.
        for index in reversed(refused):
            slot, answer = self._slots[index], self._answers[index]
            node = routes[slot][0]
            self._detours.pop(slot, None)
            if isinstance(answer, Redirected):
                self._redirect(slot, answer, node)
                continue
            if node is not None:
                node.misplaced_at = self._loop.time()
            self._owners.mark_stale()

    def _redirect(self, slot: int, answer: Redirected, asked: StoreNode | None) -> None:
        node = self._owners.node_at(answer.host or (asked.host if asked else ""), answer.port)
        if answer.is_lasting:
            self._owners.on_moved(slot, node)
        else:
            self._detours[slot] = (node, True)


def _pauses() -> Iterator[float]:
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _LAST_PAUSE_S)
