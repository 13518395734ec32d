"""Sends a response piece by piece, so that memory holds only the unread part of a long list."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import HttpVersion10, web
from aiohttp.hdrs import METH_HEAD

from router.http.delivery import send
from router.http.response import JSON_HEADERS, Headers, Response
from sharq_core.errors import SharqError

log = logging.getLogger("sharq.router")

_CHUNKED = ("Transfer-Encoding", "chunked")
_LAST_CHUNK = b"0\r\n\r\n"


class StreamedAnswer(Response):
    """A response whose body comes in pieces. Each is made once the client has read most of the previous ones.

    If a piece cannot be made, the connection is closed in the middle of the body, so that the client notices the
    missing end.

    Args:
        first: the first piece of the body.
        rest: yields the other pieces.
        headers: all headers but those of the length.
    """

    __slots__ = ("_rest",)

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes], headers: Headers = JSON_HEADERS) -> None:
        super().__init__(first, headers=(*headers, _CHUNKED))
        self._rest = rest

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send the pieces, and wait after each until the client has read enough.

        Raises:
            ConnectionError: the client has disconnected, or a piece could not be made.
        """
        if request.version == HttpVersion10:
            self._headers = self._headers[:-1]
            self.force_close()  # the end of the connection is the end of the body
        if self.keep_alive is None:
            self.keep_alive = request.keep_alive
        await self._send(request, self._head(request.version, ""))
        if request.method == METH_HEAD:
            return
        is_chunked = request.version != HttpVersion10
        await self._send(request, _as_chunk(self.body) if is_chunked else self.body)
        try:
            async with aclosing(self._rest) as rest:
                async for piece in rest:
                    await self._send(request, _as_chunk(piece) if is_chunked else piece)
        except SharqError as error:
            log.warning("answer_cut_off sent_bytes=%d error=%r", self.body_length, error.message)
            raise ConnectionResetError("the rest of the answer could not be made") from error
        if is_chunked:
            await self._send(request, _LAST_CHUNK)

    async def _send(self, request: web.BaseRequest, message: bytes) -> None:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        self.body_length += len(message)
        await send(request, transport, message)


def _as_chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
