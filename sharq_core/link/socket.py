"""Sends the entries of one tick as one frame, and receives frames, at both ends of a link."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar, cast

from aiohttp import ClientWebSocketResponse, WebSocketError, WSCloseCode, WSMsgType, web

from sharq_core.link.frames import MAX_FRAME_BYTES, FrameError, pack

log = logging.getLogger(__name__)

HEARTBEAT_S = 10.0
"""The silence in seconds after which a socket is asked for a sign of life; it ends if none comes in half that time."""

HELLO_S = 5.0
"""The longest time in seconds to the welcome."""

CLOSE_S = 1.0
"""The longest wait in seconds for the other end's close frame."""

_MAX_REASON_BYTES = 120
"""The most bytes of a reason in a WebSocket close frame."""

Socket: TypeAlias = web.WebSocketResponse | ClientWebSocketResponse
OwnerT = TypeVar("OwnerT")


class LinkBroken(Exception):
    """The end of the connection; the message says why."""


class Outbox(Generic[OwnerT]):
    """Entries that wait to be sent, each with an owner to be notified if it never was.

    Entries added in one tick of the event loop leave as one frame. While the socket's buffer is full, entries gather
    here.

    Args:
        is_open: returns False once nothing can be written to the socket any more.

    Attributes:
        frames_sent: the number of frames sent.
    """

    def __init__(self, socket: Socket, is_open: Callable[[], bool]) -> None:
        self.frames_sent = 0
        self._socket = socket
        self._is_open = is_open
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[bytes, OwnerT]] = deque()
        self._size_bytes = 0
        self._is_nudged = False
        self._is_last = False
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """Return the number of waiting entries."""
        return len(self._waiting)

    @property
    def size_bytes(self) -> int:
        """The number of waiting bytes."""
        return self._size_bytes

    def add(self, entry: bytes, owner: OwnerT) -> None:
        """Send an encoded entry at the end of this tick."""
        self._waiting.append((entry, owner))
        self._size_bytes += len(entry)
        self._wake.set()

    def nudge(self) -> None:
        """Send a frame at the end of this tick, an empty one if need be."""
        self._is_nudged = True
        self._wake.set()

    def finish(self) -> None:
        """Let `run` return once nothing waits."""
        self._is_last = True
        self._wake.set()

    def unsent(self) -> list[OwnerT]:
        """Return the owners of the entries that were never handed to the socket; for use after `run` has ended."""
        return [owner for _, owner in self._waiting]

    async def run(self) -> None:
        """Send until finished or until the connection is lost; the receiving side notices a loss too."""
        try:
            while not self._is_last:
                await self._wake.wait()
                self._wake.clear()
                while (self._waiting or self._is_nudged) and self._is_open():
                    await self._socket.send_bytes(self._next_frame())
        except ConnectionError as error:
            log.debug("link_lost error=%r", error)
        except Exception:
            log.exception("link_failed")
            await self._socket.close(code=WSCloseCode.INTERNAL_ERROR)

    def _next_frame(self) -> bytes:
        self._is_nudged = False
        self.frames_sent += 1
        if self._size_bytes <= MAX_FRAME_BYTES:
            entries = [entry for entry, _ in self._waiting]
            self._waiting.clear()
            self._size_bytes = 0
        else:
            entries = self._take_some()
        return pack(int(self._loop.time() * 1e6), entries, len(entries))

    def _take_some(self) -> list[bytes]:
        """Remove and return as many of the first entries as one frame may hold; a longer entry goes alone."""
        taken: list[bytes] = []
        room = MAX_FRAME_BYTES
        while self._waiting and (not taken or len(self._waiting[0][0]) <= room):
            entry, _ = self._waiting.popleft()
            taken.append(entry)
            room -= len(entry)
        self._size_bytes -= MAX_FRAME_BYTES - room
        return taken


async def receive(socket: Socket) -> bytes:
    """Return the next message.

    Raises:
        FrameError: it is not a message of a link, or too large.
        LinkBroken: the connection has ended.
    """
    message = await socket.receive()
    if message.type is WSMsgType.BINARY:
        return cast(bytes, message.data)
    if message.type is WSMsgType.TEXT:
        raise FrameError("a text message")
    if message.type is WSMsgType.CLOSE:
        raise LinkBroken(f"the other end closed it: {message.extra or message.data}")
    if isinstance(message.data, WebSocketError):
        raise FrameError(str(message.data))
    raise LinkBroken(
        f"the connection was lost: {message.data!r}" if message.data else "the connection was lost"
    )


async def say_goodbye(socket: Socket, code: int, reason: str) -> bool:
    """Close the socket and tell the other end why; return False if the peer did not accept the close frame."""
    try:
        async with asyncio.timeout(2 * CLOSE_S):
            await socket.close(code=code, message=reason.encode("ascii", "replace")[:_MAX_REASON_BYTES])
    except TimeoutError:
        return False
    return True
