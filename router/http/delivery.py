"""Writes the bytes of a response to its connection."""

from __future__ import annotations

from asyncio import Transport

from aiohttp import web

from router.http.request import Request
from router.http.unread_answers import PIECE_BYTES


async def send(request: web.BaseRequest, transport: Transport, message: bytes) -> None:
    """Send some bytes of a response, and wait until the client has read enough of it.

    Raises:
        ConnectionError: the client has disconnected.
    """
    if len(message) > PIECE_BYTES and isinstance(request, Request) and request.unread is not None:
        await request.unread.send(request, transport, message)
        return
    transport.write(message)
    if transport.get_write_buffer_size():
        await request.writer.drain()
