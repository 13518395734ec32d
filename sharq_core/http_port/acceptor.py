"""Accepts the connections of a listening socket for a port, so that each counts from its first moment.

The event loop's own server counts a TLS connection only after its handshake, and reports nothing if the process runs
out of file descriptors.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from contextlib import suppress
from typing import Any, Protocol

from aiohttp import web

from sharq_core._compat.aiohttp import OpenSite
from sharq_core.http_port.open_files import held_refusals
from sharq_core.http_port.port import Port
from sharq_core.process.tasks import begin

ACCEPTS_A_TURN = 64
"""The most connections accepted before other work of the event loop has its turn."""

REFUSED_HELD = 100
"""The most refused connections that are kept for a moment; further ones are closed at once. Fewer with few open files.
"""

REFUSED_S = 0.5
"""The time in seconds for which a refused connection is kept, so that its client can read the answer."""

_PAUSE_S = 0.2
"""The pause in seconds after a failed accept."""

_NO_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listening(Protocol):
    """A listening socket, or a channel over which another process hands over the connections that it accepts."""

    def fileno(self) -> int:
        """Return the descriptor that is readable when a connection waits; -1 once it is closed."""
        ...

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection and its address; raise BlockingIOError if none waits."""
        ...

    def listen(self, backlog: int, /) -> None:
        """Let connections come."""
        ...

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - the signature of the standard library
        """Let `accept` wait for a connection, or not."""
        ...

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option that the connections inherit."""
        ...

    def getsockname(self) -> Any:
        """Return the address that clients connect to."""
        ...

    def close(self) -> None:
        """Accept no more connections."""
        ...


class PortSite(OpenSite):
    """A socket of a port, from its start to the stop of its runner."""

    def __init__(
        self, runner: web.ServerRunner, bound: Listening, tls: ssl.SSLContext | None, backlog: int
    ) -> None:
        super().__init__(runner, ssl_context=tls, backlog=backlog)
        self._socket = bound

    @property
    def name(self) -> str:
        """The address, for aiohttp."""
        return str(self._socket.getsockname())

    async def start(self) -> None:
        """Listen and accept connections."""
        await super().start()
        assert isinstance(self.runner.server, Port)
        self._socket.setblocking(False)  # noqa: FBT003 - the signature of the standard library
        # Accepted sockets inherit this option: one system call less for each connection.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket.listen(self.backlog)
        self.accept_with(Acceptor(self.runner.server, self._socket, self.tls))


class Acceptor:
    """The accept loop of one socket.

    It has the part of an asyncio server that aiohttp's sites use: `sockets` and `close`.
    """

    def __init__(self, port: Port, listening: Listening, tls: ssl.SSLContext | None) -> None:
        self._port = port
        self._socket = listening
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._resuming: asyncio.TimerHandle | None = None
        self._refused: set[socket.socket] = set()
        self._max_refused = held_refusals(REFUSED_HELD)
        self._loop.add_reader(self._socket, self._accept)

    @property
    def sockets(self) -> tuple[Listening, ...]:
        """The listening socket."""
        return (self._socket,)

    def close(self) -> None:
        """Accept no more connections."""
        if self._resuming is not None:
            self._resuming.cancel()
        for refused in list(self._refused):
            self._drop(refused)
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                accepted, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue
            except OSError as error:
                self._pause(error)
                return
            self._take(accepted)

    def _pause(self, error: OSError) -> None:
        """Pause until files are free again, and close an unused connection.

        New connections wait in the system's queue.
        """
        self._port.failed_accepts += 1
        self._port.log.error("accept_failed error=%r open=%d", error.strerror or str(error), self._port.open)
        if error.errno in _NO_FILES:
            self._port.make_room()
        self._loop.remove_reader(self._socket)
        self._resuming = self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        self._loop.add_reader(self._socket, self._accept)

    def _take(self, accepted: socket.socket) -> None:
        if not self._port.has_room(is_tls=self._tls is not None):
            self._refuse(accepted)
            return
        handler = self._port()
        opening = begin(self._loop, self._open(handler, accepted))
        if not opening.done():
            self._port.opens(handler, opening)

    def _refuse(self, accepted: socket.socket) -> None:
        """Answer with the reason, unless TLS is expected.

        Keep the connection for a moment: the client's request may still be on its way, and the answer would be lost if
        that met a closed connection.
        """
        self._port.refused += 1
        accepted.setblocking(False)  # noqa: FBT003 - the signature of the standard library
        try:
            if self._tls is None:
                accepted.send(self._port.refusal)
                accepted.shutdown(socket.SHUT_WR)
        except OSError:
            accepted.close()
            return
        if self._tls is not None or len(self._refused) >= self._max_refused:
            self._drop(accepted)
            return
        self._refused.add(accepted)
        self._loop.call_later(REFUSED_S, self._drop, accepted)

    def _drop(self, refused: socket.socket) -> None:
        """Close a refused connection. Read the received bytes first: closing would cut the answer off otherwise."""
        self._refused.discard(refused)
        with suppress(OSError), refused:
            refused.recv(1 << 16)

    async def _open(self, handler: web.RequestHandler, accepted: socket.socket) -> None:
        is_failed = True
        try:
            if self._tls is None:
                await self._loop.connect_accepted_socket(lambda: handler, accepted)
            else:
                await self._loop.connect_accepted_socket(
                    lambda: handler,
                    accepted,
                    ssl=self._tls,
                    ssl_handshake_timeout=self._port.bounds.header_timeout_s,
                )
            is_failed = False
        except (OSError, asyncio.CancelledError):
            self._port.failed_handshakes += 1
            accepted.close()
        finally:
            self._port.opened(handler, is_failed=is_failed)
