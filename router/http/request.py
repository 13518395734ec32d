"""One HTTP request as the handlers see it."""

from __future__ import annotations

from asyncio import Task, get_running_loop, sleep, timeout
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias

from aiohttp import HttpVersion, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EmptyStreamReader, StreamReader
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDictProxy, MultiDict, MultiMapping, istr
from yarl import URL

from router.bodies.inflation import DEFLATE, GZIP, Inflation
from router.bodies.large_body import AT_ONCE_BYTES, LargeBody
from router.bodies.room import Arrival, BodyRoom
from router.http.unread_answers import UnreadAnswers
from sharq_core.errors import InvalidRequest, TooLarge, TooSlow
from sharq_core.http_port.connection import PortConnection

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
        arrival: counts its body, if that is large.
        has_gone_on: its client asked before it sent the body, and was told to send it.
        unread: counts its answer, if that is large.
    """

    path_values: Mapping[str, str] = {}
    body_timeout_s: float = BODY_TIMEOUT_S
    ends_connection: bool = False
    may_last: bool = False
    arrival: Arrival | None = None
    has_gone_on: bool = False
    unread: UnreadAnswers | None = None
    _body: bytes | LargeBody | None = None

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
        """Return the whole body, decompressed; raises as `body` does."""
        body = await self.body()
        return b"".join(body.pieces) if isinstance(body, LargeBody) else body

    async def body(self, room: BodyRoom | None = None) -> bytes | LargeBody:
        """Return the whole body, decompressed; read once.

        Args:
            room: counts what comes; None for a small one.

        Raises:
            TooLarge, TooSlow, InvalidRequest, Overloaded: it is longer than it may be, does not come in time, is
                wrongly encoded, or finds no room. Nothing was done.
        """
        if self._body is None:
            if room is not None or not self._payload.is_eof() or _CONTENT_ENCODING in self._headers:
                self._body = await self._read_in_time(room)
                return self._body
            self._body = self._take_all()
            if len(self._body) > self._client_max_size:
                raise self._too_large()
        return self._body

    async def discard(self, most_bytes: int) -> bool:
        """Read the rest of a body that nobody wants, so that its sender comes to read the answer.

        Returns:
            It has ended; False when more than most_bytes came, or did not come in time.
        """
        discarded_bytes = 0
        try:
            async with timeout(self.body_timeout_s):
                while discarded_bytes <= most_bytes:
                    piece = await self._payload.readany()
                    if not piece:
                        return True
                    discarded_bytes += len(piece)
        except (TimeoutError, ConnectionError, web.RequestPayloadError):
            pass
        return False

    def _take_all(self) -> bytes:
        """A body that has come whole. Its reader has let the connection go on already, and would do so for each chunk
        that is taken from it again: a thirtieth of a small request's time.
        """
        payload = self._payload
        if not self.body_exists or payload.exception() is not None:
            return payload.read_nowait()
        chunks = payload._buffer
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _read_in_time(self, room: BodyRoom | None) -> bytes | LargeBody:
        deadline = timeout(self.body_timeout_s)
        self.arrival = None if room is None else room.open(deadline)
        try:
            async with deadline:
                return await self._read_pieces()
        except TimeoutError as error:
            if self.arrival is not None:
                self.arrival.check()
            raise TooSlow(f"body: not here within {self.body_timeout_s:.3g} s") from error
        finally:
            if self.arrival is not None:
                self.arrival.settle()

    async def _read_pieces(self) -> bytes | LargeBody:
        inflation = self._inflation()
        pieces: list[bytes] = []
        size = 0
        while raw := await self._payload.readany():
            for piece in (raw,) if inflation is None else inflation.feed(raw):
                size += len(piece)
                if size > self._client_max_size:
                    raise self._too_large()
                if self.arrival is not None:
                    self.arrival.take(len(piece))
                pieces.append(piece)
                if inflation is not None:
                    await sleep(0)
        if inflation is not None:
            inflation.end()
        return LargeBody(pieces) if size > AT_ONCE_BYTES else b"".join(pieces)

    def _inflation(self) -> Inflation | None:
        encoding = self._headers.get(_CONTENT_ENCODING, "").strip().lower()
        if encoding in ("", "identity"):
            return None
        if encoding not in (GZIP, DEFLATE):
            raise InvalidRequest(f"Content-Encoding: expected {GZIP}, {DEFLATE} or identity")
        return Inflation(encoding)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"body: longer than {self._client_max_size} bytes, which is what a request may be")


RequestFactory: TypeAlias = Callable[
    [RawRequestMessage, StreamReader, RequestHandler, AbstractStreamWriter, "Task[None]"], Request
]


def request_factory(
    max_body_bytes: int,
    body_timeout_s: float = BODY_TIMEOUT_S,
    begun: Callable[[RequestHandler, StreamReader], object] = lambda _, __: None,
    unread: UnreadAnswers | None = None,
) -> RequestFactory:
    """Makes the requests of a server.

    Args:
        max_body_bytes: of one body, decompressed.
        body_timeout_s: how long one body may take.
        begun: told the connection and the body of each request.
        unread: counts the large answers.
    """
    loop = get_running_loop()

    def make(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: Task[None],
    ) -> Request:
        begun(protocol, payload)
        request = Request(message, payload, protocol, writer, task, loop, client_max_size=max_body_bytes)
        request.body_timeout_s = body_timeout_s
        request.unread = unread
        return request

    return make
