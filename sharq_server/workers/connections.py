"""Hands the connections that the parent accepts over to the workers, one to each in turn.

docs/decisions/workers.md compares this with a socket that all workers share and with one socket for each of them.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any

from sharq_core.config import Address
from sharq_core.process.sockets import BACKLOG

log = logging.getLogger("sharq.server")

_ACCEPTS_A_TURN = 64
_PAUSE_S = 0.05
"""The pause in seconds while no worker takes a connection, or the process has no file left; clients wait meanwhile."""

_WORD = b"c"
"""The byte that carries a connection's descriptor."""


class AcceptLoop:
    """The accept loop of the parent.

    Args:
        listening: the listening sockets.
        channels: returns the channels of the workers that take connections now, the next in turn first, from the number
            of connections that were handed over.

    Attributes:
        accepted: the number of connections handed over so far.
    """

    def __init__(
        self, listening: Sequence[socket.socket], channels: Callable[[int], Sequence[socket.socket]]
    ) -> None:
        self.accepted = 0
        self._listening = listening
        self._channels = channels
        self._loop = asyncio.get_running_loop()
        self._resuming: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept connections."""
        for bound in self._listening:
            bound.setblocking(False)  # noqa: FBT003 - the signature of the standard library
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            bound.listen(BACKLOG)
        self._resume()

    def close(self) -> None:
        """Accept no more connections, and free the port."""
        self._stop_reading()
        for bound in self._listening:
            bound.close()

    def _accept(self, bound: socket.socket) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            channels = self._channels(self.accepted)
            # Without a worker that takes connections, clients wait in the system's queue.
            if not channels:
                self._pause()
                return
            try:
                accepted, _address = bound.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue
            except OSError as error:
                log.log(logging.ERROR, "accept_failed error=%r", error.strerror or str(error))
                self._pause()
                return
            with accepted:
                if not self._hand_over(accepted, channels):
                    log.warning("connection_dropped: no worker takes connections fast enough")

    def _hand_over(self, accepted: socket.socket, channels: Sequence[socket.socket]) -> bool:
        """Give a connection to the first worker whose channel has room; return False if none has."""
        for channel in channels:
            try:
                socket.send_fds(channel, [_WORD], [accepted.fileno()])
            except OSError as error:
                if error.errno not in {errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS}:
                    raise
            else:
                self.accepted += 1
                return True
        return False

    def _pause(self) -> None:
        self._stop_reading()
        self._resuming = self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        for bound in self._listening:
            self._loop.add_reader(bound, self._accept, bound)

    def _stop_reading(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        for bound in self._listening:
            if bound.fileno() >= 0:
                self._loop.remove_reader(bound)


class HandedConnections:
    """The connections that the parent hands over to this worker, as a `Listening` socket.

    Args:
        channel: this worker's end of its channel.
        address: the address that clients connect to.
    """

    def __init__(self, channel: socket.socket, address: Address) -> None:
        self._channel = channel
        self._address = address

    def fileno(self) -> int:
        """Return the descriptor of the channel; -1 once it is closed."""
        return self._channel.fileno()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection and its peer's address.

        Raises:
            BlockingIOError: no connection waits.
            OSError: this process has no file left.
        """
        word, descriptors, flags, _ = socket.recv_fds(self._channel, len(_WORD), 1)
        if not word:
            raise BlockingIOError(errno.EAGAIN, "the parent has ended")
        if not descriptors:
            raise OSError(errno.EMFILE, f"a connection was lost on its way (flags {flags})")
        accepted = socket.socket(fileno=descriptors[0])
        return accepted, None

    def listen(self, _backlog: int, /) -> None:
        """Do nothing: the parent listens."""

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - the signature of the standard library
        """Let `accept` wait for a connection, or not."""
        self._channel.setblocking(flag)

    def setsockopt(self, _level: int, _option: int, _value: int, /) -> None:
        """Do nothing: connections inherit the options of the parent's sockets."""

    def getsockname(self) -> tuple[str, int]:
        """Return the address that clients connect to."""
        return self._address.host, self._address.port

    def close(self) -> None:
        """Take no more connections."""
        self._channel.close()
