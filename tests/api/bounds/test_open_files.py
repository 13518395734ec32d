"""A process with few open files: its connections are bounded by that, so that it keeps files for its own work."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.processes.servers import PATIENT, SharqProcess, SharqServer
from tests.support.stores.server import running_store

FILES = 96
SERVED, REFUSED = b"HTTP/1.1 200 ", b"HTTP/1.1 503 "
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
BULK = json.dumps(
    {
        "jobs": [
            {"queue_type": "t", "queue_id": f"q{n}", "interval": 0, "payload": "x" * 1000} for n in range(200)
        ]
    }
).encode()
"""Larger than what the event loop parses itself: a process is started for it, which takes open files."""

PIPELINES = 8
"""Requests at once, each of which may take another connection to the store."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SharqServer]:
    """A server that may open few files, on a store of its own."""
    with running_store("valkey") as store:
        server = SharqServer(tmp_path, environ={"SHARQ_REDIS_URL": store.url, **PATIENT})
        limit_files(server)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def limit_files(process: SharqProcess) -> None:
    """Let a process that does not run yet open at most FILES files."""
    process._command = ["/bin/sh", "-c", f'ulimit -n {FILES} && exec "$@"', "sh", *process._command]


def ask(connection: socket.socket, request: bytes) -> bytes:
    """Return the beginning of the answer to a request."""
    connection.sendall(request)
    return connection.recv(1 << 16)


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_clients_that_keep_connections_open_take_no_file_that_the_process_needs(server: SharqServer) -> None:
    """Further ones are answered at once, and the others are served: their jobs, and bodies of any size."""
    with ExitStack() as stack:

        def connected() -> socket.socket:
            address = ("127.0.0.1", server.port)
            return stack.enter_context(socket.create_connection(address, timeout=20))

        served: list[socket.socket] = []
        while (answer := ask(connection := connected(), HEALTH)).startswith(SERVED):
            served.append(connection)
        assert answer.startswith(REFUSED)
        for number, connection in enumerate(served[:PIPELINES]):
            connection.sendall(post(f"/enqueue/t/q{number}/", b'{"interval": 0, "payload": 1}'))
        for connection in served[:PIPELINES]:
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 201 ")
        answer = ask(served[0], post("/enqueue/", BULK))
        assert answer.startswith(SERVED), answer
        assert ask(connected(), HEALTH).startswith(REFUSED)
    server.until(lambda: "max_connections_lowered " in server.log)
    found = re.search(
        r"max_connections_lowered configured=10000 to=(\d+) open_files_limit=(\d+): ", server.log
    )
    assert found is not None, server.log
    assert (int(found[1]), int(found[2])) == (len(served), FILES)
    assert "accept_failed" not in server.log
    server.until(lambda: server.status("/readyz") == 200)
