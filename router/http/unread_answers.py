"""Sends large responses piece by piece, and bounds the memory of unread responses over all connections.

An honest client reads its response within milliseconds. If unread responses take too much memory together, the
connections whose responses are oldest are cut off; new requests are not refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

PIECE_BYTES = 262_144
"""The bytes given to a connection at once. Responses up to this size are not counted: `max_connections` bounds them."""

MAX_UNREAD_BYTES = 268_435_456
"""The bound of unread bytes over all responses that are being sent."""


class UnreadAnswers:
    """The large responses that are being sent.

    Args:
        max_bytes: the bound of their unread bytes together.
        on_cut: called for each connection that is cut off to free memory.

    Attributes:
        unread_bytes: the bytes that the clients have not read yet.
    """

    def __init__(self, max_bytes: int, on_cut: Callable[[], None]) -> None:
        self.unread_bytes = 0
        self._max_bytes = max_bytes
        self._on_cut = on_cut
        self._sending: dict[asyncio.Transport, int] = {}
        self._progress_s: dict[asyncio.Transport, float] = {}

    def progress_s(self, transport: asyncio.Transport) -> float:
        """Return the loop time at which a connection took its last piece of a large response; 0 if it gets none."""
        return self._progress_s.get(transport, 0.0)

    async def send(self, request: web.BaseRequest, transport: asyncio.Transport, message: bytes) -> None:
        """Send a large message, and wait until the client has read most of it.

        Raises:
            ConnectionError: the client has disconnected, or was cut off to free memory.
        """
        loop = asyncio.get_running_loop()
        content = memoryview(message)
        self._count(transport, len(message))
        try:
            for start in range(0, len(content), PIECE_BYTES):
                self._progress_s[transport] = loop.time()
                if transport.is_closing():
                    raise ConnectionResetError("the client has left")
                piece = content[start : start + PIECE_BYTES]
                transport.write(piece)
                await request.writer.drain()
                if transport in self._sending:
                    self._count(transport, -len(piece))
        finally:
            self.unread_bytes -= self._sending.pop(transport, 0)
            self._progress_s.pop(transport, None)

    def _count(self, transport: asyncio.Transport, more_bytes: int) -> None:
        self._sending[transport] = self._sending.get(transport, 0) + more_bytes
        self.unread_bytes += more_bytes
        while self.unread_bytes > self._max_bytes and len(self._sending) > 1:
            oldest = next(iter(self._sending))
            self.unread_bytes -= self._sending.pop(oldest)
            self._on_cut()
            oldest.abort()
