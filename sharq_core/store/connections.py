"""Opens plain connections to one server and keeps them for reuse.

The driver's own retries are off: they repeat commands that are not safe to repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import redis.exceptions as driver
from redis.asyncio.connection import AbstractConnection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sharq_core._compat.redis import NOT_ENOUGH_DATA, TlsConnection, parser_of, reader_of, writer_of
from sharq_core.errors import SharqError
from sharq_core.process.certificates.contexts import TrustFiles, context_of
from sharq_core.store.commands import Command, pack
from sharq_core.store.failures import refusal

Prepare: TypeAlias = Callable[[AbstractConnection], Awaitable[None]]


class SharedTlsConnection(TlsConnection):
    """A TLS connection of the driver that trusts only the named authorities, if there are any.

    The driver's own reads its files, and always the system's authorities, for each connection.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        files = self.ssl_context
        files.context = context_of(TrustFiles(files.ca_certs, files.certfile, files.keyfile))


def share_tls(pool: ConnectionPool) -> None:
    """Have a pool of the driver make such connections if it uses TLS; they raise OSError if a file cannot be used."""
    if pool.connection_class is SSLConnection:
        pool.connection_class = SharedTlsConnection


class ServerConnections:
    """The connections to one server.

    Args:
        url: redis://, rediss:// or unix://, with user, password and db.
        timeout_s: the longest wait for a new connection, in seconds.
        prepare: gets each new connection before its first use; `open` raises its errors.
    """

    def __init__(self, url: str, timeout_s: float, prepare: Prepare) -> None:
        self._pool = ConnectionPool.from_url(
            url,
            protocol=2,
            driver_info=None,
            socket_timeout=None,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        share_tls(self._pool)
        self._prepare = prepare
        self._idle: list[AbstractConnection] = []
        self._least_idle = 0
        self._is_closed = False
        self.opened = 0

    async def take(self) -> AbstractConnection:
        """Return an idle connection, or a new one; the caller gives it back or drops it.

        Raises:
            OSError, TimeoutError, redis.exceptions.RedisError, SharqError: no connection can be made.
        """
        while self._idle:
            idle = self._idle.pop()
            self._least_idle = min(self._least_idle, len(self._idle))
            # A server that closed an idle connection would swallow a pipeline without an answer.
            try:
                is_stale = bool(await idle.can_read())
            except (OSError, driver.ConnectionError):
                is_stale = True
            if not is_stale:
                return idle
            await drop(idle)
        return await self.open()

    async def release(self, connection: AbstractConnection) -> None:
        """Keep a connection whose answers were all read for the next `take`."""
        if self._is_closed:
            await _end(connection)
        else:
            self._idle.append(connection)

    async def drop_unused(self) -> None:
        """Close connections that were not taken since the last call of this; the latest returned one is taken first."""
        unused, self._idle = self._idle[: self._least_idle], self._idle[self._least_idle :]
        self._least_idle = len(self._idle)
        for connection in unused:
            await drop(connection)

    async def drop_idle(self) -> None:
        """Close the idle connections; each new call gets a new one."""
        idle, self._idle, self._least_idle = self._idle, [], 0
        for connection in idle:
            await drop(connection)

    async def close(self) -> None:
        """Close the idle connections now and the others when they are given back."""
        self._is_closed = True
        idle, self._idle, self._least_idle = self._idle, [], 0
        for connection in idle:
            await _end(connection)

    async def open(self) -> AbstractConnection:
        """Return a new connection over which the server has answered; raise as `take` does."""
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await self._prepare(connection)
            self.opened += 1
        except BaseException:
            await drop(connection)
            raise
        return connection


async def ask(connection: AbstractConnection, commands: Sequence[Command]) -> list[Any | SharqError]:
    """Return the answers to some commands; the caller sets the timeout. Driver errors are raised."""
    await connection.send_packed_command(pack(commands), check_health=False)
    answers: list[Any | SharqError] = []
    await read(connection, len(commands), answers)
    return answers


async def read(connection: AbstractConnection, count: int, answers: list[Any | SharqError]) -> None:
    """Read `count` answers; the caller sets the timeout. Driver errors are raised.

    The answers come from the connection's parser, and those that arrived together without a coroutine each. The
    connection's own method (with its timeout and health check) costs 4 µs for each answer of a pipeline, the parser's 2
    µs.

    Args:
        answers: gets each answer as it comes, so that the answers before a failure count.
    """
    parser = parser_of(connection)
    reader = reader_of(parser)
    for _ in range(count):
        answer = reader.gets(False)  # noqa: FBT003 - the signature of hiredis
        if answer is NOT_ENOUGH_DATA:
            answer = await parser.read_response(disable_decoding=True)
        if isinstance(answer, driver.ConnectionError):
            raise answer
        answers.append(refusal(answer) if isinstance(answer, driver.ResponseError) else answer)


async def drop(connection: AbstractConnection) -> None:
    """Close a connection at once, whatever it is doing."""
    _abort(writer_of(connection))
    await connection.disconnect(nowait=True)


async def _end(connection: AbstractConnection) -> None:
    """Close a connection that is at rest and wait for it; drop it if the server does not close it in time."""
    writer = writer_of(connection)
    try:
        await connection.disconnect()
    except driver.TimeoutError:
        _abort(writer)
    except asyncio.CancelledError:
        _abort(writer)
        raise


def _abort(writer: asyncio.StreamWriter | None) -> None:
    """Close without sending the rest and without waiting half a minute for the server's TLS close."""
    if writer is not None:
        writer.transport.abort()
