"""Tracks if one server of the store can be reached, and tries again while it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import redis.exceptions as driver

from sharq_core.errors import SharqError, StoreAway, StoreSilent
from sharq_core.logs.reasons import is_of_this_end
from sharq_core.store.connections import ServerConnections
from sharq_core.store.node_health import NodeHealth

_FIRST_PAUSE_S = 0.1
_LAST_PAUSE_S = 0.5
"""The bounds of the pause in seconds between two tries to reach a server that is away."""

_LOOK_TIMEOUT_S = 0.5
"""The longest wait in seconds of one such try."""


class Reach:
    """The contact with one server.

    Args:
        timeout_s: time limit of a call in seconds, connecting included.
        until_confirmed: awaited before a server that was away gets calls again, because another one may have been
            promoted in its place meanwhile; None if no server is ever promoted.

    Attributes:
        is_reachable: the latest try to use it succeeded.
        heard_at: the loop's time in seconds of the last answer; before the first answer, of the start.
        refusal: the error of every call while the server is away; None while it is not.
        failed_unsent, failed_sent: pipelines that failed, and were not done or perhaps done.
    """

    def __init__(
        self,
        connections: ServerConnections,
        health: NodeHealth,
        timeout_s: float,
        until_confirmed: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._connections = connections
        self._health = health
        self._timeout_s = timeout_s
        self._until_confirmed = until_confirmed
        self._loop = asyncio.get_running_loop()
        self._look_out: asyncio.Task[None] | None = None
        self._is_closed = False
        self.is_reachable = False
        self.heard_at = self._loop.time()
        self.refusal: StoreAway | None = None
        self.failed_unsent = 0
        self.failed_sent = 0

    def note_answer(self) -> None:
        """Note that the server has answered."""
        self.heard_at = self._loop.time()
        if not self.is_reachable:
            self.is_reachable = True
            self._health.note_reached()

    def note_failure(self, error: Exception, timeout_s: float, *, was_sent: bool) -> SharqError:
        """Note that a pipeline failed; return the error of its calls.

        Args:
            timeout_s: the time that the pipeline had, in seconds.
            was_sent: True if some of it may have reached the server, so that it was perhaps done.
        """
        reason = self._health.note_failure(error, timeout_s)
        self.is_reachable = False
        if self._look_out is None and not self._is_closed:
            self._look_out = asyncio.create_task(self._look_until_reached())
        if was_sent:
            self.failed_sent += 1
            return StoreSilent(f"the store did not answer ({reason}): the call may have been done")
        self.failed_unsent += 1
        refusal = StoreAway(f"the store cannot be reached: {reason}")
        if self._is_away(error):
            self.refusal = refusal
        return refusal

    async def close(self) -> None:
        """Stop trying to reach the server."""
        self._is_closed = True
        if self._look_out is not None:
            self._look_out.cancel()
            await asyncio.gather(self._look_out, return_exceptions=True)

    def _is_away(self, failure: Exception) -> bool:
        """Return True if the server counts as away.

        A server that refuses connections is away at once. A silent one is away after a whole timeout without an answer:
        it may have been busy. The same if this process cannot open a connection for want of files, because calls over
        its open ones are still answered.
        """
        silent_s = self._loop.time() - self.heard_at
        is_telling = not isinstance(failure, TimeoutError) and not is_of_this_end(failure)
        return silent_s >= self._timeout_s or is_telling

    async def _look_until_reached(self) -> None:
        """Try to connect until the server answers.

        While it is away its calls are refused, so that none has to wait for its own timeout.
        """
        pause_s = _FIRST_PAUSE_S
        while (failure := await self._look()) is not None:
            reason = self._health.note_failure(failure)
            if self._is_away(failure):
                self.refusal = StoreAway(f"the store cannot be reached: {reason}")
                await self._connections.drop_idle()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)
        if self.refusal is not None and self._until_confirmed is not None:
            await self._until_confirmed()
        self.refusal = self._look_out = None
        self.note_answer()

    async def _look(self) -> Exception | None:
        """Make one new connection; return the error if that fails."""
        try:
            async with asyncio.timeout(min(self._timeout_s, _LOOK_TIMEOUT_S)):
                await self._connections.release(await self._connections.open())
        except (TimeoutError, OSError, driver.RedisError, SharqError) as error:
            return error
        return None
