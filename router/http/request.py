"""An HTTP request in the form that handlers use, and the reading of its body."""

from __future__ import annotations

import time
from asyncio import Task, get_running_loop, sleep, timeout
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from multidict import istr

from router.access.token import Token
from router.bodies.inflation import DEFLATE, GZIP, Inflation
from router.bodies.large_body import AT_ONCE_BYTES, CompressedBody, LargeBody
from router.bodies.parser import QUICK_BYTES, BodyParser
from router.bodies.room import Arrival, BodyRoom
from router.http.unread_answers import UnreadAnswers
from sharq_core._compat.aiohttp import PlainRequest, next_piece
from sharq_core.errors import Overloaded, TooLarge, TooSlow
from sharq_core.http_port.body_pace import HEAD_S, BodyPace
from sharq_core.http_port.connection import PortConnection

P = ParamSpec("P")
ValueT = TypeVar("ValueT")

BODY_TIMEOUT_S = 30.0
_CONTENT_LENGTH = istr("Content-Length")
_CONTENT_ENCODING = istr("Content-Encoding")

INFLATED_STEPS = 16
"""The most steps of the decompression of one body on the event loop. A step yields a piece, or the end of a member."""

NO_MEMORY = "body: the process has no memory left for it; nothing was done, try again in a moment"

_MAX_GROWTH = 1.01
"""The most that an encoding may lengthen a body. Content that cannot be compressed grows by less."""


def is_gone(request: Request) -> bool:
    """Return True if the client has disconnected, so that a response would go unread."""
    transport = request.transport
    return transport is None or transport.is_closing()


def may_have_left(request: Request) -> bool:
    """Return False if the client is certainly connected, so that `has_left` need not be called."""
    return is_gone(request) or getattr(request.protocol, "is_half_closed", False)


async def has_left(request: Request, undo: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Return True if the client has disconnected.

    A client that closed only its sending half may still read. The TCP state of the connection decides then.

    Args:
        undo: called later if such a client turns out not to have taken its response.
    """
    connection = request.protocol
    if not may_have_left(request):
        return False
    if is_gone(request) or not isinstance(connection, PortConnection):
        return True
    if not await connection.takes_what_was_sent():
        return True
    connection.when_refused(undo)
    return False


class Request(PlainRequest):
    """A request and the values of its path.

    Attributes:
        path_values: name → value, percent-decoded but not validated.
        payload: the body as it arrives.
        max_body_bytes: the longest permitted body, decompressed.
        body_timeout_s: the longest time that the body may take to arrive.
        ends_connection: True if the connection is to be closed after the response.
        may_last: True if the response may take long. The port then checks that a client that has closed its sending
            half is still connected.
        arrival: counts the bytes of a large body; None for a small one.
        pace: the pace at which a large body is received; None for a small one.
        taken_s: the time of the event loop that the receipt of a large body has taken, estimated, in seconds.
        rest_s: the time that the sender is to wait for the response, because its body has wasted much.
        has_gone_on: True if the client waited for `100 Continue` and has received it.
        unread: counts the unread bytes of large responses; None for no count.
        token: the caller's token; None if the server asks for none, or the operation needs none.
    """

    path_values: Mapping[str, str] = {}
    payload: StreamReader
    max_body_bytes: int
    body_timeout_s: float = BODY_TIMEOUT_S
    ends_connection: bool = False
    may_last: bool = False
    arrival: Arrival | None = None
    pace: BodyPace | None = None
    taken_s: float = 0.0
    rest_s: float = 0.0
    has_gone_on: bool = False
    unread: UnreadAnswers | None = None
    token: Token | None = None
    _body: bytes | LargeBody | None = None

    def when_gone(self, call: Callable[[], object]) -> None:
        """Call a function if the client disconnects before it has its response."""
        if isinstance(self.protocol, PortConnection):
            self.protocol.when_lost = call

    def sees(self, queue_type: str) -> bool:
        """Return True if an answer to the caller may show a queue type."""
        return self.token is None or self.token.sees(queue_type)

    @property
    def body_bytes(self) -> int | None:
        """The declared length of the body in bytes; None if it is chunked or compressed."""
        declared = None if _CONTENT_ENCODING in self.headers else self.headers.get(_CONTENT_LENGTH)
        return None if declared is None else int(declared)

    @property
    def received_body(self) -> bytes | LargeBody | None:
        """The body, if `body` has read it; else None."""
        return self._body

    async def body(self, room: BodyRoom | None = None) -> bytes | LargeBody:
        """Return the whole body, decompressed unless its content is long. The body is read once and kept.

        Args:
            room: counts the received bytes; None for a small body.

        Raises:
            TooLarge: the body is longer than the limit.
            TooSlow: the body did not arrive in time.
            InvalidRequest: the body is not correctly encoded.
            Overloaded: there is no memory for the body. In all four cases nothing was done.
        """
        if self._body is None:
            if room is not None and isinstance(self.protocol, PortConnection):
                self.pace = self.protocol.receiving
                self.taken_s = HEAD_S
                self.pace.charge(HEAD_S)
            if room is not None or not self.payload.is_eof() or _CONTENT_ENCODING in self.headers:
                self._body = await self._read_in_time(room)
                return self._body
            self._body = self.whole_body()
            if len(self._body) > self.max_body_bytes:
                raise self._too_large()
        return self._body

    async def parsed(
        self,
        parser: BodyParser,
        read: Callable[Concatenate[bytes, P], ValueT],
        *arguments: P.args,
        **no_names: P.kwargs,
    ) -> ValueT:
        """Return the body as a parsing function reads it, within what the caller's token may do.

        Handlers get bodies only from here, so that none can forget to check the queue types in them.

        Args:
            read: a function of a parsing module. Its first argument is the body.
            arguments: its further arguments.

        Raises:
            Forbidden: the body is about a queue type that the token may not use. In a bulk call, only the entries of
                such types become this error. Nothing was done.
            SharqError: the body cannot be read or parsed; see `body` and `BodyParser.run`.
        """
        body = await self.body()
        if (
            isinstance(body, bytes) and len(body) <= QUICK_BYTES
        ):  # as `run` does; a call of it would cost 0.2 µs
            value = read(body, *arguments, **no_names)
        else:
            body = parser.placed(body)
            try:
                value = await parser.run(read, body, *arguments, **no_names)
            except MemoryError:
                raise Overloaded(NO_MEMORY) from None
            finally:
                if isinstance(body, LargeBody):
                    self.rest_s = body.rest_s
        if self.token is None or not self.token.is_limited:
            return value
        return cast(ValueT, self.token.limited(value))

    async def rest(self) -> None:
        """Let the sender of a body wait whose parsing has wasted much. Its body takes no memory meanwhile."""
        self._body = None
        await sleep(self.rest_s)

    def count_as_wasted(self) -> None:
        """Count the time that the receipt of the body took as wasted, because a fault of its sender has undone it."""
        if self.pace is not None and self.taken_s:
            self.pace.waste(self.taken_s)

    async def discard(self, limit_bytes: int) -> bool:
        """Read and drop the rest of a rejected body, so that the client gets to read the response.

        Returns:
            True if the body has ended; False if it was longer than limit_bytes or did not arrive in time.
        """
        try:
            async with timeout(self.body_timeout_s):
                return isinstance(self.protocol, PortConnection) and await self.protocol.dropping.drop(
                    self.payload, limit_bytes
                )
        except (TimeoutError, ConnectionError, web.RequestPayloadError):
            return False

    async def _read_in_time(self, room: BodyRoom | None) -> bytes | LargeBody:
        deadline = timeout(self.body_timeout_s)
        self.arrival = None if room is None else room.open(deadline)
        try:
            async with deadline:
                return await self._read_pieces()
        except TimeoutError as error:
            if self.arrival is not None:
                self.arrival.check()
            raise TooSlow(f"body: not received within {self.body_timeout_s:.3g} s") from error
        finally:
            if self.arrival is not None:
                self.arrival.settle()

    async def _read_pieces(self) -> bytes | LargeBody:
        encoding = self.headers.get(_CONTENT_ENCODING, "").strip().lower()
        if encoding in (GZIP, DEFLATE):  # the gate has refused all other codings
            return await self._read_compressed(encoding)
        pieces: list[bytes] = []
        size = 0
        while piece := await self._next_piece():
            size += len(piece)
            if size > self.max_body_bytes:
                raise self._too_large()
            self._count(len(piece))
            pieces.append(piece)
        return LargeBody(pieces) if size > AT_ONCE_BYTES else b"".join(pieces)

    async def _read_compressed(self, encoding: str) -> bytes | CompressedBody:
        """Read a compressed body. Decompress it if its content is short, else leave that to the parsing process."""
        inflation = Inflation(encoding)
        limit_bytes = int(self.max_body_bytes * _MAX_GROWTH)
        pieces: list[bytes] = []
        content: list[bytes] = []
        is_long = False
        size = 0
        while piece := await self._next_piece():
            size += len(piece)
            if size > limit_bytes:
                raise self._too_large()
            self._count(len(piece))
            pieces.append(piece)
            is_long = is_long or not self._inflate(inflation, piece, content)
        if is_long:
            return CompressedBody(pieces, encoding, self.max_body_bytes, self._count)
        inflation.end()
        if sum(map(len, content)) > self.max_body_bytes:
            raise self._too_large()
        return b"".join(content)

    def _inflate(self, inflation: Inflation, piece: bytes, content: list[bytes]) -> bool:
        """Decompress a piece of a body; return False if its content is too long for the event loop."""
        began_s = time.thread_time()
        try:
            for part in inflation.feed(piece):
                content.append(part)
                if len(content) > INFLATED_STEPS or sum(map(len, content)) > AT_ONCE_BYTES:
                    return False
            return True
        finally:
            inflated_s = time.thread_time() - began_s
            self.taken_s += inflated_s
            if self.pace is not None:
                self.pace.charge(inflated_s)

    async def _next_piece(self) -> bytes:
        """Return more of the body, that of a large one at the pace of all; empty at its end."""
        if self.pace is None:
            piece, _ = await next_piece(self.payload)
            return piece
        piece, taken_s = await self.pace.next_piece(self.payload)
        self.taken_s += taken_s
        return piece

    def _count(self, more_bytes: int) -> None:
        """Count bytes that the body takes in memory. Raise Overloaded if there is no room for them."""
        if self.arrival is not None:
            self.arrival.take(more_bytes)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"body: longer than the limit of {self.max_body_bytes} bytes")


RequestFactory: TypeAlias = Callable[
    [RawRequestMessage, StreamReader, RequestHandler, AbstractStreamWriter, "Task[None]"], Request
]


def request_factory(
    max_body_bytes: int,
    body_timeout_s: float = BODY_TIMEOUT_S,
    unread: UnreadAnswers | None = None,
) -> RequestFactory:
    """Return the function that makes a server's requests.

    Args:
        max_body_bytes: the longest permitted body, decompressed.
        body_timeout_s: the longest time that one body may take to arrive.
        unread: counts the unread bytes of large responses; None for no count.
    """
    loop = get_running_loop()

    def make(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: Task[None],
    ) -> Request:
        if isinstance(protocol, PortConnection):
            protocol.note_head(payload)
        request = Request(message, payload, protocol, writer, task, loop, client_max_size=max_body_bytes)
        request.payload = payload
        request.max_body_bytes = max_body_bytes
        request.body_timeout_s = body_timeout_s
        request.unread = unread
        return request

    return make
