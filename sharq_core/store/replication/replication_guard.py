"""Answers promised calls on one server once every server that may be promoted has confirmed them.

After a missed confirmation, new work is rejected until the servers have caught up, so that no caller waits for a
replica that is gone and no lease is made in vain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Protocol

import redis.exceptions as driver
from redis.asyncio.connection import AbstractConnection

from sharq_core.errors import SharqError, Unavailable
from sharq_core.store.commands import Command, FcallCommand
from sharq_core.store.connections import ServerConnections, ask, drop
from sharq_core.store.failures import Misplaced, why_away
from sharq_core.store.replication.confirmation import ROUND_S, Confirmation
from sharq_core.store.replication.durability import NotKept, Promise
from sharq_core.store.replication.successors import REPLICATION, parse_replication

log = logging.getLogger(__name__)

KEEPING_CONNECTIONS = 4
"""The most connections to one server that wait for replicas, besides the ordinary ones: no other work waits behind
them.
"""

_WAIT_SHARE = 0.75
"""The share of a call's time spent waiting for replicas.

The answer must come before the call is given up, because a server without an answer counts as unreachable.
"""

_FIRST_PAUSE_S = 0.001
_LAST_PAUSE_S = 0.05
"""The bounds of the pause in seconds between two questions of one wait: the server answers at once if it lacks a
replica that must confirm.
"""

_WHOLE = 0.5
"""The share of the server's timeout from which on one failed wait is enough; a call that came late waits shorter."""

_IN_A_ROW = 3
"""The number of shorter failed waits in a row that is enough."""

_PAUSE_S = 0.25
"""The pause in seconds between two checks for the replicas' return."""

_NOT_ASKED = "no replica confirms anything now"


class Execute(Protocol):
    """The type of StoreNode.execute."""

    async def __call__(
        self,
        commands: Sequence[Command | FcallCommand],
        timeout_s: float | None = None,
        *,
        is_asking: bool = False,
        slots: AbstractAsyncContextManager[Any] | None = None,
        used: list[AbstractConnection] | None = None,
    ) -> list[Any | SharqError]:
        """Send commands and return one answer for each, in order."""
        ...


class ReplicationGuard:
    """The promised calls of one server.

    Args:
        connections: the connections to the server.
        execute: sends a pipeline to it (StoreNode.execute).
        doubt: called if a server that must confirm does not, so that the layout is read again.
        timeout_s: time limit of a call in seconds.
        where: the server, for the log.

    Attributes:
        refusal: the error for new work; None while promises are kept.
        refused: calls refused so far.
        confirmation: the servers that must confirm.
    """

    def __init__(
        self,
        promise: Promise,
        connections: ServerConnections,
        execute: Execute,
        doubt: Callable[[], None],
        timeout_s: float,
        where: str,
    ) -> None:
        self.refusal: Unavailable | None = None
        self.refused = 0
        self.confirmation = Confirmation(promise, where)
        self._promise = promise
        self._connections = connections
        self._execute = execute
        self._doubt = doubt
        self._timeout_s = timeout_s
        self._where = where
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(KEEPING_CONNECTIONS)
        self._in_vain = 0
        self._probe_connection: AbstractConnection | None = None
        self._probe_offset = 0
        self._probe_task: asyncio.Task[None] | None = None
        self._is_closed = False

    def covers(self, calls: Sequence[FcallCommand]) -> bool:
        """Return True if the promise covers some of these calls."""
        return any(self._promise.covers(call.function) for call in calls)

    async def execute(
        self, calls: Sequence[FcallCommand], timeout_s: float | None = None, *, is_asking: bool = False
    ) -> list[Any | SharqError]:
        """Run calls as StoreNode.execute does, on a connection of their own, and wait until the promise is kept.

        The result of a call that was done but not confirmed is NotKept.
        """
        if self.refusal is not None:
            return await self._execute_endings(calls, self.refusal, timeout_s, is_asking=is_asking)
        left_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        give_up_at = self._loop.time() + left_s
        try:
            async with asyncio.timeout_at(give_up_at):
                await self._slots.acquire()
        except TimeoutError:
            return [Unavailable("its time was up before it could be sent")] * len(calls)
        try:
            return await self._execute_kept(calls, give_up_at, is_asking=is_asking)
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Stop asking: the server is no longer the primary."""
        self._is_closed = True
        if self._probe_task is not None:
            self._probe_task.cancel()
            await asyncio.gather(self._probe_task, return_exceptions=True)

    async def _execute_kept(
        self, calls: Sequence[FcallCommand], give_up_at: float, *, is_asking: bool
    ) -> list[Any | SharqError]:
        """Send the calls followed by a query of the stream's length, which the servers must confirm."""
        left_s = max(give_up_at - self._loop.time(), 0.0)
        wait_until = self._loop.time() + _WAIT_SHARE * left_s
        used: list[AbstractConnection] = []
        answers = await self._execute(
            [*calls, REPLICATION, *self.confirmation.questions(wait_until)],
            left_s,
            is_asking=is_asking,
            slots=nullcontext(),
            used=used,
        )
        count = len(calls)
        if not used:
            lost = f"it is unknown if others have it: {_message(answers[-1])}"
            return self._settle(calls, answers, lost)
        reached: bytes | SharqError = answers[count]
        if isinstance(reached, SharqError):
            await self._connections.release(used[0])
            return self._settle(calls, answers, f"its replicas cannot be asked for: {reached.message}")
        offset = parse_replication(reached).offset
        asked = answers[count + 1 :]
        connection, why_not = await self._until_kept(used[0], offset, asked, wait_until, give_up_at)
        settled = self._settle(calls, answers, why_not)
        await self._note(settled, left_s, connection, offset)
        return settled

    async def _until_kept(
        self,
        connection: AbstractConnection,
        offset: int,
        answers: Sequence[Any | SharqError],
        wait_until: float,
        give_up_at: float,
    ) -> tuple[AbstractConnection | None, str | None]:
        """Ask until every server has confirmed the stream up to the offset, or until another server is the primary.

        Returns:
            The connection, None if it was lost; and why the promise is not kept, None if it is.
        """
        # The server answers at once if it lacks a replica that must confirm, so the questions need pauses.
        pause_s = _FIRST_PAUSE_S
        why_not = self.confirmation.why_not(offset, answers)
        while why_not is not None:
            # A replica that does not confirm may have been promoted in the place of this server.
            self._doubt()
            is_over = self._is_closed or self._loop.time() + pause_s >= wait_until
            if is_over or isinstance(answers[0], SharqError):
                break
            try:
                async with asyncio.timeout_at(give_up_at):
                    await asyncio.sleep(pause_s)
                    answers = await ask(connection, self.confirmation.questions(wait_until))
            except (TimeoutError, OSError, driver.RedisError) as error:
                await drop(connection)
                return None, f"it is unknown if others have it: {why_away(error)}"
            except BaseException:
                await drop(connection)
                raise
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)
            why_not = self.confirmation.why_not(offset, answers)
        return connection, why_not

    def _settle(
        self, calls: Sequence[FcallCommand], answers: Sequence[Any | SharqError], why_not: str | None
    ) -> list[Any | SharqError]:
        settle = self._promise.settle
        return [settle(call, answer, why_not) for call, answer in zip(calls, answers, strict=False)]

    async def _execute_endings(
        self, calls: Sequence[FcallCommand], refusal: Unavailable, timeout_s: float | None, *, is_asking: bool
    ) -> list[Any | SharqError]:
        """Refuse new work while no replica follows, and run the rest at once on the primary alone."""
        settled: list[Any | SharqError] = [refusal] * len(calls)
        sent = [index for index, call in enumerate(calls) if not self._promise.refuses(call.function)]
        self.refused += sum(len(call.keys) for call in calls if self._promise.refuses(call.function))
        if sent:
            endings = [calls[index] for index in sent]
            answers = await self._execute(endings, timeout_s, is_asking=is_asking, slots=self._slots)
            for index, answer in zip(sent, answers, strict=True):
                settled[index] = self._promise.settle(calls[index], answer, _NOT_ASKED)
        return settled

    async def _note(
        self,
        settled: Sequence[Any | SharqError],
        waited_s: float,
        connection: AbstractConnection | None,
        offset: int,
    ) -> None:
        """Note the result of an answered pipeline, whose calls had `waited_s`, and take over its connection."""
        unkept = next((answer for answer in settled if isinstance(answer, NotKept)), None)
        if unkept is None:
            self._in_vain = 0
        elif self.refusal is None and not self._is_closed and self._says_enough(waited_s):
            self._break(unkept, connection, offset)
            return
        if connection is not None:
            await self._connections.release(connection)

    def _says_enough(self, waited_s: float) -> bool:
        self._in_vain += 1
        return waited_s >= _WHOLE * self._timeout_s or self._in_vain >= _IN_A_ROW

    def _break(self, unkept: NotKept, connection: AbstractConnection | None, offset: int) -> None:
        durability = self._promise.durability
        self.refusal = Unavailable(
            f"no replica confirms the store's writes (durability {durability}): nothing was done; try again later"
        )
        log.warning("promises_broken %s durability=%s error=%r", self._where, durability, unkept.message)
        self._probe_connection, self._probe_offset = connection, offset
        self._probe_task = asyncio.create_task(self._probe_until_kept())

    async def _probe_until_kept(self) -> None:
        try:
            is_kept = await self._is_kept()
            while not is_kept:
                self._doubt()
                await asyncio.sleep(_PAUSE_S)
                is_kept = await self._is_kept()
        except Exception:
            log.exception("promise_probe_ended %s", self._where)
        finally:
            await self._drop_probe_connection()
        self.refusal, self._in_vain = None, 0
        log.info("promises_asked_again %s", self._where)

    async def _is_kept(self) -> bool:
        """Return True if the servers have confirmed the writes of the connection, or if the server is now a replica.

        A replica refuses its calls itself. If that connection is lost, a new one asks for everything that the server
        has written until then.
        """
        try:
            async with asyncio.timeout(self._timeout_s + ROUND_S):
                if self._probe_connection is None:
                    self._probe_connection = await self._connections.open()
                    (answer,) = await ask(self._probe_connection, [REPLICATION])
                    self._probe_offset = (
                        0 if isinstance(answer, SharqError) else parse_replication(answer).offset
                    )
                answers = await ask(
                    self._probe_connection, self.confirmation.questions(self._loop.time() + ROUND_S)
                )
        except (TimeoutError, OSError, driver.RedisError, SharqError) as error:
            log.debug("promise_probe_failed %s error=%r", self._where, str(error))
            await self._drop_probe_connection()
            return False
        return (
            isinstance(answers[0], Misplaced)
            or self.confirmation.why_not(self._probe_offset, answers) is None
        )

    async def _drop_probe_connection(self) -> None:
        connection, self._probe_connection = self._probe_connection, None
        if connection is not None:
            await drop(connection)


def _message(answer: Any | SharqError) -> str:
    return answer.message if isinstance(answer, SharqError) else "the connection was lost"
