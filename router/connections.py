"""The connections of the HTTP server: bounded in number, and ended when the client keeps them without using them.

A client that is slow on purpose costs a connection, and no more than a few seconds of it. Looked at once a second, on
no request's time. Not here: the time that a body may take (router/incoming.py), requests in flight (router/front.py),
and how the counts here become metrics (router/connection_metrics.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_log import AccessLogger
from aiohttp.web_protocol import RequestHandler
from msgspec import Struct

from router.access_log import AccessLog
from router.answers import Answer
from router.errors import failure_answer
from router.incoming import Request, request_factory
from router.unread import MAX_UNREAD_BYTES, UnreadAnswers
from sharq_core.config import ServerSettings
from sharq_core.errors import InvalidRequest, Unavailable

log = logging.getLogger("sharq.router")

LOOK_EVERY_S = 1.0

NO_REQUEST = "no_request"
ANSWER_UNREAD = "answer_unread"
ANSWERS_FULL = "answers_full"
"""Why a connection was ended."""

_LINGER_S = 3.0
"""How long the rest of a body that nobody wants is read, so that its sender reads the answer, before it is cut off."""


class Bounds(Struct, frozen=True, kw_only=True):
    """What a client may take.

    Attributes:
        max_connections: open at once; more are answered 503 and closed.
        header_timeout_s: from the connection to the end of the first request's headers.
        body_timeout_s: for one body, from when the handler asks for it.
        answer_timeout_s: for how long what was answered may lie unread.
        keepalive_timeout_s: from an answer to the end of the next request's headers.
    """

    max_connections: int
    header_timeout_s: float
    body_timeout_s: float
    answer_timeout_s: float
    keepalive_timeout_s: float


def bounds_of(server: ServerSettings) -> Bounds:
    """The bounds from the configuration."""
    return Bounds(
        max_connections=server.max_connections,
        header_timeout_s=server.header_timeout_ms / 1000,
        body_timeout_s=server.body_timeout_ms / 1000,
        answer_timeout_s=server.answer_timeout_ms / 1000,
        keepalive_timeout_s=server.keepalive_timeout_ms / 1000,
    )


class Connections(web.Server):
    """An HTTP server within bounds.

    Args:
        answer: answers each request.
        max_body_bytes: of one body, decompressed.

    Attributes:
        bounds: what a client may take.
        refused: connections that were one too many, so far.
        malformed: what came and is not HTTP, so far.
        ended: connections that were kept without use, so far, by the reason.
        unread: the large answers that are being sent.
    """

    def __init__(
        self,
        answer: Callable[[Request], Awaitable[Answer]],
        bounds: Bounds,
        max_body_bytes: int,
        access_log: AccessLog | None,
    ) -> None:
        self.bounds = bounds
        self.refused = 0
        self.malformed = 0
        self.ended: Counter[str] = Counter({NO_REQUEST: 0, ANSWER_UNREAD: 0, ANSWERS_FULL: 0})
        self._transports: dict[RequestHandler, asyncio.Transport] = {}
        self._fresh: dict[RequestHandler, float] = {}
        self._unread: dict[RequestHandler, float] = {}
        self._refused_logged = 0
        self.unread = UnreadAnswers(MAX_UNREAD_BYTES, self._note_cut)
        super().__init__(
            cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", answer),
            request_factory=request_factory(
                max_body_bytes, bounds.body_timeout_s, self._fresh.pop, self.unread
            ),
            access_log=access_log and access_log.logger,
            access_log_class=access_log.writer if access_log else AccessLogger,
            keepalive_timeout=bounds.keepalive_timeout_s,
            lingering_time=_LINGER_S,
            auto_decompress=False,  # router/inflation.py does it
        )

    def __call__(self) -> RequestHandler:
        """What serves the next connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)

    @property
    def open(self) -> int:
        """Connections that are taken in and not closed."""
        return len(self._transports)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection in, or refuse it."""
        super().connection_made(handler, transport)
        if len(self._transports) >= self.bounds.max_connections:
            self.refused += 1
            handler.close()
            transport.write(_REFUSAL)
            transport.close()
            return
        self._transports[handler] = transport
        self._fresh[handler] = self._loop.time() + self.bounds.header_timeout_s

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget it."""
        self._transports.pop(handler, None)
        self._fresh.pop(handler, None)
        super().connection_lost(handler, exc)

    async def watch(self) -> None:
        """End what is kept unused; returns never."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._end_fresh()
            self._end_unread()
            self._log_refused()

    def _log_refused(self) -> None:
        count = self.refused - self._refused_logged
        if count:
            log.warning("connections_refused count=%d open=%d", count, self.open)
        self._refused_logged = self.refused

    def _end_fresh(self) -> None:
        """Those that have not sent a whole request's headers; the oldest come first."""
        now_s = self._loop.time()
        late: list[RequestHandler] = []
        for handler, deadline_s in self._fresh.items():
            if deadline_s > now_s:
                break
            late.append(handler)
        self._end(late, NO_REQUEST)

    def _end_unread(self) -> None:
        """Those where something has waited to be sent at each look. Cost: O(connections), 0.1 ms for 1,000."""
        now_s = self._loop.time()
        self._unread = {
            handler: max(self._unread.get(handler, now_s), self.unread.progress_s(transport))
            for handler, transport in self._transports.items()
            if transport.get_write_buffer_size()
        }
        limit_s = self.bounds.answer_timeout_s
        late = [one for one, since_s in self._unread.items() if now_s - since_s > limit_s]
        self._end(late, ANSWER_UNREAD)

    def _note_cut(self) -> None:
        """A connection was far behind with reading while the answers of all took too much memory."""
        self.ended[ANSWERS_FULL] += 1

    def _end(self, handlers: list[RequestHandler], reason: str) -> None:
        for handler in handlers:
            self._transports[handler].abort()
        self.ended[reason] += len(handlers)
        if handlers:
            log.info("connections_ended count=%d reason=%s", len(handlers), reason)


class _Connection(RequestHandler):
    """One connection. What is not HTTP gets the same kind of answer as every other failure, and is counted; aiohttp's
    own answer is plain text, and a traceback in the log of an operator who can do nothing about it.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read; aiohttp's own for what nobody foresaw."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        if isinstance(self._manager, Connections):
            self._manager.malformed += 1
        reason = exc.message.partition("\n")[0].rstrip(":")
        answer = failure_answer(InvalidRequest(f"request: {reason}"), "malformed")
        response = web.Response(body=answer.body, status=answer.status, headers=answer.headers)
        response.force_close()
        return response


def _refusal() -> bytes:
    """The whole answer to a connection too many."""
    answer = failure_answer(Unavailable("this router has as many connections as it may have"), "connect")
    headers = {**answer.headers, "Content-Length": str(len(answer.body)), "Connection": "close"}
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode() + answer.body


_REFUSAL = _refusal()
