"""Runs pipelines on one server of the store over a few connections, and tracks its clock.

A pipeline that was sent is never sent again: a call without an answer in time is *perhaps done*.
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
from sharq_core.errors import SharqError, Unavailable
from sharq_core.store.commands import Command, FcallCommand, pack
from sharq_core.store.connections import ServerConnections, ask, drop, read
from sharq_core.store.failures import FunctionMissing, Misplaced, why_away
from sharq_core.store.library_loader import FunctionLibrary, LibraryLoader
from sharq_core.store.node_health import NodeHealth
from sharq_core.store.reach import Reach
from sharq_core.store.replication.durability import Promise
from sharq_core.store.replication.replication_guard import ReplicationGuard
from sharq_core.store.resend import to_resend
from sharq_core.store.witness import Witness

log = logging.getLogger(__name__)

CONNECTIONS = 8
"""The most connections to one server: two pipelines of jobs in flight, and room for the reaper, the index and reads."""

_ASKING = pack_command((b"ASKING",))


class StoreNode:
    """A Redis or Valkey server.

    Args:
        url: redis://, rediss:// or unix://, with user, password and db.
        timeout_s: time limit of a call in seconds, connecting included.
        promise: condition for the answer of a call; None for no condition.
        doubt: called when another server may be in charge.
        until_confirmed: awaited before a server that was away gets calls again, because another one may have been
            promoted in its place meanwhile; None if no server is ever promoted.
        on_clock_step: called when an answer shows that the server's clock has stepped.

    Attributes:
        name: host:port or the path of its socket.
        keeping: the guard of the promise; None if nothing is promised.
        reach: the contact with the server.
        health: the reason if the server is out of reach or refuses its work.
        witness: checks the data over each new connection; None for no check.
        misplaced_at: the loop's time in seconds of the last refusal because it is a replica or others hold the keys.
        doubt: the error for calls while the server may not hold its data; None while it does.
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
        self.name = f"{self.host}:{parts.port}" if self.host else parts.path
        self._where = f"host={self.host} port={parts.port}" if self.host else f"path={parts.path}"
        self._library = library
        self._loader = LibraryLoader(library, self._where)
        self._connections = ServerConnections(url, timeout_s, self._prepare)
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._doubt = doubt
        self.keeping = None if promise is None else self._make_keeping(promise)
        self._loop = asyncio.get_running_loop()
        self.health = NodeHealth(self._where, has_tls=parts.scheme == "rediss")
        self.reach = Reach(self._connections, self.health, timeout_s, until_confirmed)
        self.witness: Witness | None = None
        self.doubt: Unavailable | None = None
        self.misplaced_at = -math.inf

    @property
    def connects(self) -> int:
        """The number of connections opened so far."""
        return self._connections.opened

    @property
    def heard_at(self) -> float:
        """The loop's time in seconds of the last answer; before the first answer, of the node's creation."""
        return self.reach.heard_at

    @property
    def is_reachable(self) -> bool:
        """The latest try to use the server succeeded."""
        return self.reach.is_reachable

    async def call(
        self, calls: Sequence[FcallCommand], timeout_s: float | None = None, *, is_asking: bool = False
    ) -> list[Any | SharqError]:
        """Run calls of the library's functions as `execute` does, and load the library if the server lacks it.

        A call that found no library did nothing. It is sent once more when the library is loaded, unless a later call
        of its kind was done (I3). The result of a call that was done but not confirmed as promised is NotKept.
        """
        keeping = self.keeping
        run = self.execute if keeping is None or not keeping.covers(calls) else keeping.execute
        timeout_s = self.timeout_s if timeout_s is None else min(timeout_s, self.timeout_s)
        deadline = self._loop.time() + timeout_s
        # The first call checks the library, because an older node may have loaded an older one.
        if not self._loader.has_checked and self.reach.refusal is None:
            await self._begin_loading(deadline)
            timeout_s = max(deadline - self._loop.time(), 0.0)
        asked_at = monotonic()
        answers = await run(calls, timeout_s, is_asking=is_asking)
        # The server was restarted without its library. It did nothing, so the calls may be sent again.
        if FunctionMissing in map(type, answers) and (missed := to_resend(calls, answers, FunctionMissing)):
            lacking = await self._supplied(deadline)
            left_s = max(deadline - self._loop.time(), 0.0)
            again = [calls[index] for index in missed]
            second = [lacking] * len(missed) if lacking else await run(again, left_s, is_asking=is_asking)
            for index, answer in zip(missed, second, strict=True):
                answers[index] = answer
        # A refusal concerns all writes alike, so the last answer shows the present state.
        if isinstance(answers[-1], SharqError) or self.health.refuses:
            self.health.note_answers(answers)
        if not isinstance(answers[-1], SharqError):
            has_stepped = self.clock.learn(answers[-1][self._library.time_index], asked_at)
            if has_stepped and self._on_clock_step is not None:
                self._on_clock_step()
        return answers

    async def execute(
        self,
        commands: Sequence[Command | FcallCommand],
        timeout_s: float | None = None,
        *,
        is_asking: bool = False,
        slots: AbstractAsyncContextManager[Any] | None = None,
        used: list[AbstractConnection] | None = None,
    ) -> list[Any | SharqError]:
        """Send commands as one pipeline; return the answer or the error of each.

        Args:
            timeout_s: the remaining time in seconds, at most the node's own timeout; None for that timeout.
            is_asking: the server is receiving the slot and does not own it yet: ASKING precedes each command.
            slots: bounds the connections in use; None for the bound of ordinary connections.
            used: gets the connection if everything was answered; None lets the node keep it for reuse.
        """
        answers: list[Any | SharqError] = []
        timeout_s = self.timeout_s if timeout_s is None else min(timeout_s, self.timeout_s)
        if self.reach.refusal is not None or self.doubt is not None or timeout_s <= 0:
            refusal = self._refusal_of(commands, timeout_s)
            if refusal is not None:
                return [refusal] * len(commands)
        was_sent = False
        connection: AbstractConnection | None = None
        try:
            async with asyncio.timeout(timeout_s), slots or self._slots:
                connection = await self._connections.take()
                if self.doubt is not None and self._bars(commands):  # the new connection raised the doubt
                    await self._connections.release(connection)
                    connection = None
                    raise Unavailable(self.doubt.message)  # noqa: TRY301 - the connection is kept
                packed = _pack_asking(commands) if is_asking else pack(commands)
                # From here on, a failure leaves open if the server has run the commands.
                was_sent = True
                await connection.send_packed_command(packed, check_health=False)
                await (_read_asked if is_asking else read)(connection, len(commands), answers)
                if used is None:
                    await self._connections.release(connection)
                else:
                    used.append(connection)
                connection = None
                self.reach.heard_at = self._loop.time()
                if not self.reach.is_reachable:
                    self.reach.note_answer()
        except Unavailable as error:
            self.health.note_answers([error])
            answers += [error] * (len(commands) - len(answers))
        except (TimeoutError, OSError, driver.RedisError) as error:
            failure = self.reach.note_failure(error, timeout_s, was_sent=was_sent)
            answers += [failure] * (len(commands) - len(answers))
        finally:
            if connection is not None:
                await drop(connection)
        return answers

    async def load_library(self) -> None:
        """Load the library unless the server has one of the same or a higher revision.

        From now on new connections check it.

        Raises:
            Unavailable: the server cannot be reached or refuses.
        """
        if self.reach.refusal is not None:
            raise self.reach.refusal
        connection: AbstractConnection | None = None
        try:
            async with asyncio.timeout(self.timeout_s), self._slots:
                connection = await self._connections.take()
                await self._loader.ensure(connection)
                await self._connections.release(connection)
                connection = None
                self.reach.note_answer()
        except Unavailable as error:
            self.health.note_answers([error])
            raise
        except (TimeoutError, OSError, driver.RedisError) as error:
            raise Unavailable(
                self.reach.note_failure(error, self.timeout_s, was_sent=connection is not None).message
            ) from error
        finally:
            if connection is not None:
                await drop(connection)

    def stand_by(self) -> None:
        """Note that the server is in charge of nothing: the library is checked before it gets calls again."""
        self._loader.has_checked = False

    async def tidy(self) -> None:
        """Close connections unused since the last call of this, and check the library of a server that gets calls.

        An older node may have brought an older library.

        Raises:
            Unavailable: the server cannot be reached or refuses the library.
        """
        await self._connections.drop_unused()
        if self._loader.has_checked:
            await self.load_library()

    def _make_keeping(self, promise: Promise) -> ReplicationGuard:
        return ReplicationGuard(
            promise, self._connections, self.execute, self._doubt, self.timeout_s, self._where
        )

    async def _begin_loading(self, deadline: float) -> None:
        """Check the library before the very first call.

        If that fails, the calls are sent anyway and report what they lack. An unreachable server is in the log already.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self.load_library()
        except (Unavailable, TimeoutError) as error:
            level = logging.WARNING if self._loader.has_checked else logging.DEBUG
            log.log(level, "library_refused name=%s %s error=%r", self._library.name, self._where, str(error))

    async def _supplied(self, deadline: float) -> Unavailable | None:
        """Load the library that a call missed; return the error of the call if the server takes none."""
        try:
            async with asyncio.timeout_at(deadline):
                await self.load_library()
        except Misplaced as error:
            return error
        except (Unavailable, TimeoutError) as error:
            return Unavailable(f"the store has no function library and took none: {why_away(error)}")
        return None

    async def _prepare(self, connection: AbstractConnection) -> None:
        """Learn the server's time over a new connection, so that even the first call carries its `not_after`.

        Check the library and the data too: the server may have been started on older data, or on none.
        """
        asked_at = monotonic()
        question = self.witness.question(self) if self.witness is not None else None
        answer, *evidence = await ask(connection, [(b"TIME",), *([question] if question else [])])
        if isinstance(answer, SharqError):
            raise answer
        self._learn(int(answer[0]) * 1_000_000 + int(answer[1]), asked_at)
        if self.witness is not None and evidence:
            self.doubt = self.witness.doubt(self, evidence[0]) or self.doubt
        if self._loader.has_checked:
            await self._loader.try_ensure(connection)

    def _learn(self, remote_us: int, asked_at: float) -> None:
        if self.clock.learn(remote_us, asked_at) and self._on_clock_step is not None:
            self._on_clock_step()

    def not_after_us(self, since: float | None = None) -> int | None:
        """Return the server's time (µs) at which a call times out whose work came in at `since`.

        `since` is the loop's time in seconds; None means now. The result is None while the server's clock is unknown.
        """
        now_us = self.clock.steady_us()
        if now_us is None:
            return None
        waited_s = 0.0 if since is None else self._loop.time() - since
        return now_us + int((self.timeout_s - waited_s) * 1e6)

    async def close(self) -> None:
        """Close the connections; calls in flight get their answers first."""
        await self.reach.close()
        if self.keeping is not None:
            await self.keeping.close()
        await self._connections.close()

    def _refusal_of(self, commands: Sequence[Command | FcallCommand], timeout_s: float) -> Unavailable | None:
        """Return the error of commands that must not be sent; None if they may be sent."""
        if self.reach.refusal is not None:
            return self.reach.refusal
        if self.doubt is not None and self._bars(commands):
            return self.doubt
        return None if timeout_s > 0 else Unavailable("its time was up before it could be sent")

    def _bars(self, commands: Sequence[Command | FcallCommand]) -> bool:
        """Return True if a server in doubt must not get these commands: they do not settle the doubt."""
        return self.witness is None or not self.witness.lets_pass(commands)


def _pack_asking(commands: Sequence[Command | FcallCommand]) -> list[bytes]:
    """Pack as `pack` does, with ASKING before each command."""
    return [piece for command in pack(commands) for piece in (_ASKING, command)]


async def _read_asked(connection: AbstractConnection, count: int, answers: list[Any | SharqError]) -> None:
    """Read as `read` does, after ASKING (which has an answer too) before each command."""
    for _ in range(count):
        await read(connection, 1, [])
        await read(connection, 1, answers)
