"""One server of the store: pipelines over a few connections, its clock, and whether it answers.

A pipeline that was sent is never sent again: what was not answered in time is *perhaps done*. Not here: which server
a call belongs to (store.py), its function library (supply.py), and whether its replicas keep up (keeping.py).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import redis.exceptions as driver
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection

from sharq_core.clock import RemoteClock
from sharq_core.errors import SharqError, StoreAway, StoreSilent, Unavailable
from sharq_core.store.commands import Command, Fcall, pack
from sharq_core.store.connections import ServerConnections, ask, drop, read
from sharq_core.store.failures import FunctionMissing, Misplaced, why_away
from sharq_core.store.library_loader import FunctionLibrary, LibraryLoader
from sharq_core.store.node_health import NodeHealth
from sharq_core.store.replication.durability import Promise
from sharq_core.store.replication.replication_guard import ReplicationGuard
from sharq_core.store.resend import to_resend
from sharq_core.store.witness import Witness

log = logging.getLogger(__name__)

CONNECTIONS = 8
"""Most connections to one server: two pipelines of jobs in flight, and room for the reaper, the index and reads."""

_FIRST_PAUSE_S = 0.1
_LAST_PAUSE_S = 0.5
"""Between two tries to reach a server that is away."""

_LOOK_TIMEOUT_S = 0.5
"""Longest wait of one such try."""

_ASKING = pack_command((b"ASKING",))


class StoreNode:
    """A Redis or Valkey server.

    Args:
        url: redis://, rediss:// or unix://, with user, password and db.
        timeout_s: no call takes longer, connecting included.
        promise: what has to be true before a call is answered; None for nothing.
        doubt: called when it may be another server's turn.
        until_confirmed: waited for before a server that was away gets calls again, because another may have been
            promoted in its place meanwhile; None if nobody does that.
        on_clock_step: told when an answer shows that the server's clock has stepped.

    Attributes:
        name: host:port or the path of its socket.
        keeping: whether its replicas keep what is promised; None when nothing is.
        failed_unsent, failed_sent: pipelines that failed, and were not done or perhaps done.
        health: why it is out of reach, or does not do what it is asked.
        witness: looks at the data over each new connection; None for nobody.
        misplaced_at: when it last refused calls because it is a replica, or others hold their keys; in the loop's
            seconds.
        doubt: what calls come to because the server may not hold the data that it should; None while it does.
    """

    def __init__(
        self,
        url: str,
        library: FunctionLibrary,
        *,
        timeout_s: float,
        promise: Promise | None = None,
        doubt: Callable[[], None] = lambda: None,
        until_confirmed: Callable[[], Awaitable[None]] | None = None,
        on_clock_step: Callable[[], None] | None = None,
    ) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.timeout_s = timeout_s
        self.clock = RemoteClock()
        self._on_clock_step = on_clock_step
        self.is_reachable = False
        self.name = f"{self.host}:{parts.port}" if self.host else parts.path
        self._where = f"host={self.host} port={parts.port}" if self.host else f"path={parts.path}"
        self._library = library
        self._supply = LibraryLoader(library, self._where)
        self._connections = ServerConnections(url, timeout_s, self._prepare)
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._doubt = doubt
        self._until_confirmed = until_confirmed
        self.keeping = None if promise is None else self._make_keeping(promise)
        self._loop = asyncio.get_running_loop()
        self.health = NodeHealth(self._where, has_tls=parts.scheme == "rediss")
        self._heard_at = self._loop.time()
        self._away: Unavailable | None = None
        self._look_out: asyncio.Task[None] | None = None
        self._is_closed = False
        self.witness: Witness | None = None
        self.doubt: Unavailable | None = None
        self.misplaced_at = -math.inf
        self.failed_unsent = 0
        self.failed_sent = 0

    @property
    def connects(self) -> int:
        """Connections opened so far."""
        return self._connections.opened

    @property
    def heard_at(self) -> float:
        """When it answered last, in the loop's seconds; when it was made, before the first answer."""
        return self._heard_at

    async def call(
        self, calls: Sequence[Fcall], timeout_s: float | None = None, *, is_asking: bool = False
    ) -> list[Any | SharqError]:
        """Run calls of the library's functions as `execute` does, and give the server the library if it lacks it.

        A call that found no library did nothing, so it is sent once more when the library is there, unless a later one
        of its kind was done (I3). A call that the promise covers and that was done without it comes to NotKept.
        """
        keeping = self.keeping
        run = self.execute if keeping is None or not keeping.covers(calls) else keeping.execute
        deadline = self._loop.time() + self._bounded(timeout_s)
        if not self._supply.has_begun and self._away is None:
            await self._begin_supply(deadline)
            timeout_s = max(deadline - self._loop.time(), 0.0)
        asked_at = monotonic()
        answers = await run(calls, timeout_s, is_asking=is_asking)
        if FunctionMissing in map(type, answers) and (missed := to_resend(calls, answers, FunctionMissing)):
            lacking = await self._supplied(deadline)
            left_s = max(deadline - self._loop.time(), 0.0)
            again = [calls[index] for index in missed]
            found = [lacking] * len(missed) if lacking else await run(again, left_s, is_asking=is_asking)
            for index, answer in zip(missed, found, strict=True):
                answers[index] = answer
        if isinstance(answers[-1], SharqError) or self.health.refuses:
            self.health.note_answers(answers)
        if not isinstance(answers[-1], SharqError):
            self._learn(self._library.time_us(answers[-1]), asked_at)
        return answers

    async def execute(
        self,
        commands: Sequence[Command | Fcall],
        timeout_s: float | None = None,
        *,
        is_asking: bool = False,
        slots: AbstractAsyncContextManager[Any] | None = None,
        used: list[AbstractConnection] | None = None,
    ) -> list[Any | SharqError]:
        """Send commands as one pipeline; for each its answer, or the error that it came to.

        Args:
            timeout_s: the time left, at most the node's own timeout, which it is when None.
            is_asking: the server is getting the slot and does not own it yet: ASKING goes before each command.
            slots: bounds the connections in use; None for the bound of the ordinary ones.
            used: gets the connection, if everything was answered, instead of it being kept for the next one.
        """
        answers: list[Any | SharqError] = []
        timeout_s = self._bounded(timeout_s)
        refusal = self._refusal_of(commands, timeout_s)
        if refusal is not None:
            return [refusal] * len(commands)
        was_sent = False
        connection: AbstractConnection | None = None
        try:
            async with asyncio.timeout(timeout_s), slots or self._slots:
                connection = await self._take(commands)
                packed = pack(commands)
                if is_asking:
                    packed = [piece for command in packed for piece in (_ASKING, command)]
                was_sent = True
                await connection.send_packed_command(packed, check_health=False)
                await (_read_asked if is_asking else read)(connection, len(commands), answers)
                if used is None:
                    await self._connections.give_back(connection)
                else:
                    used.append(connection)
                connection = None
                self._note_reached()
        except Unavailable as error:
            self.health.note_answers([error])
            answers += [error] * (len(commands) - len(answers))
        except (TimeoutError, OSError, driver.RedisError) as error:
            answers += [self._failed(error, was_sent, timeout_s)] * (len(commands) - len(answers))
        finally:
            if connection is not None:
                await drop(connection)
        return answers

    async def load_library(self) -> None:
        """Give the server the library, unless it has one of the same or a higher revision; from now on whoever reaches
        it anew sees to that.

        Raises:
            Unavailable: the server cannot be reached or refuses.
        """
        if self._away is not None:
            raise self._away
        connection: AbstractConnection | None = None
        try:
            async with asyncio.timeout(self.timeout_s), self._slots:
                connection = await self._connections.take()
                await self._supply.see_to(connection)
                await self._connections.give_back(connection)
                connection = None
                self._note_reached()
        except Unavailable as error:
            self.health.note_answers([error])
            raise
        except (TimeoutError, OSError, driver.RedisError) as error:
            raise Unavailable(self._failed(error, connection is not None, self.timeout_s).message) from error
        finally:
            if connection is not None:
                await drop(connection)

    def stand_by(self) -> None:
        """The server is in charge of nothing: see to the library before it gets calls again."""
        self._supply.has_begun = False

    async def tidy(self) -> None:
        """Close connections that were not used since this was called last, and see to the library of a server that gets
        calls: an older node may have brought an older one.

        Raises:
            Unavailable: the server cannot be reached or refuses the library.
        """
        await self._connections.drop_unused()
        if self._supply.has_begun:
            await self.load_library()

    def _make_keeping(self, promise: Promise) -> ReplicationGuard:
        return ReplicationGuard(
            promise, self._connections, self.execute, self._doubt, self.timeout_s, self._where
        )

    async def _begin_supply(self, deadline: float) -> None:
        """Before the first call of all. Where it fails the calls go on and say what they miss; a server out of reach is
        in the log already.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self.load_library()
        except (Unavailable, TimeoutError) as error:
            level = logging.WARNING if self._supply.has_begun else logging.DEBUG
            log.log(level, "library_refused name=%s %s error=%r", self._library.name, self._where, str(error))

    async def _supplied(self, deadline: float) -> Unavailable | None:
        """Give the server the library that a call missed; returns what the call comes to when it takes none."""
        try:
            async with asyncio.timeout_at(deadline):
                await self.load_library()
        except Misplaced as error:
            return error
        except (Unavailable, TimeoutError) as error:
            return Unavailable(f"the store has no function library and took none: {why_away(error)}")
        return None

    async def _prepare(self, connection: AbstractConnection) -> None:
        """Learn the server's time, so that even the first call carries a time after which it is not done. See to the
        library and to the data, too: what is reached anew may have been started on older data, or on none.
        """
        asked_at = monotonic()
        question = self.witness.question(self) if self.witness is not None else None
        answer, *told = await ask(connection, [(b"TIME",), *([question] if question else [])])
        if isinstance(answer, SharqError):
            raise answer
        self._learn(int(answer[0]) * 1_000_000 + int(answer[1]), asked_at)
        if self.witness is not None and told:
            self.doubt = self.witness.doubt(self, told[0]) or self.doubt
        if self._supply.has_begun:
            await self._supply.look_after(connection)

    def _learn(self, remote_us: int, asked_at: float) -> None:
        if self.clock.learn(remote_us, asked_at) and self._on_clock_step is not None:
            self._on_clock_step()

    def not_after_us(self, since: float | None = None) -> int | None:
        """The server's time (µs) at which a call times out whose work came in at `since` (the loop's seconds; None:
        now). None while that clock is unknown.
        """
        now_us = self.clock.steady_us()
        if now_us is None:
            return None
        waited_s = 0.0 if since is None else self._loop.time() - since
        return now_us + int((self.timeout_s - waited_s) * 1e6)

    async def close(self) -> None:
        """Close the connections; what is in flight gets its answers first."""
        self._is_closed = True
        if self._look_out is not None:
            self._look_out.cancel()
            await asyncio.gather(self._look_out, return_exceptions=True)
        if self.keeping is not None:
            await self.keeping.close()
        await self._connections.close()

    def _refusal_of(self, commands: Sequence[Command | Fcall], timeout_s: float) -> Unavailable | None:
        """What these commands come to without being sent; None when they may be sent."""
        if self._away is not None:
            return self._away
        if self.doubt is not None and self._bars(commands):
            return self.doubt
        return None if timeout_s > 0 else Unavailable("its time was up before it could be sent")

    async def _take(self, commands: Sequence[Command | Fcall]) -> AbstractConnection:
        """A connection for these commands, unless it is a new one and what was heard over it puts the server in doubt;
        raises as Connections.take does.
        """
        connection = await self._connections.take()
        if self.doubt is not None and self._bars(commands):
            await self._connections.give_back(connection)
            raise Unavailable(self.doubt.message)
        return connection

    def _bars(self, commands: Sequence[Command | Fcall]) -> bool:
        """A server in doubt gets nothing but what settles the doubt."""
        return self.witness is None or not self.witness.lets_pass(commands)

    def _bounded(self, timeout_s: float | None) -> float:
        return self.timeout_s if timeout_s is None else min(timeout_s, self.timeout_s)

    def _note_reached(self) -> None:
        self._heard_at = self._loop.time()
        if not self.is_reachable:
            self.is_reachable = True
            self.health.note_reached()

    def _failed(self, error: Exception, was_sent: bool, timeout_s: float) -> SharqError:
        reason = self.health.note_failure(error, timeout_s)
        self.is_reachable = False
        if self._look_out is None and not self._is_closed:
            self._look_out = asyncio.create_task(self._look_until_reached())
        if was_sent:
            self.failed_sent += 1
            return StoreSilent(f"the store did not answer ({reason}): the call may have been done")
        self.failed_unsent += 1
        refusal = StoreAway(f"the store cannot be reached: {reason}")
        if self._is_away(error):
            self._away = refusal
        return refusal

    def _is_away(self, failure: Exception) -> bool:
        """A server that refuses connections is away at once, a silent one when nothing came of it for a whole timeout:
        it may have been busy.
        """
        silent_s = self._loop.time() - self._heard_at
        return silent_s >= self.timeout_s or not isinstance(failure, TimeoutError)

    async def _look_until_reached(self) -> None:
        """Try to connect until the server answers; while it is away its calls are refused, so that none has to wait for
        its own timeout.
        """
        pause_s = _FIRST_PAUSE_S
        while (failure := await self._look()) is not None:
            reason = self.health.note_failure(failure)
            if self._is_away(failure):
                self._away = StoreAway(f"the store cannot be reached: {reason}")
                await self._connections.drop_idle()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)
        if self._away is not None and self._until_confirmed is not None:
            await self._until_confirmed()
        self._away = self._look_out = None
        self._note_reached()

    async def _look(self) -> Exception | None:
        """Make one new connection; returns why it can't be had."""
        try:
            async with asyncio.timeout(min(self.timeout_s, _LOOK_TIMEOUT_S)):
                await self._connections.give_back(await self._connections.open())
        except (TimeoutError, OSError, driver.RedisError, SharqError) as error:
            return error
        return None


async def _read_asked(connection: AbstractConnection, count: int, answers: list[Any | SharqError]) -> None:
    """As `read`, where ASKING, which has an answer too, went before each command."""
    for _ in range(count):
        await read(connection, 1, [])
        await read(connection, 1, answers)
