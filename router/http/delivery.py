"""Hands the bytes of an answer to their connection.

Not here: how a large one is sent and counted (router/http/unread_answers.py).
"""

from __future__ import annotations

from asyncio import Transport

from aiohttp import web

from router.http.request import Request
from router.http.unread_answers import PIECE_BYTES


async def send(request: web.BaseRequest, transport: Transport, message: bytes) -> None:
    """Send some bytes of an answer, and wait while the client is behind with reading what it was sent.

    Raises:
        ConnectionError: the client has left.
    """
    if len(message) > PIECE_BYTES and isinstance(request, Request) and request.unread is not None:
        await request.unread.send(request, transport, message)
        return
    transport.write(message)
    if transport.get_write_buffer_size():
        await request.writer.drain()
