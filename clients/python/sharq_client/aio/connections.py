"""Sends one HTTP request of the async client with aiohttp."""

from __future__ import annotations

import asyncio
import os
import ssl
import time

import aiohttp
from yarl import URL

from sharq_client import errors


class AiohttpConnections:
    """The kept connections of an async client. They belong to one event loop and one process.

    A call from another event loop, or from a forked process, begins with connections of its own.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Configure the connections. This opens nothing yet.

        Args:
            tls: the certificates to trust; None for those of the system.
        """
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._owner: tuple[int, asyncio.AbstractEventLoop] | None = None

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
            Unavailable: no connection was made. Nothing was done.
            OutcomeUnknown: the request was sent and no valid answer came. It was perhaps done.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_timeout_s)
        try:
            async with self._open().request(
                method,
                URL(url, encoded=True),
                data=data,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _to_error(error) from error

    async def close(self) -> None:
        """Close the connections. Calls in flight raise OutcomeUnknown, and a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def sleep(self, seconds: float) -> None:
        """Wait, as before a retry."""
        await asyncio.sleep(seconds)

    def time(self) -> float:
        """Return a time in seconds that only moves forward."""
        return time.monotonic()

    def _open(self) -> aiohttp.ClientSession:
        """Return the session of this process and event loop.

        The pool has no limit, since a long poll must not block a finish.
        """
        owner = os.getpid(), asyncio.get_running_loop()
        if self._session is None or self._owner != owner:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._tls or True)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            self._owner = owner
        return self._session


def _to_error(error: aiohttp.ClientError | TimeoutError) -> errors.SharqError:
    """Return Unavailable if no connection was made, so that nothing was sent; otherwise OutcomeUnknown."""
    reason = f"{type(error).__name__}: {error}".removesuffix(": ")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return errors.Unavailable(f"no connection was made ({reason})")
    return errors.OutcomeUnknown(f"sent, and no answer came ({reason})")
