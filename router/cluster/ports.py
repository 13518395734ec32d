"""The TCP ports of the cluster: whether the routers' are free, and free ones for everything else."""

from __future__ import annotations

import random
import socket
from collections.abc import Container
from contextlib import ExitStack

from sharq_core.process.listening import ListenError, bind_sockets

HOST = "127.0.0.1"

_CANDIDATES = range(20_000, 30_000)
"""Below the ephemeral ports of Linux and macOS: no outgoing connection takes one before its server starts."""


def check_free(ports: range) -> None:
    """Make sure that each port can be listened on now.

    Raises:
        ListenError: one cannot; the message names it.
    """
    for port in ports:
        for bound in bind_sockets(HOST, port):
            bound.close()


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
