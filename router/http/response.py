"""Encodes the router's responses as HTTP, and sends each with one write."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import TypeAlias

import msgspec
from aiohttp import HttpVersion, HttpVersion10, web
from aiohttp.hdrs import METH_HEAD
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE
from msgspec import Struct
from multidict import CIMultiDict

from router.http.delivery import send
from router.http.unread_answers import PIECE_BYTES
from sharq_core._compat.aiohttp import head_bytes

_encode = msgspec.json.Encoder().encode

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""The names and values of header fields, in the order in which they are sent."""

JSON_HEADERS: Headers = (("Content-Type", "application/json"),)
NO_STORE_HEADERS: Headers = (*JSON_HEADERS, ("Cache-Control", "no-store"))

_KNOWN_HEADS = 256
"""The number of cached heads; a few dozen are in use."""


class Response:
    """A whole response, sent with one write, and its result for the metrics.

    It has only the interface that the server of aiohttp 3.14 needs: `prepare`, `write_eof` and `keep_alive`, and
    `status`, `headers` and `body_length` for the access log. tests/api/test_gateway.py checks this. aiohttp's own
    response supports bodies that come piece by piece and serializes every header each time.

    Attributes:
        body: the bytes after the head. A HEAD request gets only their length.
        result: ok, empty, duplicate, gone, or an error code.
        request_id: the id that the client gets; empty for none.
        keep_alive: False to close the connection afterwards; None, before sending, to do as the request asks.
        body_length: the number of bytes sent, including the head.
    """

    __slots__ = ("_headers", "body", "body_length", "keep_alive", "request_id", "result", "status")

    def __init__(
        self, body: bytes, status: int = 200, result: str = "ok", headers: Headers = JSON_HEADERS
    ) -> None:
        self.body = body
        self.status = status
        self.result = result
        self.request_id = ""
        self.keep_alive: bool | None = None
        self.body_length = 0
        self._headers = headers

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers of the constructor and the request's id."""
        headers = CIMultiDict(self._headers)
        if self.request_id:
            headers["X-Request-Id"] = self.request_id
        return headers

    def force_close(self) -> None:
        """Close the connection after the response has been sent."""
        self.keep_alive = False

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send the response, and wait until the client has read enough of it.

        Raises:
            ConnectionError: the client has disconnected.
        """
        if self.keep_alive is None:
            self.keep_alive = request.keep_alive
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        head = self._head(request.version, f"Content-Length: {len(self.body)}\r\n")
        body = b"" if request.method == METH_HEAD else self.body
        self.body_length = len(head) + len(body)
        if len(body) > PIECE_BYTES:  # joining head and body would copy the body
            await send(request, transport, head)
            await send(request, transport, body)
        else:
            transport.write(head + body)
            if transport.get_write_buffer_size():
                await request.writer.drain()

    async def write_eof(self) -> None:
        """Do nothing: `prepare` has sent the whole response."""

    def _head(self, version: HttpVersion, length: str) -> bytes:
        """Return the head of the response; `length` is the header of its length, or empty."""
        fixed = _fixed_head(version, self.status, self._headers, self.keep_alive)
        request_id = f"X-Request-Id: {self.request_id}\r\n" if self.request_id else ""
        return (f"{fixed}{request_id}{length}Date: {rfc822_formatted_time()}\r\n\r\n").encode()


@lru_cache(_KNOWN_HEADS)
def _fixed_head(version: HttpVersion, status: int, headers: Headers, keep_alive: bool | None) -> str:  # noqa: FBT001 - a cache of named arguments is slower
    """Return the status line and the headers that do not change between responses.

    Raises:
        ValueError: a header contains a control character.
    """
    all_headers = CIMultiDict((*headers, ("Server", SERVER_SOFTWARE)))
    if not keep_alive:
        all_headers["Connection"] = "close"
    elif version == HttpVersion10:
        all_headers["Connection"] = "keep-alive"
    status_line = f"HTTP/{version.major}.{version.minor} {status} {HTTPStatus(status).phrase}"
    return head_bytes(status_line, all_headers).decode().removesuffix("\r\n")


def answer(value: Struct, status: int = 200, result: str = "ok") -> Response:
    """Return a response with the JSON of a value."""
    return Response(_encode(value), status, result)
