"""One server of the store: pipelines over a few connections, its clock, its function library, and whether it answers.

A pipeline that was sent is never sent again: what was not answered in time is *perhaps done*. Not here: which server
a call belongs to (store.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec
import redis.exceptions as driver
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection

from sharq_core.clock import RemoteClock
from sharq_core.errors import OutcomeUnknown, SharqError, Unavailable
from sharq_core.store.connections import Connections, drop, read
from sharq_core.store.durability import Promise
from sharq_core.store.failures import FunctionMissing

log = logging.getLogger(__name__)

Command: TypeAlias = Sequence[bytes | str | int]

CONNECTIONS = 8
"""Most connections to one server: two pipelines of jobs in flight, and room for the reaper, the index and reads."""

KEEPING_CONNECTIONS = 4
"""Besides those, most that wait for replicas: nothing else is ever behind them."""

_FIRST_PAUSE_S = 0.1
_LAST_PAUSE_S = 0.5
"""Between two tries to reach a server that is away."""

_LOOK_TIMEOUT_S = 0.5
"""Longest wait of one such try."""

_ASKING = pack_command((b"ASKING",))


class FunctionLibrary(msgspec.Struct, frozen=True):
    """The functions that every server must have.

    Attributes:
        revision: a server's library is replaced only by one of a higher revision; `<name>_revision` tells it.
        source: what FUNCTION LOAD takes.
        time_us: what an answer of its functions says of the server's time.
    """

    name: str
    revision: int
    source: str
    time_us: Callable[[Any], int]


class StoreNode:
    """A Redis or Valkey server.

    Args:
        url: redis://, rediss:// or unix://, with user, password and db.
        timeout_s: no call takes longer, connecting included.
        promise: what has to be true before a call is answered; None for nothing.

    Attributes:
        name: host:port or the path of its socket.
        failed_unsent, failed_sent: pipelines that failed, and were not done or perhaps done.
    """

    def __init__(
        self, url: str, library: FunctionLibrary, *, timeout_s: float, promise: Promise | None = None
    ) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.timeout_s = timeout_s
        self.clock = RemoteClock()
        self.is_reachable = False
        self.name = f"{self.host}:{parts.port}" if self.host else parts.path
        self._where = f"host={self.host} port={parts.port}" if self.host else f"path={parts.path}"
        self._library = library
        self._loading = asyncio.Lock()
        self._connections = Connections(url, timeout_s, self.clock)
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._promise = promise
        self._keeping_slots = asyncio.Semaphore(KEEPING_CONNECTIONS)
        self._heard_at = asyncio.get_running_loop().time()
        self._away: Unavailable | None = None
        self._look_out: asyncio.Task[None] | None = None
        self.failed_unsent = 0
        self.failed_sent = 0

    @property
    def connects(self) -> int:
        """Connections opened so far."""
        return self._connections.opened

    async def call(
        self, calls: Sequence[Command], timeout_s: float | None = None, *, is_asking: bool = False
    ) -> list[Any | SharqError]:
        """Run calls of the library's functions as `execute` does, and give the server the library if it lacks it.

        A call that found no library did nothing, so it is sent once more when the library is there. A call that the
        promise covers and that was done without it comes to NotKept.
        """
        is_promised = self._promise is not None and any(map(self._promise.covers, calls))
        run = self._execute_kept if is_promised else self.execute
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._bounded(timeout_s)
        asked_at = monotonic()
        answers = await run(calls, timeout_s, is_asking=is_asking)
        missed = [index for index, answer in enumerate(answers) if isinstance(answer, FunctionMissing)]
        if missed:
            again: Sequence[Any | SharqError]
            try:
                async with asyncio.timeout_at(deadline):
                    await self.load_library()
            except (Unavailable, TimeoutError) as error:
                again = [Unavailable(f"the store has no function library and took none: {error}")] * len(
                    missed
                )
            else:
                left_s = max(deadline - loop.time(), 0.0)
                again = await run([calls[index] for index in missed], left_s, is_asking=is_asking)
            for index, answer in zip(missed, again, strict=True):
                answers[index] = answer
        if not isinstance(answers[-1], SharqError):
            self.clock.learn(self._library.time_us(answers[-1]), asked_at)
        return answers

    async def execute(
        self,
        commands: Sequence[Command],
        timeout_s: float | None = None,
        *,
        is_asking: bool = False,
        slots: asyncio.Semaphore | None = None,
    ) -> list[Any | SharqError]:
        """Send commands as one pipeline; for each its answer, or the error that it came to.

        Args:
            timeout_s: the time left, at most the node's own timeout, which it is when None.
            is_asking: the server is getting the slot and does not own it yet: ASKING goes before each command.
            slots: bound the connections in use; None for the ordinary ones.
        """
        if self._away is not None:
            return [self._away] * len(commands)
        answers: list[Any | SharqError] = []
        timeout_s = self._bounded(timeout_s)
        was_sent = False
        connection: AbstractConnection | None = None
        try:
            async with asyncio.timeout(timeout_s), slots or self._slots:
                connection = await self._connections.take()
                packed = [pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type] # its stub says one
                if is_asking:
                    packed = [piece for command in packed for piece in (_ASKING, command)]
                was_sent = True
                await connection.send_packed_command(packed, check_health=False)
                for _ in commands:
                    if is_asking:
                        await read(connection)
                    answers.append(await read(connection))
                await self._connections.give_back(connection)
                connection = None
                self._note_reached()
        except Unavailable as error:
            answers += [error] * (len(commands) - len(answers))
        except (TimeoutError, OSError, driver.RedisError) as error:
            answers += [self._failed(error, was_sent, timeout_s)] * (len(commands) - len(answers))
        finally:
            if connection is not None:
                await drop(connection)
        return answers

    async def _execute_kept(
        self, calls: Sequence[Command], timeout_s: float | None = None, *, is_asking: bool = False
    ) -> list[Any | SharqError]:
        """As `execute`, with the promise's questions behind the calls, on a connection that nothing else waits for."""
        assert self._promise is not None
        questions = self._promise.questions(self._bounded(timeout_s))
        answers = await self.execute(
            [*calls, *questions], timeout_s, is_asking=is_asking, slots=self._keeping_slots
        )
        settle, kept = self._promise.settle, answers[-1]
        return [settle(call, answer, kept) for call, answer in zip(calls, answers, strict=False)]

    async def load_library(self) -> None:
        """Give the server the library, unless it has one of the same or a higher revision.

        Raises:
            Unavailable: the server cannot be reached or refuses.
        """
        async with self._loading:
            revision = (await self.execute([[b"FCALL", f"{self._library.name}_revision", 0]]))[0]
            if isinstance(revision, SharqError) and not isinstance(revision, FunctionMissing):
                raise Unavailable(revision.message)
            if not isinstance(revision, SharqError) and int(revision) >= self._library.revision:
                return
            answer = (await self.execute([[b"FUNCTION", b"LOAD", b"REPLACE", self._library.source]]))[0]
            if isinstance(answer, SharqError):
                raise Unavailable(answer.message)
            log.info(
                "library_loaded name=%s revision=%d %s",
                self._library.name,
                self._library.revision,
                self._where,
            )

    def not_after_us(self, since: float | None = None) -> int | None:
        """The server's time (µs) at which a call times out whose work came in at `since` (the loop's seconds; None:
        now). None while that clock is unknown.
        """
        now_us = self.clock.now_us()
        if now_us is None:
            return None
        waited_s = 0.0 if since is None else asyncio.get_running_loop().time() - since
        return now_us + int((self.timeout_s - waited_s) * 1e6)

    async def close(self) -> None:
        """Close the connections; what is in flight gets its answers first."""
        if self._look_out is not None:
            self._look_out.cancel()
            await asyncio.gather(self._look_out, return_exceptions=True)
        await self._connections.close()

    def _bounded(self, timeout_s: float | None) -> float:
        return self.timeout_s if timeout_s is None else min(timeout_s, self.timeout_s)

    def _note_reached(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if not self.is_reachable:
            self.is_reachable = True
            log.info("store_reached %s", self._where)

    def _failed(self, error: Exception, was_sent: bool, timeout_s: float) -> SharqError:
        reason = f"no answer within {timeout_s:.3g} s" if isinstance(error, TimeoutError) else str(error)
        if self.is_reachable or not was_sent:
            log.warning("store_unreachable %s sent=%s error=%r", self._where, was_sent, reason)
        self.is_reachable = False
        if self._look_out is None:
            self._look_out = asyncio.create_task(self._look_until_reached())
        if was_sent:
            self.failed_sent += 1
            return OutcomeUnknown(f"the store did not answer ({reason}): the call may have been done")
        self.failed_unsent += 1
        refusal = Unavailable(f"the store cannot be reached: {reason}")
        if self._is_away(error):
            self._away = refusal
        return refusal

    def _is_away(self, failure: Exception) -> bool:
        """A server that refuses connections is away at once, a silent one when nothing came of it for a whole timeout:
        it may have been busy.
        """
        silent_s = asyncio.get_running_loop().time() - self._heard_at
        return silent_s >= self.timeout_s or not isinstance(failure, TimeoutError)

    async def _look_until_reached(self) -> None:
        """Try to connect until the server answers; while it is away its calls are refused, so that none has to wait for
        its own timeout.
        """
        pause_s = _FIRST_PAUSE_S
        while (failure := await self._look()) is not None:
            if self._is_away(failure):
                self._away = Unavailable(f"the store cannot be reached: {str(failure) or 'it is silent'}")
                await self._connections.drop_idle()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)
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
