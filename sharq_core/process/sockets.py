"""Opens the sockets of an HTTP server.

They listen before anything else starts, so that a port in use is reported at once and no other process can take the
port meanwhile. Connections wait until the server serves them.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Sequence
from typing import Any, Protocol

from sharq_core.config import Address

_NO_SUCH_FAMILY = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Errors of an address family that this machine lacks.

`localhost` resolves to ::1 even on a machine without IPv6; the other address is enough there.
"""


BACKLOG = 4096
"""The most connections that wait to be accepted; the system may allow fewer."""


class Bound(Protocol):
    """A socket, or whatever stands for one, that is bound to an address."""

    def getsockname(self) -> Any:
        """Return the address: host, port and more."""
        ...


class ListenError(Exception):
    """An address that cannot be listened on; the message says which one and why."""


def bind_sockets(host: str, port: int, *, option: str) -> list[socket.socket]:
    """Bind a socket for each address of the host name, all to the same port, and listen on all of them.

    Linux lets two sockets bind one port as long as neither listens, so only listening makes the port ours.

    Args:
        port: 0 takes any free port.
        option: the option of the command line that names another port, for the message about one in use.

    Raises:
        ListenError: the port is in use or not allowed, or the host is not of this machine. Nothing stays bound.
    """
    bound: list[socket.socket] = []
    try:
        for family, place in _resolve(host):
            try:
                bound.append(_bind(family, place, bound[0].getsockname()[1] if bound else port))
            except OSError as error:
                if not bound or error.errno not in _NO_SUCH_FAMILY:
                    raise
    except OSError as error:
        for bound_socket in bound:
            bound_socket.close()
        raise ListenError(_explain(Address(host, port), option, error)) from error
    return bound


def inherited_sockets(descriptors: Sequence[int]) -> list[socket.socket]:
    """Take over listening sockets from the parent process.

    Raises:
        ListenError: a descriptor is not a socket.
    """
    try:
        return [socket.socket(fileno=os.dup(descriptor)) for descriptor in descriptors]
    except OSError as error:
        raise ListenError(f"--listen-fd: cannot be taken over: {error.strerror}") from error


def addresses_of(sockets: Sequence[Bound]) -> list[Address]:
    """Return the addresses that the sockets are bound to, with their actual ports."""
    return [Address(*bound.getsockname()[:2]) for bound in sockets]


def public_address(sockets: Sequence[Bound]) -> Address | None:
    """Return the first address that other machines may reach (any but a loopback address); None for none."""
    return next((address for address in addresses_of(sockets) if not _is_loopback(address.host)), None)


def _is_loopback(host: str) -> bool:
    bare, _, _ = host.partition("%")
    return ipaddress.ip_address(bare).is_loopback


def _resolve(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """Return the host's addresses, IPv4 first: it is what a person types."""
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    places = {(family, str(address[0])) for family, _, _, _, address in infos}
    return sorted(places, key=lambda place: (place[0] != socket.AF_INET, place[1]))


def _bind(family: socket.AddressFamily, place: str, port: int) -> socket.socket:
    unbound = socket.socket(family, socket.SOCK_STREAM)
    try:
        unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        unbound.bind((place, port))
        unbound.listen(BACKLOG)
    except OSError:
        unbound.close()
        raise
    return unbound


def _explain(address: Address, option: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use by another process; {option} chooses another port"
    return f"cannot listen on {address}: {error.strerror or error}"
