"""Tells if a client that has closed its sending half still reads, or is gone.

Both cases look the same: nothing more comes. They differ once something is sent. The client's system acknowledges it if
the socket is still open, and refuses it if the client has closed the socket or has ended. Linux shows which (TCP_INFO).
With TLS the end of one half is the end of both.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

CAN_TELL = hasattr(socket, "TCP_INFO")

_LOOKS_S = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""The pauses in seconds before each check."""

_TCP_CLOSE = 7
_UNACKED_AT = 24
_INFO_BYTES = 104


class Tcp(Protocol):
    """A socket, or a substitute for one."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """Return an option's value."""


async def takes_what_was_sent(tcp: Callable[[], Tcp | None]) -> bool:
    """Return True if the client accepts what it was sent; a client that is silent for two seconds counts as present.

    Args:
        tcp: returns the connection's socket; None once it is closed.
    """
    for pause_s in _LOOKS_S:
        await asyncio.sleep(pause_s)
        open_socket = tcp()
        verdict = False if open_socket is None else _verdict(open_socket)
        if verdict is not None:
            return verdict
    return True


def _verdict(tcp: Tcp) -> bool | None:
    """Return True if the sent bytes were acknowledged, False if they were refused, None if neither is known yet."""
    if not CAN_TELL:
        return True
    try:
        info = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    except OSError:
        return False
    if info[0] == _TCP_CLOSE:
        return False
    return True if info[_UNACKED_AT : _UNACKED_AT + 4] == bytes(4) else None
