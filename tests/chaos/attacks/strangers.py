"""Attacks by strangers, as a program: `python -m tests.chaos.attacks.strangers ATTACK PORT`, until it is ended.

Each keeps its pace, so that what an honest client notices is what the attack takes, and not that the machine is full.
"""

from __future__ import annotations

import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

PACE_S = 0.005
"""Between two acts: two hundred a second."""

HELD = 400
"""Connections that an attack holds at the most; then it lets the oldest go."""

_PIECE = b"\0" * (1 << 18)


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=2)
    connection.setblocking(False)
    return connection


def send(connection: socket.socket, content: bytes) -> None:
    """Send what can be sent at once."""
    with suppress(OSError):
        connection.send(content)


def silence(port: int) -> socket.socket:
    """A connection that says nothing: over TLS, a handshake that is not begun."""
    return connect(port)


def half_heads(port: int) -> socket.socket:
    """A head without an end, a little short of what it may have."""
    connection = connect(port)
    send(
        connection,
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"y" * 7000 + b"\r\nZ: " + b"y" * 7000,
    )
    return connection


def pages(port: int) -> socket.socket:
    """Send what a web page makes a browser send."""
    connection = connect(port)
    send(
        connection,
        b"POST /enqueue/sms/q/ HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
        b"Content-Length: 9\r\n\r\n{}",
    )
    return connection


def garbage(port: int) -> socket.socket:
    """Bodies that are not what their headers say, and what is no HTTP."""
    connection = connect(port)
    send(
        connection,
        b"POST /enqueue/sms/q/ HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 8\r\n\r\ngarbage!\x16\x03\x01 BREW / HTTP/9.9\r\n\r\n",
    )
    return connection


def pipelines(port: int) -> socket.socket:
    """Requests without number behind one that waits."""
    connection = connect(port)
    poll = b"GET /dequeue/nothing/?wait=20000 HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 2000 + b"\r\n\r\n"
    send(connection, poll * 100)
    return connection


def links(port: int) -> socket.socket:
    """Links without a proof that send one endless frame."""
    connection = connect(port)
    send(
        connection,
        b"GET /link HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    )
    time.sleep(PACE_S)
    send(connection, b"\x82\xff\0\0\0\0\x02\0\0\0\0\0\0\0" + _PIECE)
    return connection


ATTACKS: dict[str, Callable[[int], socket.socket]] = {
    act.__name__: act for act in (silence, half_heads, pages, garbage, pipelines, links)
}


def attack(act: Callable[[int], socket.socket], port: int) -> Iterator[None]:
    """Act again and again; each step is one act."""
    held: deque[socket.socket] = deque()
    while True:
        with suppress(OSError):
            held.append(act(port))
        if len(held) > HELD:
            held.popleft().close()
        yield


if __name__ == "__main__":
    for _ in attack(ATTACKS[sys.argv[1]], int(sys.argv[2])):
        time.sleep(PACE_S)
