"""The connections of the HTTP server: a port (sharq_core/http_port/port.py) that answers in the API's words.

Not here: the time that a body may take (router/http/request.py), requests in flight (router/http/gateway.py), and how
the counts become metrics (router/http/connection_metrics.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_log import AccessLogger

from router.http.access_log import AccessLog
from router.http.errors import failure_answer
from router.http.request import Request, request_factory
from router.http.response import Response
from router.http.unread_answers import MAX_UNREAD_BYTES, UnreadAnswers
from sharq_core.config import ServerSettings
from sharq_core.errors import InvalidRequest, Unavailable, UnsupportedEncoding
from sharq_core.http_port.port import Port, PortBounds

log = logging.getLogger("sharq.router")


ANSWERS_FULL = "answers_full"
"""Why a connection was ended: the answers that lay unread took too much memory, and its own had lain longest."""


class Bounds(PortBounds, frozen=True, kw_only=True):
    """What a client may take.

    Attributes:
        body_timeout_s: for one body, from when the handler asks for it.
    """

    body_timeout_s: float


def bounds_of(server: ServerSettings) -> Bounds:
    """Return the bounds from the configuration."""
    return Bounds(
        max_connections=server.max_connections,
        header_timeout_s=server.header_timeout_ms / 1000,
        body_timeout_s=server.body_timeout_ms / 1000,
        answer_timeout_s=server.answer_timeout_ms / 1000,
        keepalive_timeout_s=server.keepalive_timeout_ms / 1000,
    )


class ApiPort(Port):
    """An HTTP server within bounds.

    Args:
        answer: answers each request.
        max_body_bytes: of one body, decompressed.

    Attributes:
        unread: the large answers that are being sent.
    """

    def __init__(
        self,
        answer: Callable[[Request], Awaitable[Response]],
        bounds: Bounds,
        max_body_bytes: int,
        access_log: AccessLog | None,
    ) -> None:
        self.unread = UnreadAnswers(MAX_UNREAD_BYTES, self._note_cut)
        super().__init__(
            answer,
            bounds,
            make_request=request_factory(max_body_bytes, bounds.body_timeout_s, self.begun, self.unread),
            malformed=_malformed,
            refusal=_REFUSAL,
            log=log,
            access_log=access_log and access_log.logger,
            access_log_class=access_log.writer if access_log else AccessLogger,
            auto_decompress=False,  # router/bodies/inflation.py does it
        )
        self.ended[ANSWERS_FULL] = 0

    def progress_s(self, transport: asyncio.Transport) -> float:
        """Return when the client last took some of a large answer."""
        return self.unread.progress_s(transport)

    def _note_cut(self) -> None:
        """Count a connection that was far behind with reading while the answers of all took too much memory."""
        self.ended[ANSWERS_FULL] += 1


def _malformed(_: web.BaseRequest, status: int, reason: str) -> web.StreamResponse:
    """Answer what is not HTTP, in the form of every other failure.

    A coding for which aiohttp lacks the library is not read at all by it; it is none of those understood here.
    """
    if reason.startswith("Can not decode content-encoding"):
        error = UnsupportedEncoding(
            "Content-Encoding: only gzip and deflate are known here; nothing was done"
        )
        answer, status = failure_answer(error, "malformed"), error.status
        return web.Response(body=answer.body, status=status, headers=answer.headers)
    answer = failure_answer(InvalidRequest(f"request: {reason}"), "malformed")
    return web.Response(body=answer.body, status=status, headers=answer.headers)


def _refusal() -> bytes:
    """Return the whole answer to a connection too many."""
    answer = failure_answer(Unavailable("this router has as many connections as it may have"), "connect")
    headers = {**answer.headers, "Content-Length": str(len(answer.body)), "Connection": "close"}
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode() + answer.body


_REFUSAL = _refusal()
