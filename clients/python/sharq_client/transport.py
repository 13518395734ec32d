"""Sends one HTTP request and its retries, with sessions, deadlines and the token.

Not here: the content of requests (client.py), and the classification of errors (failures.py).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from sharq_client import errors, failures

AnswerT = TypeVar("AnswerT")


class Transport:
    """The sender of requests to one base URL, or to the first of several that accepts a connection.

    It may be used by many tasks of one event loop.
    """

    def __init__(
        self,
        urls: Sequence[str],
        token: str | None,
        timeout_s: float,
        retries: int,
        session: aiohttp.ClientSession | None,
    ) -> None:
        if not urls:
            raise ValueError("url: expected at least one")
        for url in urls:
            if URL(url).scheme not in {"http", "https"}:
                raise ValueError(f"url: expected http://host:port or https://host:port, got {url!r}")
        self._bases = deque(url.rstrip("/") for url in urls)
        self._headers = {} if not token else {"Authorization": f"Bearer {token}"}
        self._timeout_s = timeout_s
        self._retries = retries
        self._session = session
        self._owns_session = session is None

    def open(self) -> None:
        """Create a session unless one was given. The pool has no limit, since a long poll must not block a finish."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        """Close the session unless it was given."""
        if self._session is not None and self._owns_session:
            await self._session.close()
            self._session = None

    async def send(
        self,
        method: str,
        path: str,
        answer: msgspec.json.Decoder[AnswerT],
        *,
        body: object = None,
        query: Mapping[str, object] | None = None,
        wait_s: float = 0,
    ) -> AnswerT:
        """Send one request once and decode its answer.

        Args:
            body: the body, which is encoded as JSON; None for none.
            query: the parameters. Those that are None are left out, and a list is sent item by item.
            wait_s: the time for which the server may hold the request. It is added to the timeout.

        Raises:
            Unavailable: no server accepted a connection. Nothing was done.
            OutcomeUnknown: the request was sent and no valid answer came. It was perhaps done.
            SharqError: the server answered with this failure.
        """
        status, content = await self._exchange(method, _target(path, query), body, wait_s)
        if status >= 400:
            raise failures.from_answer(status, content)
        try:
            return answer.decode(content)
        except msgspec.DecodeError as error:
            raise errors.OutcomeUnknown(f"answered {status} with an invalid body ({error})") from error

    async def repeated(
        self,
        send: Callable[[], Awaitable[AnswerT]],
        *,
        is_safe_twice: bool,
        send_again: Callable[[], Awaitable[AnswerT]] | None = None,
    ) -> AnswerT:
        """Send a request, and retry while retries remain and a retry can help and is safe.

        Args:
            send: sends the request.
            send_again: sends it once an earlier try was perhaps done; None for `send`.
            is_safe_twice: True if the request is idempotent. Otherwise it is retried only if it was certainly not done.

        Raises:
            SharqError: the error of the last try.
        """
        for tries in range(1, self._retries + 1):
            try:
                return await send()
            except errors.SharqError as error:
                if not failures.may_repeat(error, is_safe_twice=is_safe_twice):
                    raise
                if error.perhaps_done and send_again is not None:
                    send = send_again
                pause_s = failures.pause_s(error, tries)
            await asyncio.sleep(pause_s)
        return await send()

    @property
    def retries(self) -> int:
        """The number of retries of a call, 0 or more."""
        return self._retries

    async def _exchange(self, method: str, target: str, body: object, wait_s: float) -> tuple[int, bytes]:
        """Return status and content from the first server that accepts a connection. Each is tried once.

        The server that accepted the last connection is tried first.
        """
        data = None if body is None else msgspec.json.encode(body)
        for _ in range(len(self._bases) - 1):
            base = self._bases[0]
            try:
                return await self._exchange_with(base, method, target, data, wait_s)
            except errors.Unavailable:
                self._pass_over(base)
        return await self._exchange_with(self._bases[0], method, target, data, wait_s)

    async def _exchange_with(
        self, base: str, method: str, target: str, data: bytes | None, wait_s: float
    ) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("open the client first: async with SharqClient(url) as client")
        url = URL(base + target, encoded=True)
        # Connecting gets half of the time, so that "no connection was made" is known before the deadline.
        timeout = aiohttp.ClientTimeout(total=self._timeout_s + wait_s, sock_connect=self._timeout_s / 2)
        try:
            async with self._session.request(
                method, url, data=data, headers=self._headers, timeout=timeout, allow_redirects=False
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise failures.from_transport(error) from error

    def _pass_over(self, base: str) -> None:
        """Try the next server first from now on, unless another task has already switched."""
        if self._bases[0] == base:
            self._bases.rotate(-1)


def _target(path: str, query: Mapping[str, object] | None) -> str:
    present = {name: value for name, value in (query or {}).items() if value is not None}
    return path + (f"?{urlencode(present, doseq=True)}" if present else "")


def path_of(verb: str, *identifiers: str) -> str:
    """Return the path of a verb and its identifiers, `/verb/<first>/<second>/`, each percent-encoded.

    Raises:
        InvalidRequest: an identifier is empty, `.` or `..`, which proxies normalize away. Nothing was sent.
    """
    for identifier in identifiers:
        if identifier in {"", ".", ".."}:
            raise errors.InvalidRequest(
                f"identifier: expected 1 to 100 of A-Z a-z 0-9 _ - . + @, got {identifier!r}"
            )
    return "/".join(["", verb, *(quote(identifier, safe="") for identifier in identifiers), ""])
