"""Serves the shard's end of the links: accepts routers, and pushes views and the state of this node to them.

shard/link/router_link.py serves each link.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aiohttp import web

from shard.link.gate import LinkGate
from shard.link.router_link import RouterLink
from sharq_core.link import frames
from sharq_core.link.messages import ShardPort, View
from sharq_core.link.socket import CLOSE_S, HEARTBEAT_S

log = logging.getLogger(__name__)

LAST_CALLS_S = 5.0
"""Time that a closing shard waits for the calls in progress."""


class LinkServer:
    """All links of one shard.

    Args:
        port: answers the calls.
        secret: the secret that both ends must know; None for none.
        hello: returns this node's id and the current view.
        asks_certificate: if True, a link needs a client certificate, which the TLS layer has verified.
        on_refusal: called with the reason of each refused link.

    Attributes:
        away: the partitions that this node leaves to others because it does not reach their store server.
        gate: the checks that a connection passes before it becomes a link.
    """

    def __init__(
        self,
        port: ShardPort,
        secret: str | None,
        hello: Callable[[], tuple[str, View]],
        *,
        asks_certificate: bool = False,
        on_refusal: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.port = port
        self.secret = secret
        self.hello = hello
        self.is_closing = False
        self.away: list[int] = []
        self.gate = LinkGate(log, asks_certificate=asks_certificate, on_refusal=on_refusal)
        self._links: set[RouterLink] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._frames_before = 0

    def __len__(self) -> int:
        """Return the number of links that are up."""
        return sum(link.is_up for link in self._links)

    @property
    def frames_sent(self) -> int:
        """The number of frames sent over all links since the start."""
        return self._frames_before + sum(link.outbox.frames_sent for link in self._links)

    @property
    def calls_in_flight(self) -> int:
        """The number of calls in progress over all links."""
        return sum(link.under_way for link in self._links)

    async def handle(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """Handle GET /link: serve one link until it ends."""
        if self.is_closing:
            raise web.HTTPServiceUnavailable(text="this node is stopping")
        connection = self.gate.check(request, len(self._links))
        socket = web.WebSocketResponse(
            compress=False, heartbeat=HEARTBEAT_S, max_msg_size=frames.MAX_MESSAGE_BYTES, timeout=CLOSE_S
        )
        try:
            await socket.prepare(request)
        except web.HTTPException:
            if connection is not None:
                connection.limit(None)
            raise
        link = RouterLink(self, socket, request, connection)
        self._links.add(link)
        self.gate.await_proof(link, link.cut_off)
        try:
            await link.run()
        finally:
            self._frames_before += link.outbox.frames_sent
            self._links.discard(link)
            self.gate.forget(link)
        return socket

    def push_view(self, view: View) -> None:
        """Push the current view to every router."""
        self._push(frames.encode(frames.NewView(view)))

    def push_draining(self) -> None:
        """Tell every router that this node is draining."""
        self._push(frames.encode(frames.Draining()))

    def push_away(self, away: Sequence[int]) -> None:
        """Tell every router that understands it which partitions this node leaves to others."""
        self.away = list(away)
        for link in self._links:
            link.push_away()

    async def close(self) -> None:
        """Refuse new calls, wait at most 5 s for those in progress, then close every link."""
        self.is_closing = True
        stuck = await _settle(self._tasks)
        await asyncio.gather(*(link.close() for link in self._links))
        await _settle(self._tasks - stuck)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that may outlive its link."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _push(self, entry: bytes) -> None:
        for link in self._links:
            link.push(entry)


async def _settle(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait at most 5 s for tasks and return those that have not ended."""
    if not tasks:
        return set()
    _, stuck = await asyncio.wait(tasks, timeout=LAST_CALLS_S)
    return stuck
