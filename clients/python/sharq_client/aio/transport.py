"""Sends one request to the first server that accepts a connection, and retries if that can help and is safe."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from sharq_client import errors, failures
from sharq_client.bodies import body_text
from sharq_client.decoders import AnswerDecoder
from sharq_client.environment import ClientSettings
from sharq_client.paths import bases_of, target_of
from sharq_client.tracing.client import Tracing

log = logging.getLogger(__name__)

AnswerT = TypeVar("AnswerT")


class AsyncConnections(Protocol):
    """The interface of the connections of a client, over HTTP or in memory, and of the time in which it waits."""

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
        ...

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait, as before a retry."""
        ...

    def time(self) -> float:
        """Return a time in seconds that only moves forward."""
        ...


class AsyncTransport:
    """The sender of requests to one base URL, or to the first of several that accepts a connection.

    Attributes:
        tracing: makes the spans of the client.
    """

    def __init__(self, settings: ClientSettings, connections: AsyncConnections, tracing: Tracing) -> None:
        self._bases = bases_of(settings.urls)
        self.tracing = tracing
        self._connections = connections
        self._headers = {} if not settings.token else {"Authorization": f"Bearer {settings.token}"}
        self._timeout_s = settings.timeout_s
        self._retries = settings.retries
        self._is_troubled = False

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()

    async def sleep(self, seconds: float) -> None:
        """Wait in the time of the connections."""
        await self._connections.sleep(seconds)

    def time(self) -> float:
        """Return the time of the connections in seconds, which only moves forward."""
        return self._connections.time()

    async def send(
        self,
        method: str,
        path: str,
        answer: AnswerDecoder[AnswerT],
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
            InvalidRequest: the body is no JSON. Nothing was sent.
            ValueError: the wait has no end. Nothing was sent.
            SharqError: the server answered with this failure.
        """
        if not math.isfinite(wait_s):
            raise ValueError(f"wait: expected a time that ends, got {wait_s} s")
        data = None if body is None else body_text(body)
        base, status, content = await self._exchange(method, target_of(path, query), data, wait_s)
        if status >= 300:
            failure = failures.from_answer(status, content, base + path)
            if failure.retry_after_s is not None:
                self._pass_over(base)
            raise failure
        try:
            return answer.decode(content)
        except (ValueError, RecursionError) as error:  # no JSON, not in UTF-8, or nested without end
            raise failures.from_content(status, content, base + path, error) from error

    async def repeated(
        self,
        send: Callable[[], Awaitable[AnswerT]],
        *,
        is_safe_twice: bool,
        send_again: Callable[[], Awaitable[AnswerT]] | None = None,
    ) -> AnswerT:
        """Send a request, and retry while retries remain and a retry can help and is safe.

        The first retry since a call succeeded is logged as a warning at once, because the pauses may take seconds.

        Args:
            send: sends the request.
            send_again: sends it once an earlier try was perhaps done; None for `send`.
            is_safe_twice: True if the request is idempotent. Otherwise it is retried only if it was certainly not done.

        Raises:
            SharqError: the error of the last try.
        """
        for tries in range(1, self._retries + 1):
            try:
                answer = await send()
            except errors.SharqError as error:
                if not failures.may_repeat(error, is_safe_twice=is_safe_twice):
                    raise
                if error.perhaps_done and send_again is not None:
                    send = send_again
                pause_s = failures.pause_s(error, tries)
                if not self._is_troubled:
                    self._is_troubled = True
                    log.warning("%s. Trying again, at most %d times", error.message, self._retries)
            else:
                self._is_troubled = False
                return answer
            await self.sleep(pause_s)
        return await send()

    @property
    def retries(self) -> int:
        """The number of retries of a call, 0 or more."""
        return self._retries

    async def _exchange(
        self, method: str, target: str, data: bytes | None, wait_s: float
    ) -> tuple[str, int, bytes]:
        """Return base URL, status and content of the first server that accepts a connection. Each is tried once.

        The server that accepted the last connection is tried first. One that did not answer, or that answered that it
        cannot do it now, is the last one for the next call or try.
        """
        for remaining in reversed(range(len(self._bases))):
            base = self._bases[0]
            try:
                return base, *await self._exchange_with(base, method, target, data, wait_s)
            except errors.Unavailable:
                self._pass_over(base)
                if not remaining:
                    raise
            except errors.OutcomeUnknown:
                self._pass_over(base)
                raise
        raise AssertionError("unreachable: there is at least one base")

    async def _exchange_with(
        self, base: str, method: str, target: str, data: bytes | None, wait_s: float
    ) -> tuple[int, bytes]:
        # Connecting gets half of the time, so that "no connection was made" is known before the deadline.
        return await self._connections.exchange(
            method,
            base + target,
            data,
            self.tracing.headers(self._headers),
            timeout_s=self._timeout_s + wait_s,
            connect_timeout_s=self._timeout_s / 2,
        )

    def _pass_over(self, base: str) -> None:
        """Try the next server first from now on, unless another call has already switched."""
        bases = self._bases
        if bases[0] == base:
            self._bases = (*bases[1:], base)
