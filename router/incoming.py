"""One HTTP request as the handlers see it."""

from __future__ import annotations

from asyncio import Task, get_running_loop, timeout
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias

from aiohttp import HttpVersion, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EmptyStreamReader, StreamReader
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDictProxy, MultiDict, MultiMapping, istr
from yarl import URL

from sharq_core.errors import TooSlow
from sharq_core.process.port_connection import PortConnection

BODY_TIMEOUT_S = 30.0
_CONTENT_LENGTH = istr("Content-Length")
_CONTENT_ENCODING = istr("Content-Encoding")
_NO_PARAMETERS: MultiMapping[str] = MultiDict()


def is_gone(request: Request) -> bool:
    """The client has left, so nobody reads an answer any more."""
    transport = request.transport
    return transport is None or transport.is_closing()


async def has_left(request: Request, undo: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Return whether the client has left; of one that has only closed its sending half its system is asked.

    Args:
        undo: done if it turns out later that such a client did not take its answer.
    """
    connection = request.protocol
    if not isinstance(connection, PortConnection) or not connection.is_half_closed:
        return is_gone(request)
    if not await connection.takes_what_was_sent():
        return True
    connection.when_refused(undo)
    return False


class Request(web.BaseRequest):
    """A request, and what its path named.

    Of what a request is asked for each time aiohttp's own, as of 3.14, keeps a copy in a dictionary; here it is plain.

    Attributes:
        path_values: name → value, percent-decoded; not validated.
        body_timeout_s: how long its body may take.
        ends_connection: the connection is closed after its answer.
        may_last: its answer may take long, so that a client that closes its sending half is asked if it is there still.
    """

    path_values: Mapping[str, str] = {}
    body_timeout_s: float = BODY_TIMEOUT_S
    ends_connection: bool = False
    may_last: bool = False

    def when_gone(self, call: Callable[[], object]) -> None:
        """Have something called when the client leaves before its answer."""
        if isinstance(self._protocol, PortConnection):
            self._protocol.when_lost = call

    @property
    def method(self) -> str:
        """GET, POST and so on."""
        return self._method

    @property
    def version(self) -> HttpVersion:
        """Of HTTP."""
        return self._version

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """All of them."""
        return self._headers

    @property
    def rel_url(self) -> URL:
        """Path and query."""
        return self._rel_url

    @property
    def keep_alive(self) -> bool:
        """The client goes on with its connection."""
        return not self._message.should_close

    @property
    def body_exists(self) -> bool:
        """There is a body, empty perhaps."""
        return type(self._payload) is not EmptyStreamReader

    @property
    def body_bytes(self) -> int | None:
        """A body's declared length; None for one that is chunked or compressed."""
        declared = None if _CONTENT_ENCODING in self._headers else self._headers.get(_CONTENT_LENGTH)
        return None if declared is None else int(declared)

    @property
    def asks_upgrade(self) -> bool:
        """The client offers another protocol for what follows, or wants a tunnel."""
        return self._message.upgrade

    @property
    def target_host(self) -> str | None:
        """The host of an absolute request target; None for a path."""
        return None if self._message.path[:1] == "/" else self._message.url.raw_host

    @property
    def query(self) -> MultiMapping[str]:
        """The parameters of the query string."""
        return self._rel_url.query if self._rel_url.raw_query_string else _NO_PARAMETERS

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            HTTPRequestEntityTooLarge, TooSlow: it is longer than it may be, or does not come in time. Nothing was done.
        """
        if self._read_bytes is None:
            if not self._payload.is_eof():
                return await self._read_in_time()
            self._read_bytes = self._take_all()
            if len(self._read_bytes) > self._client_max_size:
                raise web.HTTPRequestEntityTooLarge(self._client_max_size)
        return self._read_bytes

    def _take_all(self) -> bytes:
        """A body that has come whole. Its reader has let the connection go on already, and would do so for each chunk
        that is taken from it again: a thirtieth of a small request's time.
        """
        payload = self._payload
        if not self.body_exists or payload.exception() is not None:
            return payload.read_nowait()
        chunks = payload._buffer
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _read_in_time(self) -> bytes:
        try:
            async with timeout(self.body_timeout_s):
                return await super().read()
        except TimeoutError as error:
            raise TooSlow(f"body: not here within {self.body_timeout_s:.3g} s") from error


RequestFactory: TypeAlias = Callable[
    [RawRequestMessage, StreamReader, RequestHandler, AbstractStreamWriter, "Task[None]"], Request
]


def request_factory(
    max_body_bytes: int,
    body_timeout_s: float = BODY_TIMEOUT_S,
    begun: Callable[[RequestHandler], object] = lambda _: None,
) -> RequestFactory:
    """Makes the requests of a server.

    Args:
        max_body_bytes: of one body, decompressed.
        body_timeout_s: how long one body may take.
        begun: told the connection of each request.
    """
    loop = get_running_loop()

    def make(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: Task[None],
    ) -> Request:
        begun(protocol)
        request = Request(message, payload, protocol, writer, task, loop, client_max_size=max_body_bytes)
        request.body_timeout_s = body_timeout_s
        return request

    return make
