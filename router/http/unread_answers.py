"""Sends large answers piece by piece, and bounds the memory for what lies unread over all connections.

An honest client reads what it asked for within milliseconds. When all that are behind are too far behind together,
those that have been behind longest are cut off, and not those that ask next. Not here: the time for which any answer
may lie unread (router/http/server.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

PIECE_BYTES = 262_144
"""Given to a connection at once. An answer up to this is not counted: `max_connections` bounds those."""

MAX_UNREAD_BYTES = 268_435_456
"""Of all answers that are being sent."""


class UnreadAnswers:
    """The large answers that are being sent.

    Args:
        max_bytes: of all of them together.
        on_cut: told of each connection that was cut off to make room.

    Attributes:
        unread_bytes: what their clients have not read yet.
    """

    def __init__(self, max_bytes: int, on_cut: Callable[[], None]) -> None:
        self.unread_bytes = 0
        self._max_bytes = max_bytes
        self._on_cut = on_cut
        self._sending: dict[asyncio.Transport, int] = {}
        self._progress_s: dict[asyncio.Transport, float] = {}

    def progress_s(self, transport: asyncio.Transport) -> float:
        """Return when a connection took the last piece of a large answer, by the loop; 0 when it gets none."""
        return self._progress_s.get(transport, 0.0)

    async def send(self, request: web.BaseRequest, transport: asyncio.Transport, message: bytes) -> None:
        """Send a large message, and wait while the client is behind.

        Raises:
            ConnectionError: the client has left, or was too far behind for too long.
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
