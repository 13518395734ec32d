"""Promised calls on one server, and whether its replicas keep what is promised.

After a promise that was not kept, calls that would begin something are refused, so that nobody waits for a replica that
is gone and no lease is made for nothing, until a replica has what was written then. Not here: what a promise is
(durability.py), and how calls are sent (node.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol

import redis.exceptions as driver
from redis.asyncio.connection import AbstractConnection

from sharq_core.errors import SharqError, Unavailable
from sharq_core.store.commands import Command, Fcall
from sharq_core.store.connections import Connections, ask, drop
from sharq_core.store.durability import NotKept, Promise
from sharq_core.store.failures import Misplaced

log = logging.getLogger(__name__)

KEEPING_CONNECTIONS = 4
"""Most connections to one server that wait for replicas, besides the ordinary ones: nothing else is behind them."""

_NO_REPLICA = Unavailable("none confirms anything now")

_WHOLE = 0.5
"""Share of the server's timeout from which on a wait in vain says enough: a call that was late waits shorter."""

_IN_A_ROW = 3
"""Shorter waits in vain that say as much."""

_PROBE_S = 1.0
"""Time of one question whether a replica is back; it is answered as soon as one is."""

_PAUSE_S = 0.25
"""Between two such questions."""


class Execute(Protocol):
    """StoreNode.execute."""

    async def __call__(
        self,
        commands: Sequence[Command | Fcall],
        timeout_s: float | None = None,
        *,
        is_asking: bool = False,
        slots: asyncio.Semaphore | None = None,
        used: list[AbstractConnection] | None = None,
    ) -> list[Any | SharqError]: ...


class Keeping:
    """The promised calls of one server.

    Args:
        connections: to the server.
        execute: sends a pipeline to it (StoreNode.execute).
        timeout_s: no call takes longer.
        where: the server, for the log.

    Attributes:
        refusal: what new work comes to now; None while promises are kept.
        refused: calls refused so far.
    """

    def __init__(
        self, promise: Promise, connections: Connections, execute: Execute, timeout_s: float, where: str
    ) -> None:
        self.refusal: Unavailable | None = None
        self.refused = 0
        self._promise = promise
        self._connections = connections
        self._execute = execute
        self._timeout_s = timeout_s
        self._where = where
        self._slots = asyncio.Semaphore(KEEPING_CONNECTIONS)
        self._in_vain = 0
        self._witness: AbstractConnection | None = None
        self._probe: asyncio.Task[None] | None = None
        self._is_closed = False

    def covers(self, calls: Sequence[Fcall]) -> bool:
        """The callers of some of these are promised something."""
        return any(self._promise.covers(call.function) for call in calls)

    async def execute(
        self, calls: Sequence[Fcall], timeout_s: float | None = None, *, is_asking: bool = False
    ) -> list[Any | SharqError]:
        """As StoreNode.execute, with the promise's questions behind the calls, on a connection that nothing else waits
        for. A call that was done and not kept comes to NotKept.
        """
        if self.refusal is not None:
            return await self._execute_endings(calls, self.refusal, timeout_s, is_asking)
        left_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        used: list[AbstractConnection] = []
        answers = await self._execute(
            [*calls, *self._promise.questions(left_s)],
            timeout_s,
            is_asking=is_asking,
            slots=self._slots,
            used=used,
        )
        settle, kept = self._promise.settle, answers[-1]
        settled = [settle(call, answer, kept) for call, answer in zip(calls, answers, strict=False)]
        if used:
            await self._note(settled, left_s, used[0])
        return settled

    async def close(self) -> None:
        """Ask no more."""
        self._is_closed = True
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    async def _execute_endings(
        self, calls: Sequence[Fcall], refusal: Unavailable, timeout_s: float | None, is_asking: bool
    ) -> list[Any | SharqError]:
        """While no replica follows: refuse what begins something; do the rest at once, which only the primary knows of
        then.
        """
        settled: list[Any | SharqError] = [refusal] * len(calls)
        sent = [index for index, call in enumerate(calls) if not self._promise.refuses(call.function)]
        self.refused += sum(len(call.keys) for call in calls if self._promise.refuses(call.function))
        if sent:
            endings = [calls[index] for index in sent]
            answers = await self._execute(endings, timeout_s, is_asking=is_asking, slots=self._slots)
            for index, answer in zip(sent, answers, strict=True):
                settled[index] = self._promise.settle(calls[index], answer, _NO_REPLICA)
        return settled

    async def _note(
        self, settled: Sequence[Any | SharqError], waited_s: float, connection: AbstractConnection
    ) -> None:
        """Take note of a pipeline that was answered, whose calls had `waited_s`; takes its connection over."""
        unkept = next((answer for answer in settled if isinstance(answer, NotKept)), None)
        if unkept is None:
            self._in_vain = 0
        elif self.refusal is None and not self._is_closed and self._says_enough(waited_s):
            self._break(unkept, connection)
            return
        await self._connections.give_back(connection)

    def _says_enough(self, waited_s: float) -> bool:
        self._in_vain += 1
        return waited_s >= _WHOLE * self._timeout_s or self._in_vain >= _IN_A_ROW

    def _break(self, unkept: NotKept, witness: AbstractConnection) -> None:
        durability = self._promise.durability
        self.refusal = Unavailable(
            f"no replica confirms what the store does (durability {durability}): nothing was done; try again later"
        )
        log.warning("promises_broken %s durability=%s error=%r", self._where, durability, unkept.message)
        self._witness = witness
        self._probe = asyncio.create_task(self._probe_until_kept())

    async def _probe_until_kept(self) -> None:
        try:
            is_kept = await self._is_kept()
            while not is_kept:
                await asyncio.sleep(_PAUSE_S)
                is_kept = await self._is_kept()
        except Exception:
            log.exception("promise_probe_ended %s", self._where)
        finally:
            await self._drop_witness()
        self.refusal, self._in_vain = None, 0
        log.info("promises_asked_again %s", self._where)

    async def _is_kept(self) -> bool:
        """A replica has what the witness wrote, or the server is a replica itself, as its calls will be told.

        Where the witness is lost a new connection, which wrote nothing, asks whether any replica is connected.
        """
        try:
            async with asyncio.timeout(self._timeout_s + _PROBE_S):
                if self._witness is None:
                    self._witness = await self._connections.open()
                kept = (await ask(self._witness, self._promise.questions(_PROBE_S)))[-1]
        except (TimeoutError, OSError, driver.RedisError, SharqError) as error:
            log.debug("promise_probe_failed %s error=%r", self._where, str(error))
            await self._drop_witness()
            return False
        if isinstance(kept, SharqError):
            return isinstance(kept, Misplaced)
        return self._promise.is_kept(kept)

    async def _drop_witness(self) -> None:
        witness, self._witness = self._witness, None
        if witness is not None:
            await drop(witness)
