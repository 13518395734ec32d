"""Clients that take what they can, each attack as a program.

`python -m tests.chaos.attacks.greedy_clients ATTACK URL TYPE`

It says "ready" once the attack has begun, and goes on until it is ended.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.support.http.hostile_bodies import FULL_BYTES, PAYLOAD_BYTES, Hostile, bulk, compressed

PAUSE_S = 0.05

HEAD = "POST /enqueue/ HTTP/1.1\r\nHost: localhost\r\n"


class Target:
    """The server that is attacked. kind: a queue type with many large dead letters."""

    def __init__(self, url: str, kind: str) -> None:
        self.kind = kind
        self.port = urlsplit(url).port or 80
        self._held: list[socket.socket] = []

    def hold(self, *pieces: bytes, reads: bool = True) -> None:
        """Open a connection, send some bytes, and keep it."""
        one = socket.create_connection(("127.0.0.1", self.port))
        if not reads:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for piece in pieces:
            one.sendall(piece)
        self._held.append(one)

    def repeat(
        self, clients: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        """Send one request again and again from some connections, and read the answers."""

        def send() -> None:
            while True:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                with contextlib.suppress(OSError, http.client.HTTPException):
                    while True:
                        connection.request(method, path, body, headers or {})
                        connection.getresponse().read()
                connection.close()
                time.sleep(PAUSE_S)

        for _ in range(clients):
            threading.Thread(target=send, daemon=True).start()


def announce(target: Target) -> None:
    """Sixteen bodies are announced, and do not come."""
    for _ in range(16):
        target.hold(f"{HEAD}Content-Length: {16 << 20}\r\n\r\n".encode())


def stall(target: Target) -> None:
    """Twenty bodies come but for their last bytes."""
    for _ in range(20):
        with contextlib.suppress(OSError):
            target.hold(f"{HEAD}Content-Length: {16 << 20}\r\n\r\n".encode(), b" " * ((16 << 20) - 10))


def ignore(target: Target) -> None:
    """Sixteen ask for long lists and do not read them."""
    for _ in range(16):
        target.hold(
            f"GET /dead/{target.kind}/?limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), reads=False
        )


def read_lists(target: Target) -> None:
    """Four read long lists all the time."""
    target.repeat(4, "GET", f"/dead/{target.kind}/?limit=10000")


def nest(target: Target) -> None:
    """Two send bulks full of deeply nested payloads, none of which is taken."""
    entry = _nested(PAYLOAD_BYTES)
    target.repeat(2, "POST", "/enqueue/", bulk([entry] * (FULL_BYTES // len(entry))))


def nest_less(target: Target) -> None:
    """Four send one such payload each, which a process of its own reads."""
    target.repeat(4, "POST", "/enqueue/", bulk([_nested(PAYLOAD_BYTES)]))


def nest_little(target: Target) -> None:
    """Four send such payloads that are short enough to be read by the event loop."""
    target.repeat(4, "POST", "/enqueue/", bulk([_nested(60_000)]))


def refuse(target: Target) -> None:
    """Two send long bodies that are refused at their first bytes."""
    target.repeat(2, "POST", "/enqueue/", b"{]" + b" " * FULL_BYTES)


def stray(target: Target) -> None:
    """Two send long bodies to a path that does not exist."""
    target.repeat(2, "POST", "/nowhere/", b" " * FULL_BYTES)


def pad(target: Target) -> None:
    """Two send small bodies with one good job that become large."""
    one = compressed(
        Hostile(
            "", "/enqueue/padded/q/", b'{"payload":1,"interval":0,"max_queued_length":0}'.ljust(FULL_BYTES)
        )
    )
    target.repeat(2, "POST", one.path, one.body, dict(one.headers))


def crumble(target: Target) -> None:
    """Two send bodies in chunks of one byte."""
    body = b"1\r\n \r\n" * 250_000 + b"0\r\n\r\n"
    target.repeat(2, "POST", "/enqueue/t/q/", body, {"Transfer-Encoding": "chunked"})


def bad_jobs(target: Target) -> None:
    """One sends a thousand bad jobs in a small body, over and over."""
    target.repeat(1, "POST", "/enqueue/", bulk([b'{"payload":1e400}'] * 1000))


def bombs(target: Target) -> None:
    """Two send small bodies that become large."""
    one = compressed(Hostile("", "/enqueue/", b" " * FULL_BYTES))
    target.repeat(2, "POST", one.path, one.body, dict(one.headers))


def members(target: Target) -> None:
    """Two send gzip files of nothing, a thousand in each body."""
    body = gzip.compress(b"") * 1000
    target.repeat(2, "POST", "/enqueue/", body, {"Content-Encoding": "gzip"})


def _nested(size: int) -> bytes:
    """Return a job with a deeply nested payload that is not taken."""
    nested = b"[" * 490 + b"1" + b"]" * 490
    payload = b"[" + b",".join([nested] * (size // 1000)) + b"]"
    return b'{"queue_type":"t","queue_id":"a//b","payload":%s}' % payload


ATTACKS: dict[str, Callable[[Target], None]] = {
    attack.__name__: attack
    for attack in (
        *(announce, stall, ignore, read_lists, nest, nest_less, nest_little, refuse, bad_jobs),
        *(bombs, members, pad, stray, crumble),
    )
}


def main() -> None:
    """Run one attack until the process is ended."""
    name, url, kind = sys.argv[1:]
    ATTACKS[name](Target(url, kind))
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
