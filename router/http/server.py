"""The HTTP server of the API: a port (sharq_core/http_port/port.py) whose refusals have the API's form.

Not here: the timeout of a body (router/http/request.py), the bound of requests in flight (router/http/gateway.py), and
the metrics of connections (router/http/connection_metrics.py).
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
from sharq_core.errors import InvalidRequest, Unavailable
from sharq_core.http_port.open_files import fit_connections
from sharq_core.http_port.port import Port, PortBounds
from sharq_core.logs import request_ids

log = logging.getLogger("sharq.router")


ANSWERS_FULL = "answers_full"
"""The reason for ending a connection if unread responses take too much memory and its own is the oldest."""


class Bounds(PortBounds, frozen=True, kw_only=True):
    """The bounds of one client.

    Attributes:
        body_timeout_s: the time for one body, from the start of its reading.
    """

    body_timeout_s: float


def bounds_of(server: ServerSettings) -> Bounds:
    """Return the bounds from the configuration, as far as the limit on open files allows."""
    return Bounds(
        max_connections=fit_connections(server.max_connections),
        header_timeout_s=server.header_timeout_ms / 1000,
        body_timeout_s=server.body_timeout_ms / 1000,
        answer_timeout_s=server.answer_timeout_ms / 1000,
        keepalive_timeout_s=server.keepalive_timeout_ms / 1000,
    )


class ApiPort(Port):
    """The HTTP server of the API, with bounds.

    Args:
        answer: returns the response to each request.
        max_body_bytes: the longest permitted body, decompressed.

    Attributes:
        unread: the large responses that are being sent.
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
            make_request=request_factory(max_body_bytes, bounds.body_timeout_s, self.unread),
            malformed=_malformed,
            refusal=_REFUSAL,
            log=log,
            access_log=access_log and access_log.logger,
            access_log_class=access_log.writer if access_log else AccessLogger,
            auto_decompress=False,  # router/bodies/inflation.py does it
        )
        self.ended[ANSWERS_FULL] = 0

    def progress_s(self, transport: asyncio.Transport, /) -> float:
        """Return the time at which the client last read some of a large response."""
        return self.unread.progress_s(transport)

    def _note_cut(self) -> None:
        """Count a connection that was cut off because unread responses took too much memory."""
        self.ended[ANSWERS_FULL] += 1


def _malformed(_: web.BaseRequest, status: int, reason: str) -> web.StreamResponse:
    """Return the response to a malformed HTTP request, in the form of every other failure."""
    answer = failure_answer(InvalidRequest(f"request: {reason}"), "malformed")
    answer.request_id = next(request_ids.new_ids)
    return web.Response(body=answer.body, status=status, headers=answer.headers)


def _refusal() -> bytes:
    """Return the whole response to a connection beyond the limit."""
    answer = failure_answer(Unavailable("connection limit reached"), "connect")
    headers = {**answer.headers, "Content-Length": str(len(answer.body)), "Connection": "close"}
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n".encode() + answer.body


_REFUSAL = _refusal()
