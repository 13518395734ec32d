"""Serves HTTP on a port whose connections are bounded in number, bytes and time from the moment they are accepted.

A client that is slow on purpose occupies a connection for only a few seconds. Connections are checked once a second,
outside of any request. Not here: the accept loop (acceptor.py), the input of one connection (connection.py), the time
limit of a body (router/http/request.py), and the metrics (metrics.py).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from msgspec import Struct

from sharq_core._compat.aiohttp import OpenServer, handling_task
from sharq_core.http_port.body_pace import BodyPace
from sharq_core.http_port.connection import PortConnection
from sharq_core.logs.rare_log import RareLog

LOOK_EVERY_S = 1.0

MAX_LINE_BYTES = 8190
MAX_FIELD_BYTES = 8190
MAX_HEADERS = 128
"""The bounds of one request head: its first line, one header with its name, and the number of headers."""

MAX_HANDSHAKES = 1000
"""The most TLS handshakes in progress at one port; at most half of its connections."""

MAX_HELD_BYTES = 32 << 20
"""The most bytes of unfinished heads and pipelined requests, of all connections of a port."""

AHEAD_BYTES = 32 << 10
"""The most bytes of a body that wait for its reader while more of it is read. One read may bring more."""

HANDSHAKE_ROOM_S = 0.2
"""The age in seconds at which a handshake gives way to a new one if there are too many."""

SILENT_ROOM_S = 2.0
"""The age in seconds at which a connection without a whole request gives way to a new one if there are too many."""

ROOM_CANDIDATES = 8
"""The most connections that are examined to find one that gives way."""

NO_REQUEST = "no_request"
ANSWER_UNREAD = "answer_unread"
"""The reasons for ending a connection."""

_LAST_S = 0.5
"""The time in seconds for cancelled handlers to end at the stop."""


class PortBounds(Struct, frozen=True, kw_only=True):
    """The bounds of one port.

    Attributes:
        max_connections: most open connections, unfinished TLS handshakes included.
        header_timeout_s: time from the accept to the end of the first request's headers, the TLS handshake included.
        answer_timeout_s: time for which an answer may stay unread.
        keepalive_timeout_s: time from an answer to the end of the next request's headers.
    """

    max_connections: int
    header_timeout_s: float
    answer_timeout_s: float
    keepalive_timeout_s: float


class Port(OpenServer):
    """An HTTP server within bounds.

    Args:
        answer: answers each request.
        make_request: makes the request for `answer`; it gets the connection.
        malformed: makes the answer to malformed HTTP from the request as far as it was read, the status and the reason.
        refusal: the whole answer to a connection over the limit; with TLS nothing is sent.
        log: the logger for lines that strangers cause.
        more: further arguments of aiohttp's server.

    Attributes:
        bounds: the bounds of this port.
        fresh: the connections that have sent no whole request head, and the loop's time at which each is ended. The
            oldest comes first.
        refused: connections refused at the limit, so far.
        malformed: requests that are malformed or exceed a bound, so far.
        ended: connections ended by this port so far, by reason.
        failed_accepts: failed accepts so far, mostly for lack of file descriptors.
        failed_handshakes: failed TLS handshakes, so far.
        held_bytes: bytes of unfinished heads and pipelined requests, of all connections.
        receiving: the pace of large bodies.
        dropping: the pace of bodies that are read only to be dropped.
    """

    def __init__(
        self,
        answer: Callable[..., Awaitable[Any]],
        bounds: PortBounds,
        *,
        make_request: Callable[..., web.BaseRequest],
        malformed: Callable[[web.BaseRequest, int, str], web.StreamResponse],
        refusal: bytes,
        log: logging.Logger,
        **more: Any,
    ) -> None:
        self.bounds = bounds
        self.refusal = refusal
        self.refused = 0
        self.malformed = 0
        self.ended: Counter[str] = Counter({NO_REQUEST: 0, ANSWER_UNREAD: 0})
        self.failed_accepts = 0
        self.failed_handshakes = 0
        self.held_bytes = 0
        self.receiving = BodyPace()
        self.dropping = BodyPace()
        self.log = RareLog(log)
        self.answer_malformed = malformed
        self._transports: dict[RequestHandler, asyncio.Transport] = {}
        self._opening: dict[RequestHandler, asyncio.Task[None]] = {}
        self.fresh: dict[RequestHandler, float] = {}
        self._unread: dict[RequestHandler, float] = {}
        self._half_closed: set[PortConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        super().__init__(
            answer,
            request_factory=make_request,
            keepalive_timeout=bounds.keepalive_timeout_s,
            lingering_time=0,  # the connection reads the rest of a body that nobody wants
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_HEADERS,
            read_bufsize=AHEAD_BYTES,
            tcp_keepalive=False,  # the listening socket has it, and accepted ones inherit it
            logger=self.log,
            **more,
        )

    def __call__(self) -> RequestHandler:
        """Return the protocol of the next connection."""
        return self.make_handler(PortConnection)

    @property
    def open(self) -> int:
        """The number of connections that were accepted and are not closed."""
        return len(self._transports) + len(self._opening)

    @property
    def handshakes(self) -> int:
        """The number of TLS handshakes in progress."""
        return len(self._opening)

    @property
    def max_handshakes(self) -> int:
        """The most TLS handshakes that may be in progress."""
        return min(MAX_HANDSHAKES, max(self.bounds.max_connections // 2, 1))

    def has_room(self, *, is_tls: bool) -> bool:
        """Return True if one more connection may be accepted; an idle one is ended for it if need be.

        Idle connections of strangers must not keep others out. An honest handshake takes milliseconds.
        """
        if (
            is_tls
            and self.handshakes >= self.max_handshakes
            and not self._end_oldest(HANDSHAKE_ROOM_S, self._opening)
        ):
            return False
        return self.open < self.bounds.max_connections or self.make_room()

    def make_room(self) -> bool:
        """End the connection that has been without a whole request for longest; return False if none is old enough."""
        return self._end_oldest(SILENT_ROOM_S, self.fresh)

    def opens(self, handler: RequestHandler, task: asyncio.Task[None]) -> None:
        """Count a connection from its accept; the task ends with its handshake."""
        self._opening[handler] = task
        self.fresh[handler] = self.loop.time() + self.bounds.header_timeout_s

    def opened(self, handler: RequestHandler, *, is_failed: bool) -> None:
        """Note that a connection's handshake has ended."""
        self._opening.pop(handler, None)
        if is_failed:
            self.fresh.pop(handler, None)

    @property
    def is_holding_too_much(self) -> bool:
        """More bytes of unfinished heads and pipelined requests are held than allowed."""
        return self.held_bytes > MAX_HELD_BYTES

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold a reference to a task until it is done: the event loop holds none."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def half_closed(self, handler: PortConnection) -> None:
        """Note that a connection's client sends nothing more; the connection ends once its requests are answered."""
        self._half_closed.add(handler)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Register a connection that is ready for requests."""
        super().connection_made(handler, transport)
        self._opening.pop(handler, None)
        self._transports[handler] = transport
        self.fresh.setdefault(handler, self.loop.time() + self.bounds.header_timeout_s)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        self._transports.pop(handler, None)
        self.fresh.pop(handler, None)
        if isinstance(handler, PortConnection):
            self._half_closed.discard(handler)
            handler.release_part()
        super().connection_lost(handler, exc)

    def progress_s(self, _transport: asyncio.Transport, /) -> float:
        """Return the loop's time at which a client last took part of its answer; -inf if unknown."""
        return -math.inf

    async def watch(self) -> None:
        """End idle connections; never return."""
        refused_logged = 0
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._end_fresh()
            self._end_unread()
            for handler in list(self._half_closed):
                handler.end_if_idle()
            if self.refused > refused_logged:
                self.log.warning(
                    "connections_refused count=%d open=%d", self.refused - refused_logged, self.open
                )
                refused_logged = self.refused

    async def shutdown(self, timeout: float | None = None) -> None:
        """Let requests finish for `timeout` seconds, then abort every connection, even with unread data."""
        for task in self._opening.values():
            task.cancel()
        ending = asyncio.ensure_future(super().shutdown(timeout))
        done, _ = await asyncio.wait({ending}, timeout=timeout)
        if not done:
            self.cut_off()
            done, _ = await asyncio.wait({ending}, timeout=_LAST_S)
        if not done:
            ending.cancel()
        elif (error := ending.exception()) is not None:
            raise error

    def cut_off(self) -> int:
        """End every connection at once, whatever it is doing; return their number."""
        connections = list(self._transports.items())
        for handler, transport in connections:
            task = handling_task(handler)
            transport.abort()
            if task is not None:
                task.cancel()
        return len(connections)

    def _end_fresh(self) -> None:
        """End connections that have not sent a whole request head in time."""
        now_s = self.loop.time()
        overdue: list[RequestHandler] = []
        # Insertion order is the order of the deadlines: the first one in the future ends the loop.
        for handler, deadline_s in self.fresh.items():
            if deadline_s > now_s:
                break
            overdue.append(handler)
        self._end(overdue, NO_REQUEST)

    def _end_oldest(self, after_s: float, among: dict[RequestHandler, Any]) -> bool:
        """End the oldest connection that is at least `after_s` old and has sent no request.

        Return False if there is none among the first ROOM_CANDIDATES.
        """
        now_s = self.loop.time()
        for handler in islice(among, ROOM_CANDIDATES):
            accepted_s = self.fresh.get(handler, now_s) - self.bounds.header_timeout_s
            if now_s - accepted_s < after_s:
                return False
            # Its request may have arrived in this very turn of the event loop, or while the process stood still.
            if not (isinstance(handler, PortConnection) and handler.has_unread_input()):
                self._end([handler], NO_REQUEST)
                return True
        return False

    def _end_unread(self) -> None:
        """End connections whose output has stayed unread for too long. Cost: O(connections), 0.1 ms for 1,000."""
        now_s = self.loop.time()
        self._unread = {
            handler: max(self._unread.get(handler, now_s), self.progress_s(transport))
            for handler, transport in self._transports.items()
            if transport.get_write_buffer_size()
        }
        limit_s = self.bounds.answer_timeout_s
        overdue = [
            handler
            for handler, since_s in self._unread.items()
            if now_s - since_s > limit_s and not (isinstance(handler, PortConnection) and handler.is_link)
        ]
        self._end(overdue, ANSWER_UNREAD)

    def _end(self, handlers: list[RequestHandler], reason: str) -> None:
        for handler in handlers:
            self.fresh.pop(handler, None)
            task = self._opening.pop(handler, None)
            transport = self._transports.pop(handler, None)
            if task is not None:
                task.cancel()
            elif transport is not None:
                transport.abort()
        self.ended[reason] += len(handlers)
        if handlers:
            self.log.info("connections_ended count=%d reason=%s", len(handlers), reason)
