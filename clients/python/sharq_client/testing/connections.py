"""Connections that lead into memory: a client's requests are answered by a fake server, in its time."""

from __future__ import annotations

import asyncio
from typing import Protocol

from sharq_client.testing.wire.answers import Reply
from sharq_client.testing.wire.requests import Request

TURNS = 3
"""Turns that other tasks of the loop get before a request that waits moves the clock."""


class Answering(Protocol):
    """The interface of a fake server for its connections."""

    @property
    def now_us(self) -> int:
        """The time."""
        ...

    @property
    def changes(self) -> int:
        """The number of requests so far that may have changed something."""
        ...

    def move_to(self, now_us: int) -> None:
        """Move the clock forward."""
        ...

    def answer(self, request: Request, *, is_first: bool) -> Reply:
        """Answer a request at once, or with a planned failure.

        Args:
            is_first: False if the request has waited.
        """
        ...

    def look_again_us(self, request: Request, end_us: int) -> int:
        """Return when a request that waits until end_us may have its answer."""
        ...

    def waiting(self) -> Waiting | None:
        """Return how requests wait in the running event loop; None if it is not that of a run."""
        ...


class Waiting(Protocol):
    """The interface of a run of workers for requests that wait."""

    @property
    def is_over(self) -> bool:
        """True if requests wait no longer."""
        ...

    async def until(self, until_us: int) -> None:
        """Wait until a time, or until a request changes something."""
        ...


class FakeConnections:
    """The connections of a sync client. A request that waits moves the clock to its answer."""

    def __init__(self, server: Answering) -> None:
        self._server = server

    def exchange(
        self,
        method: str,
        url: str,
        data: bytes | None,
        headers: dict[str, str],  # noqa: ARG002 - there is no network for them
        **_: float,
    ) -> tuple[int, bytes]:
        """Answer one request."""
        request, server = Request(method, url, data or b""), self._server
        end_us = server.now_us + request.wait_us
        reply = server.answer(request, is_first=True)
        while reply.may_wait and server.now_us < end_us:
            server.move_to(server.look_again_us(request, end_us))
            reply = server.answer(request, is_first=False)
        return reply.status, reply.content

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self._server.move_to(self._server.now_us + round(seconds * 1_000_000))

    def time(self) -> float:
        """Return the time of the fake in seconds."""
        return self._server.now_us / 1_000_000


class AsyncFakeConnections:
    """The connections of an async client.

    In the loop of a run, a request that waits sleeps until its answer. In another loop, it lets the other tasks run
    first, and then moves the clock.
    """

    def __init__(self, server: Answering) -> None:
        self._server = server

    async def exchange(
        self,
        method: str,
        url: str,
        data: bytes | None,
        headers: dict[str, str],  # noqa: ARG002 - there is no network for them
        **_: float,
    ) -> tuple[int, bytes]:
        """Answer one request."""
        request, server = Request(method, url, data or b""), self._server
        end_us = server.now_us + request.wait_us
        reply = server.answer(request, is_first=True)
        while reply.may_wait and server.now_us < end_us:
            waiting = server.waiting()
            if waiting is not None and waiting.is_over:
                break
            await self._wait(server.look_again_us(request, end_us))
            reply = server.answer(request, is_first=False)
        return reply.status, reply.content

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""

    async def sleep(self, seconds: float) -> None:
        """Wait in the time of the fake."""
        if self._server.waiting() is not None:
            await asyncio.sleep(seconds)
        else:
            await asyncio.sleep(0)
            self._server.move_to(self._server.now_us + round(seconds * 1_000_000))

    def time(self) -> float:
        """Return the time of the fake in seconds."""
        return self._server.now_us / 1_000_000

    async def _wait(self, until_us: int) -> None:
        waiting = self._server.waiting()
        if waiting is not None:
            await waiting.until(until_us)
            return
        changes = self._server.changes
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if self._server.changes == changes:
            self._server.move_to(until_us)
