"""The TCP ports of the cluster: the routers' are held from the beginning, and everything else gets free ones."""

from __future__ import annotations

import random
import socket
from collections.abc import Container, Iterable
from contextlib import ExitStack

from sharq_core.process.listening import ListenError, bind_sockets

HOST = "127.0.0.1"

_CANDIDATES = range(20_000, 30_000)
"""Below the ephemeral ports of Linux and macOS: no outgoing connection takes one before its server starts."""


def listen_on(ports: range) -> list[list[socket.socket]]:
    """Listen on each port, so that nobody else takes it until its router does; returns the sockets of each.

    Raises:
        ListenError: one cannot be listened on; the message names it. None is held then.
    """
    held: list[list[socket.socket]] = []
    try:
        held.extend(bind_sockets(HOST, port) for port in ports)
    except ListenError:
        for sockets in held:
            close_all(sockets)
        raise
    return held


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close them here; whoever has inherited one still listens."""
    for one in sockets:
        one.close()


def free_ports(count: int, reserved: Container[int]) -> list[int]:
    """Different ports that nothing listens on now.

    Args:
        reserved: ports that are not taken, free or not.

    Raises:
        ListenError: there are not enough.
    """
    found: list[int] = []
    with ExitStack() as held:
        for port in random.sample(_CANDIDATES, len(_CANDIDATES)):
            if len(found) == count:
                break
            probe = held.enter_context(socket.socket())
            if port not in reserved and _can_bind(probe, port):
                found.append(port)
    if len(found) < count:
        raise ListenError(f"{count} free ports are needed, {len(found)} were found")
    return found


def _can_bind(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind((HOST, port))
    except OSError:
        return False
    return True
