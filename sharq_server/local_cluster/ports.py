"""Allocates the TCP ports of the cluster: the routers' are held from the start, all other processes get free ones."""

from __future__ import annotations

import random
import socket
from collections.abc import Container, Iterable
from contextlib import ExitStack

from sharq_core.process.sockets import ListenError, bind_sockets

HOST = "127.0.0.1"

_CANDIDATES = range(20_000, 30_000)
"""The ports to choose from. They are below the ephemeral ports of Linux and macOS, so that no outgoing connection takes
one before its server starts.
"""


def listen_on(ports: range) -> list[list[socket.socket]]:
    """Listen on each port, so that no other process takes it before its router starts. Return the sockets of each.

    Raises:
        ListenError: a port cannot be listened on; the message names it. No port is held then.
    """
    held: list[list[socket.socket]] = []
    try:
        held.extend(bind_sockets(HOST, port, option="--port") for port in ports)
    except ListenError:
        for sockets in held:
            close_all(sockets)
        raise
    return held


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close the sockets in this process. A child that inherited one still listens."""
    for held in sockets:
        held.close()


def free_ports(count: int, reserved: Container[int]) -> list[int]:
    """Return `count` different ports on which nothing listens now.

    Args:
        reserved: ports that must not be returned, free or not.

    Raises:
        ListenError: there are not enough free ports.
    """
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.sample(_CANDIDATES, len(_CANDIDATES)):
            if len(ports) == count:
                break
            probe = held.enter_context(socket.socket())
            if port not in reserved and _can_bind(probe, port):
                ports.append(port)
    if len(ports) < count:
        raise ListenError(f"{count} free ports are needed, {len(ports)} were found")
    return ports


def free_ports_in_a_row(count: int) -> int:
    """Return the first of `count` ports in a row on which nothing listens now.

    Raises:
        ListenError: none of 100 tries found them.
    """
    for first in random.sample(_CANDIDATES[:-count], 100):
        with ExitStack() as held:
            probes = [held.enter_context(socket.socket()) for _ in range(count)]
            if all(_can_bind(probe, first + number) for number, probe in enumerate(probes)):
                return first
    raise ListenError(f"there are no {count} free ports in a row")


def _can_bind(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind((HOST, port))
    except OSError:
        return False
    return True
