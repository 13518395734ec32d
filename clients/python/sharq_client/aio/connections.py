"""Sends one HTTP request of the async client with aiohttp."""

from __future__ import annotations

import asyncio
import os
import ssl
import time

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http_exceptions import BadStatusLine
from yarl import URL

from sharq_client import errors, failures
from sharq_client.environment import MAX_HEADER_BYTES, speaks_tls

_INHERITED: list[object] = []
"""Connections of the parent of a forked process. They are not closed here, since that would disturb the parent."""


class _Unanswered(aiohttp.ClientConnectionError):
    """A connection that ended before the answer to its request had come."""


class _Response(aiohttp.ClientResponse):
    """A response that is asked for once.

    aiohttp sends GET, PUT and DELETE again by itself if a connection ends before their answer. A second DELETE may find
    nothing, or delete a queue that was filled meanwhile, so here the caller decides (caller.py).
    """

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Read the head of the answer.

        Raises:
            _Unanswered: the connection ended; the request was perhaps carried out.
        """
        try:
            return await super().start(connection)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if self.method != "DELETE":
                raise
            raise _Unanswered(str(error)) from error


class AiohttpConnections:
    """The kept connections of an async client, for each event loop its own. A forked process begins with none."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Configure the connections. This opens nothing yet.

        Args:
            tls: the certificates to trust; None for those of the system.
        """
        self._tls = tls
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._owner_pid = os.getpid()
        self._answered: set[str] = set()

    async def exchange(
        self,
        method: str,
        url: str,
        data: bytes | None,
        headers: dict[str, str],
        *,
        timeout_s: float,
        connect_timeout_s: float,
    ) -> tuple[int, bytes]:
        """Send one request once. Return the status and the content of the answer.

        Raises:
            Unavailable, UntrustedCertificate, WrongUrl: nothing was done.
            OutcomeUnknown: the request was sent and no valid answer came. It was perhaps done.
        """
        origin = failures.origin_of(url)
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_timeout_s)
        try:
            async with (await self._open()).request(
                method,
                URL(url, encoded=True),
                data=data,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise await self._to_error(error, origin, connect_timeout_s) from error
        self._answered.add(origin)
        return response.status, content

    async def close(self) -> None:
        """Close the connections of this event loop. Its calls in flight raise OutcomeUnknown; later ones open new ones.

        Connections of event loops that are closed go, too.
        """
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None and self._owner_pid == os.getpid():
            await session.close()
        await self._drop_old_sessions()

    async def sleep(self, seconds: float) -> None:
        """Wait, as before a retry."""
        await asyncio.sleep(seconds)

    def time(self) -> float:
        """Return a time in seconds that only moves forward."""
        return time.monotonic()

    async def _open(self) -> aiohttp.ClientSession:
        """Return the session of this process and event loop.

        The pool has no limit, since a long poll must not block a finish.
        """
        if self._owner_pid != os.getpid():
            await self._drop_old_sessions()
            _INHERITED.append(self._sessions)
            self._sessions, self._owner_pid = {}, os.getpid()
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._tls or True)
            session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=_Response,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
            )
            self._sessions[loop] = session
            await self._drop_old_sessions()
        return session

    async def _drop_old_sessions(self) -> None:
        for loop in [loop for loop in self._sessions if loop.is_closed()]:
            session = self._sessions.pop(loop)
            connector = session.connector
            session.detach()
            if connector is not None:
                await connector.close()

    async def _to_error(
        self, error: aiohttp.ClientError | TimeoutError, origin: str, connect_timeout_s: float
    ) -> errors.SharqError:
        fault = _fault_of_connecting(error)
        if fault is not None:
            return failures.not_connected(origin, fault)
        if isinstance(error, aiohttp.ClientResponseError):
            if origin not in self._answered and _is_about_first_line(error):
                return failures.no_http(origin, speaks_tls=False)
            return failures.not_readable(origin, error.message)
        if origin not in self._answered:
            is_silent = isinstance(
                error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | _Unanswered
            )
            if is_silent and await asyncio.to_thread(speaks_tls, origin, connect_timeout_s):
                return failures.no_http(origin, speaks_tls=True)
        return failures.not_answered(origin, error)


def _is_about_first_line(error: BaseException) -> bool:
    """Return True if the answer does not begin as HTTP does: aiohttp chains the error of its parser."""
    cause = error.__cause__
    return cause is not None and (isinstance(cause, BadStatusLine) or _is_about_first_line(cause))


def _fault_of_connecting(error: aiohttp.ClientError | TimeoutError) -> BaseException | None:
    """Return the error of a connection that was not made; None if one was made."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error
    return error if isinstance(error, aiohttp.ConnectionTimeoutError) else None
