"""One server of the store, over a few plain connections; each carries one pipeline at a time.

A pipeline that was sent is never sent again: what was not answered in time is *perhaps done*. The driver's own retries
are off (they repeat commands that are not safe to repeat).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, TypeAlias

import redis.exceptions as driver
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sharq_core.errors import OutcomeUnknown, SharqError, Unavailable
from sharq_core.store.clock import StoreClock
from sharq_core.store.failures import refusal

log = logging.getLogger(__name__)

Command: TypeAlias = Sequence[bytes | str | int]

CONNECTIONS = 8
"""Most connections to one server: two pipelines of jobs in flight, and room for the reaper, the index and reads."""

_RETRY_AFTER_S = 0.1
"""After a failed connect nobody tries again so long: calls are refused at once instead of queueing up."""


class StoreNode:
    """A Redis or Valkey server.

    Args:
        url: redis://, rediss:// or unix://, with user, password and db.
        timeout_s: no call takes longer, connecting included.
    """

    def __init__(self, url: str, *, timeout_s: float, **options: Any) -> None:
        self.timeout_s = timeout_s
        self.clock = StoreClock()
        self.is_reachable = False
        self._pool = ConnectionPool.from_url(
            url,
            protocol=2,
            driver_info=None,
            socket_timeout=None,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            **options,
        )
        self._idle: list[AbstractConnection] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._refused_until = 0.0
        self._refusal = Unavailable("the store has not been reached yet")

    async def execute(
        self, commands: Sequence[Command], timeout_s: float | None = None
    ) -> list[Any | SharqError]:
        """Send commands as one pipeline; for each its answer, or the error that it came to.

        Args:
            timeout_s: the time left, at most the node's own timeout, which it is when None.
        """
        answers: list[Any | SharqError] = []
        timeout_s = self.timeout_s if timeout_s is None else min(timeout_s, self.timeout_s)
        was_sent = False
        connection: AbstractConnection | None = None
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                connection = await self._connection()
                packed = [pack_command(tuple(command)) for command in commands]  # type: ignore[arg-type] # its stub says one
                was_sent = True
                await connection.send_packed_command(packed, check_health=False)
                for _ in commands:
                    answers.append(await _read(connection))  # noqa: PERF401 - what came before a failure counts
                self._idle.append(connection)
                connection = None
                self.is_reachable = True
        except Unavailable as error:
            answers += [error] * (len(commands) - len(answers))
        except (TimeoutError, OSError, driver.RedisError) as error:
            answers += [self._failed(error, was_sent, timeout_s)] * (len(commands) - len(answers))
        finally:
            if connection is not None:
                await connection.disconnect(nowait=True)
        return answers

    def not_after_us(self, since: float | None = None) -> int | None:
        """The store's time (µs) when a call times out whose work came in at `since` (the loop's seconds; None: now).

        None while the store's clock is unknown.
        """
        now_us = self.clock.now_us()
        if now_us is None:
            return None
        waited_s = 0.0 if since is None else asyncio.get_running_loop().time() - since
        return now_us + int((self.timeout_s - waited_s) * 1e6)

    async def close(self) -> None:
        """Close the idle connections; call it when nothing is in flight."""
        for connection in self._idle:
            await connection.disconnect()
        self._idle.clear()

    async def _connection(self) -> AbstractConnection:
        while self._idle:
            idle = self._idle.pop()
            if not await _is_stale(idle):
                return idle
            await idle.disconnect(nowait=True)
        loop = asyncio.get_running_loop()
        if loop.time() < self._refused_until:
            raise self._refusal
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await self._greet(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _greet(self, connection: AbstractConnection) -> None:
        """Learn the time, so that even the first call carries a time after which it is not done."""
        await connection.send_packed_command(pack_command((b"TIME",)), check_health=False)
        answer = await _read(connection)
        if isinstance(answer, SharqError):
            raise answer
        self.clock.learn(int(answer[0]) * 1_000_000 + int(answer[1]))
        if not self.is_reachable:
            log.info("store_reached %s", self._where(connection))

    def _failed(self, error: Exception, was_sent: bool, timeout_s: float) -> SharqError:
        reason = f"no answer within {timeout_s:.3g} s" if isinstance(error, TimeoutError) else str(error)
        if self.is_reachable or not was_sent:
            log.warning("store_unreachable sent=%s error=%r", was_sent, reason)
        self.is_reachable = False
        if was_sent:
            return OutcomeUnknown(f"the store did not answer ({reason}): the call may have been done")
        self._refusal = Unavailable(f"the store cannot be reached: {reason}")
        self._refused_until = asyncio.get_running_loop().time() + _RETRY_AFTER_S
        return self._refusal

    @staticmethod
    def _where(connection: AbstractConnection) -> str:
        pieces = dict(connection.repr_pieces())  # type: ignore[no-untyped-call]
        return (
            f"path={pieces['path']}" if "path" in pieces else f"host={pieces['host']} port={pieces['port']}"
        )


async def _read(connection: AbstractConnection) -> Any | SharqError:
    """One answer, waiting as long as the caller's timeout lets it.

    By the connection's parser: what the connection's own method adds to each answer of a pipeline (a timeout, a check
    of its health) costs 4 µs and is done here once for all of them.
    """
    answer = await connection._parser.read_response(disable_decoding=True)  # type: ignore[attr-defined]
    return refusal(answer) if isinstance(answer, driver.ResponseError) else answer


async def _is_stale(connection: AbstractConnection) -> bool:
    """True when the server closed an idle connection: it would swallow a pipeline without an answer."""
    try:
        return bool(await connection.can_read())
    except (OSError, driver.ConnectionError):
        return True
