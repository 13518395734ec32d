"""The private names of aiohttp 3.14, under public ones.

A name that aiohttp keeps in a slot is the same slot here, so that its use costs nothing more. Importing this module
fails if a slot is gone.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from aiohttp import HttpVersion, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import StreamWriter, _serialize_headers
from aiohttp.streams import EmptyStreamReader, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy, MultiMapping
from yarl import URL

MalformedRequest: TypeAlias = _ErrInfo
"""The description of a request that aiohttp's parser has refused: `status`, `exc` and `message`."""

_NO_PARAMETERS: Final = MultiDictProxy[str](MultiDict())

AnswerRequest: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _slot(owner: type, name: str) -> Any:
    """Return the descriptor of a slot, so that a subclass can use the slot under another name."""
    return getattr(owner, name)


class OpenHandler(RequestHandler):
    """aiohttp's protocol of one connection.

    Attributes:
        current_request: the request that is being handled; None if there is none.
        is_closing: the connection is closed, and no further request of it is handled.
        is_paused: the connection is not read because too many requests wait.
        is_upgraded: the connection has another protocol than HTTP.
        loop: the event loop.
        messages: requests that wait, or descriptions of malformed ones, each with its body.
        server: the server of the connection; None once it is closed.
        waiter: a future that is done when a request comes; None while one is handled.
    """

    __slots__ = ()

    current_request: web.BaseRequest | None = _slot(RequestHandler, "_current_request")
    is_closing: bool = _slot(RequestHandler, "_force_close")
    is_paused: bool = _slot(RequestHandler, "_buffer_paused")
    is_upgraded: bool = _slot(RequestHandler, "_upgraded")
    loop: asyncio.AbstractEventLoop = _slot(RequestHandler, "_loop")
    messages: deque[tuple[RawRequestMessage | MalformedRequest, StreamReader]] = _slot(
        RequestHandler, "_messages"
    )
    server: web.Server | None = _slot(RequestHandler, "_manager")
    waiter: asyncio.Future[None] | None = _slot(RequestHandler, "_waiter")

    @property
    def message_tail(self) -> bytes:
        """Input that no request has taken up."""
        return self._message_tail

    @message_tail.setter
    def message_tail(self, tail: bytes) -> None:
        self._message_tail = tail

    def pause_reading_for_messages(self) -> None:
        """Read nothing more until waiting requests have been handled."""
        self._pause_reading_for_buffer()

    async def start(self) -> None:
        """Handle the requests of the connection, one after another, in this task.

        aiohttp's own method makes a task for each request and waits for it, which takes a thirtieth of a small
        request's time. Ours handles only requests that have arrived whole: the first other one, and all that follow it,
        are left to aiohttp's.
        """
        while True:
            if not self._messages:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            if self._force_close:
                break
            message, payload = self._messages[0]
            if isinstance(message, _ErrInfo) or self._upgraded or self._buffer_paused or not payload.is_eof():
                await super().start()
                return
            self._messages.popleft()
            if not await self._handle_whole(message, payload):
                break
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def drop_rest(self, body: StreamReader) -> None:
        """Read and drop a body that is answered and not read to its end.

        If it has not ended afterwards, the connection is closed behind the answer.
        """

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: AnswerRequest,
    ) -> tuple[web.StreamResponse, bool]:
        """Handle a request that has not arrived whole, and drop what nobody reads of its body.

        aiohttp would drop it at full speed: the server's lingering time must be 0, or it still does afterwards.
        """
        response, is_lost = await super()._handle_request(request, start_time, request_handler)
        if not (is_lost or self._force_close or request._payload.is_eof()):
            await self.drop_rest(request._payload)
        return response, is_lost

    async def _handle_whole(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        """Handle a request that has arrived whole; return True if the connection stays open for the next one."""
        loop, task = self._loop, self._task_handler or asyncio.current_task()
        assert self._manager and self._parser and self._request_factory and self._request_handler and task
        self._parser.message_consumed()
        self._manager.requests_count += 1
        request = self._request_factory(message, payload, self, StreamWriter(self, loop), task)
        try:
            begun_at = loop.time() if self._logging_enabled else None
            response, is_lost = await super()._handle_request(request, begun_at, self._request_handler)
        except ConnectionError:
            return False
        except Exception as error:  # noqa: BLE001 - logged: the connection must end, as aiohttp's method ends it
            self.log_exception("Unhandled exception", exc_info=error)
            self.force_close()
            return False
        except BaseException:
            self.force_close()
            raise
        finally:
            request._task = None  # type: ignore[assignment] # it would keep this task alive
        self._keepalive = not is_lost and bool(response.keep_alive)
        if not self._keepalive or self._close or self._force_close:
            return False
        self._next_keepalive_close_time = loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = loop.call_at(self._next_keepalive_close_time, self._process_keepalive)
        return True


class OpenServer(web.Server):
    """aiohttp's server, which makes a handler of its own class for each connection."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""
        return self._loop

    def make_handler(self, handler_class: type[OpenHandler]) -> OpenHandler:
        """Return the protocol of the next connection."""
        return handler_class(self, loop=self._loop, **self._kwargs)


class OpenSite(web.BaseSite):
    """aiohttp's site: what a runner starts and stops.

    Attributes:
        backlog: the length of the system's queue of new connections.
        runner: the runner of the site.
        tls: the TLS context; None for plain HTTP.
    """

    __slots__ = ()

    backlog: int = _slot(web.BaseSite, "_backlog")
    runner: web.BaseRunner = _slot(web.BaseSite, "_runner")
    tls: ssl.SSLContext | None = _slot(web.BaseSite, "_ssl_context")

    def accept_with(self, acceptor: object) -> None:
        """Set the part that accepts connections. At the stop aiohttp calls its `close`."""
        self._server = acceptor  # type: ignore[assignment]


class PlainRequest(web.BaseRequest):
    """A request of aiohttp whose head is kept in slots.

    aiohttp computes these values at their first use and caches them in a dict, which takes longer.

    Attributes:
        method: the HTTP method: GET, POST and so on.
        version: the HTTP version.
        headers: the header fields.
        rel_url: the path and the query.
        query: the parameters of the query string.
        protocol: the protocol of the connection.
        keep_alive: True if the client keeps the connection open.
        body_exists: True if there is a body. It may be empty.
        asks_upgrade: True if the client offers another protocol (Upgrade) or asks for a tunnel (CONNECT).
        target_host: the host of an absolute request target; None for a path.
    """

    __slots__ = (
        "asks_upgrade",
        "body_exists",
        "headers",
        "keep_alive",
        "method",
        "protocol",
        "query",
        "rel_url",
        "target_host",
        "version",
    )

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        *arguments: Any,
        **named: Any,
    ) -> None:
        super().__init__(message, payload, protocol, *arguments, **named)
        self.method: str = message.method
        self.version: HttpVersion = message.version
        self.headers: CIMultiDictProxy[str] = message.headers
        self.rel_url: URL = self._rel_url
        self.query: MultiMapping[str] = (
            self.rel_url.query if self.rel_url.raw_query_string else _NO_PARAMETERS
        )
        self.protocol: RequestHandler = protocol
        self.keep_alive: bool = not message.should_close
        self.body_exists: bool = type(payload) is not EmptyStreamReader
        self.asks_upgrade: bool = message.upgrade
        self.target_host: str | None = None if message.path[:1] == "/" else message.url.raw_host

    def whole_body(self) -> bytes:
        """Return a body that has arrived whole.

        The reader has resumed the connection already, and would resume it again for each chunk that is read from it.
        Taking the chunks directly saves a thirtieth of a small request's time.
        """
        payload = self._payload
        if type(payload) is EmptyStreamReader or payload.exception() is not None:
            return payload.read_nowait()
        chunks = payload._buffer
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def bound_chunks(body: StreamReader, limit: int) -> None:
    """Let a body that comes in chunks be parsed no further than `limit` chunks ahead of its reader."""
    body._high_water_chunks = limit
    body._low_water_chunks = limit // 2


async def next_piece(body: StreamReader) -> tuple[bytes, int]:
    """Wait for more of a body. Return all of it that has come and is not read yet, and in how many parts it came.

    The bytes are empty at the end of the body. The parts are the chunks of a chunked body; larger ones may be in parts.

    aiohttp's own method takes chunk by chunk, lets the connection parse on after each of the last ones, and does not
    return to the event loop while there are more. With chunks of a byte it holds the loop for 40 ms.

    Raises:
        ConnectionError: the client has left.
        Exception: the body is broken or ends early.
    """
    while not body._buffer and not body._eof and body._exception is None:
        if not body._protocol.connected:  # the connection was lost while nobody waited for more
            raise ConnectionResetError("the client has left")
        await body._wait("next_piece")
    if body._exception is not None:
        raise body._exception
    if not body._buffer:
        return b"", 0
    parts = len(body._buffer)
    piece = b"".join(body._buffer) if parts > 1 else body._buffer[0]
    body._buffer.clear()
    body._size = 0
    body._cursor += len(piece)
    ends = body._http_chunk_splits
    if ends:
        last = ends[-1]
        ends.clear()
        ends.append(last)
    if parts > 1:  # parsing goes on in the next turn of the event loop, or one read would be one long turn
        await asyncio.sleep(0)
    body._protocol.resume_reading()
    return piece, parts


def handling_task(handler: RequestHandler) -> asyncio.Task[None] | None:
    """Return the task that handles the requests of a connection; None before it starts and after it ends."""
    return handler._task_handler


def head_bytes(status_line: str, headers: CIMultiDict[str]) -> bytes:
    """Return the status line and the headers as they are sent, with the empty line behind them.

    Raises:
        ValueError: a header contains a control character.
    """
    return _serialize_headers(status_line, headers)
