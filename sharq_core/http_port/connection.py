"""Handles one connection of a port.

Input is bounded, malformed HTTP is answered and counted, and a client that closes its sending half gets its answer. The
class extends aiohttp's protocol (sharq_core/_compat/aiohttp.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import socket
import termios
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestPayloadError

from sharq_core._compat.aiohttp import MalformedRequest, OpenHandler, bound_chunks
from sharq_core.http_port.half_closed import CAN_TELL, takes_what_was_sent

if TYPE_CHECKING:
    from sharq_core.http_port.port import Port

MAX_HEAD_BYTES = 16 << 10
"""The most bytes of a request line and headers together; up to twice that if the last part comes in one large piece."""

MAX_PIPELINED_BYTES = 64 << 10
"""The most bytes of requests that are read ahead while another is handled, beside the bytes of one read."""

AHEAD_CHUNKS = 512
"""The most chunks of a body that are parsed ahead of its reader, after at most AHEAD_BYTES // 16 (port.py) at first.

A chunk takes 3 us, whatever its length, and one read may bring 40,000 of a byte.
"""

FREE_HELD_BYTES = 4 << 10
"""The bytes of unfinished heads and pipelined requests that a connection may hold if all together hold too much."""

LINGER_S = 3.0
"""The time in seconds for reading the rest of an unused body, so that its sender reads the answer before the end."""

MAX_HEAD_STATUS = 431
_QUOTED = re.compile(r":?(\n|: b['\"]|: bytearray\().*", re.DOTALL)
"""The part of aiohttp's messages that quotes the request."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_BYTES = bytes(4)
_ANSWERED_S = 0.005
"""The pause in seconds between two checks for the answer of a request."""


class PortConnection(OpenHandler):
    """One connection.

    Attributes:
        body: the body of the newest request that was taken up; None before the first.
        dropping: the pace at which the port reads bodies only to drop them.
        held_bytes: bytes of an unfinished request head, or of requests behind the current one.
        is_link: the connection became a link, which has bounds of its own.
        is_half_closed: the client sends nothing more but may still read.
        is_over_limit: more bytes came than `limit` allows.
        receiving: the pace at which the port receives large bodies.
        when_lost: called once when the connection is lost.
    """

    __slots__ = (
        "_bytes_left",
        "body",
        "dropping",
        "held_bytes",
        "is_half_closed",
        "is_link",
        "is_over_limit",
        "receiving",
        "when_lost",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.receiving, self.dropping = self._port.receiving, self._port.dropping
        self.body: StreamReader | None = None
        self.held_bytes = 0
        self.is_link = False
        self.is_half_closed = False
        self.is_over_limit = False
        self.when_lost: Callable[[], object] | None = None
        self._bytes_left: int | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Notify the listener of the loss."""
        super().connection_lost(exc)
        if self.when_lost is not None:
            self.when_lost()
            self.when_lost = None

    def limit(self, size_bytes: int | None) -> None:
        """Allow at most size_bytes of input from now on, unread input included; None for no limit."""
        self._bytes_left = size_bytes
        if size_bytes is not None:
            self._take_from_limit(len(self.message_tail))

    def note_head(self, body: StreamReader) -> None:
        """Note that a whole request head has come; its body may still be on its way."""
        self._port.fresh.pop(self, None)
        self.body = body
        if not body.is_eof():
            bound_chunks(body, AHEAD_CHUNKS)
        if self.held_bytes:
            self.release_part(len(self.messages))

    def release_part(self, parts: int = 0) -> None:
        """Release one of the held parts; `parts` of about the same size remain."""
        kept_bytes = self.held_bytes * parts // (parts + 1)
        if isinstance(self.server, web.Server):
            cast("Port", self.server).held_bytes += kept_bytes - self.held_bytes
        self.held_bytes = kept_bytes

    def data_received(self, data: bytes) -> None:
        """Take received bytes. Cost for an ordinary request: some comparisons."""
        if self._bytes_left is not None and not self._take_from_limit(len(data)):
            return
        request = self.current_request
        is_whole = request is not None and request.content.is_eof()
        is_rest = self.body is not None and not self.body.is_eof()
        super().data_received(data)
        # The request is complete, so these bytes belong to the next ones, which wait in memory.
        if is_whole:
            self._read_ahead(len(data))
        elif request is not None:
            self._note_broken_body(request)
        elif not self.messages and data and not is_rest:
            self._hold(len(data), MAX_HEAD_BYTES)
        elif len(self.messages) > 1:
            self._read_ahead(len(data))
        if self.messages:
            if len(data) > MAX_HEAD_BYTES:
                self._refuse_long_heads()
            message, payload = self.messages[-1]
            if not self.is_upgraded and getattr(message, "upgrade", False) and payload.is_eof():
                self._end_after_upgrade(message, data)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the connection for its answers: return True, unless nothing is to be answered or TLS ends with it."""
        transport, request = self.transport, self.current_request
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return None
        if request is None and not self.messages:
            return None
        # The rest of the body can no longer come.
        if request is not None and not request.content.is_eof():
            request.content.set_exception(RequestPayloadError("the client has closed its sending half"))
        if getattr(request, "may_last", False) and not self._can_be_asked(request):
            return None
        self.is_half_closed = True
        self._port.half_closed(self)
        if not self.messages:
            self.close()
        if getattr(request, "may_last", False):
            # Only the fate of sent bytes shows if the client still reads, so some are sent before the answer.
            transport.write(_CONTINUE)
            self._end_if_gone()
        return True

    async def takes_what_was_sent(self) -> bool:
        """Return False if the client of a half-closed connection no longer reads, as far as its system tells."""
        return await takes_what_was_sent(self._tcp)

    def when_refused(self, undo: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run undo if the client's system refuses the answer to the current request."""
        request, tcp = self.current_request, self._tcp()
        if request is None or tcp is None:
            return
        try:
            kept = socket.socket(fileno=os.dup(tcp.fileno()))
        except OSError:
            return

        async def look() -> None:
            with kept:
                while self.current_request is request:  # noqa: ASYNC110 - aiohttp tells nobody
                    await asyncio.sleep(_ANSWERED_S)
                is_taken = await takes_what_was_sent(lambda: kept)
            if not is_taken:
                await undo()

        self._port.keep(self.loop.create_task(look()))

    async def drop_rest(self, body: StreamReader) -> None:
        """Read and drop the rest of an unused body, at the pace of all such bodies of the port."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self.dropping.drop(body)

    def has_unread_input(self) -> bool:
        """Return True if the system has received bytes that the event loop has not read yet. Cost: a system call."""
        tcp = self._tcp()
        return tcp is not None and fcntl.ioctl(tcp.fileno(), termios.FIONREAD, _NO_BYTES) != _NO_BYTES

    def end_if_idle(self) -> None:
        """Close a half-closed connection that has nothing more to answer."""
        if self.waiter is not None and not self.waiter.done():
            self.force_close()

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Log an unexpected error. A body that is broken or breaks off is counted as malformed instead."""
        if isinstance(kwargs.get("exc_info"), RequestPayloadError | HttpProcessingError | ConnectionError):
            self._count_malformed()
        else:
            super().log_exception(*args, **kwargs)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer malformed HTTP like every other failure; aiohttp's own answer is for unexpected errors."""
        if not isinstance(exc, HttpProcessingError) or self.server is None:
            return super().handle_error(request, status, exc, message)
        self._count_malformed()
        response = self._port.answer_malformed(request, status, _reason_of(exc))
        response.force_close()
        return response

    @property
    def _port(self) -> Port:
        return cast("Port", self.server)

    def _count_malformed(self) -> None:
        if self.server is not None:
            self._port.malformed += 1

    def _take_from_limit(self, size_bytes: int) -> bool:
        assert self._bytes_left is not None
        self._bytes_left -= size_bytes
        if self._bytes_left >= 0:
            return True
        self.is_over_limit = True
        self.message_tail = b""
        if self.transport is not None:
            self.transport.abort()
        return False

    def _read_ahead(self, size_bytes: int) -> None:
        """Count input behind a request that is being handled, and pause reading beyond a bound."""
        self._hold(size_bytes, None)
        if self.held_bytes > MAX_PIPELINED_BYTES and self.messages and not self.is_paused:
            self.pause_reading_for_messages()

    def _note_broken_body(self, request: web.BaseRequest) -> None:
        """Fail the reader of a body if the last input is not a body: aiohttp lets the reader wait for the rest."""
        if not self.messages or request.content.is_eof():
            return
        last = self.messages[-1][0]
        if isinstance(last, MalformedRequest):
            request.content.set_exception(RequestPayloadError(last.message))

    def _end_after_upgrade(self, message: Any, data: bytes) -> None:
        """Close after an upgrade offer that is not accepted, if more came behind it in one piece.

        aiohttp loses that input, and its sender would wait for an answer.
        """
        body_bytes = int(message.headers.get("Content-Length", 0))
        if data.find(b"\r\n\r\n") + 4 + body_bytes != len(data):
            self.close()

    def _hold(self, size_bytes: int, limit_bytes: int | None) -> None:
        if self.server is None or self.is_link or self.is_closing:
            return
        self.held_bytes += size_bytes
        self._port.held_bytes += size_bytes
        if limit_bytes is not None and self.held_bytes > limit_bytes:
            self._refuse_head(f"line and headers are longer than {limit_bytes} bytes")
        elif (
            self.held_bytes > FREE_HELD_BYTES
            and self._port.is_holding_too_much
            and self.transport is not None
        ):
            self._count_malformed()
            self.transport.abort()

    def _refuse_long_heads(self) -> None:
        for at, (message, _) in enumerate(self.messages):
            if not isinstance(message, MalformedRequest) and _head_bytes(message) > 2 * MAX_HEAD_BYTES:
                self.messages[at] = (_head_error("line and headers are too long"), EMPTY_PAYLOAD)

    def _refuse_head(self, reason: str) -> None:
        self.release_part()
        self.messages.append((_head_error(reason), EMPTY_PAYLOAD))
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def _can_be_asked(self, request: web.BaseRequest | None) -> bool:
        """Return True if the client accepts an interim response (HTTP/1.1) and this system reports its fate."""
        return request is not None and request.version == HttpVersion11 and CAN_TELL

    def _tcp(self) -> socket.socket | None:
        transport = self.transport
        return None if transport is None or transport.is_closing() else transport.get_extra_info("socket")

    def _end_if_gone(self) -> None:
        """Abort the connection if the client's system refused the interim response."""

        async def look() -> None:
            if not await self.takes_what_was_sent() and self.transport is not None:
                self.transport.abort()

        task = self.loop.create_task(look())
        self._port.keep(task)


def _reason_of(error: HttpProcessingError) -> str:
    """Return what is wrong with malformed HTTP, without any of its text: that may be a token."""
    if isinstance(error, LineTooLong):
        return f"the request line or a header is longer than {error.args[1]} bytes"
    return _QUOTED.sub("", error.message)


def _head_error(reason: str) -> MalformedRequest:
    error = HttpProcessingError(code=MAX_HEAD_STATUS, message=reason)
    return MalformedRequest(status=MAX_HEAD_STATUS, exc=error, message=reason)


def _head_bytes(message: Any) -> int:
    return len(message.path) + sum(len(name) + len(value) for name, value in message.raw_headers)
