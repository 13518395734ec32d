"""Strangers on raw connections: calls of web pages, odd bodies and heads, and halves of connections."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sharq_core.http_port.connection import MAX_HEAD_BYTES
from tests.support.processes.servers import PATIENT, ServerFactory, SharqServer, running_server
from tests.support.stopwatch import Stopwatch
from tests.support.stores.server import StoreServer, running_store

DEADLINE_S = 60.0
JOB = b'{"job_id":"j1","interval":1,"payload":1}'

StartServer = Callable[..., SharqServer]


@pytest.fixture(scope="module")
def store() -> Iterator[StoreServer]:
    """One of one kind is enough here."""
    with running_store("valkey") as running:
        yield running


@pytest.fixture(scope="module")
def server(store: StoreServer) -> Iterator[SharqServer]:
    """A server with default settings."""
    with running_server(environ={"SHARQ_REDIS_URL": store.url, **PATIENT}) as running:
        yield running


@pytest.fixture
def start(own_server: ServerFactory, store: StoreServer, prefix: str) -> StartServer:
    """start(SHARQ_...="..."): a server with these variables."""

    def start_server(**environ: str) -> SharqServer:
        return own_server(environ={"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": prefix, **environ})

    return start_server


@contextmanager
def connected(server: SharqServer, timeout_s: float = DEADLINE_S) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s) as connection:
        yield connection


def all_of(connection: socket.socket) -> bytes:
    """Return the bytes that come until the other end closes."""
    content = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            content += piece
    return content


def ask(
    server: SharqServer, head: str, *headers: str, body: bytes = b"", host: str = "127.0.0.1"
) -> tuple[int, bytes]:
    """Send one request on a connection of its own; return status and body of the answer."""
    lines = [f"{head} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    with connected(server) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = all_of(connection)
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


def code_of(answer: tuple[int, bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[1]).get("code", "")


def depth(server: SharqServer, kind: str) -> int:
    return int(json.loads(ask(server, f"GET /metrics/{kind}/q/")[1])["queue_length"])


CROSS = "Sec-Fetch-Site: cross-site"


def test_pages_of_other_sites_do_nothing(server: SharqServer, kind: str) -> None:
    enqueue = f"POST /enqueue/{kind}/q/"
    assert ask(server, enqueue, body=JOB)[0] == 201
    forged: list[tuple[str, tuple[str, ...], bytes]] = [
        (enqueue, ("Origin: https://evil.example", "Content-Type: text/plain"), JOB.replace(b"j1", b"j2")),
        (
            enqueue,
            ("Origin: null", "Content-Type: application/x-www-form-urlencoded"),
            JOB.replace(b"j1", b"j2"),
        ),
        (enqueue, (CROSS, "Sec-Fetch-Mode: no-cors"), JOB.replace(b"j1", b"j2")),
        (f"GET /dequeue/{kind}/", (CROSS, "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"), b""),
        (f"GET /dequeue/{kind}/", ("Sec-Fetch-Site: same-site",), b""),
        (f"GET /dequeue/{kind}/", (CROSS, "Sec-Fetch-Mode: navigate"), b""),
        (f"GET /dequeue/{kind}/?wait=5000", ("Referer: http://evil.example/",), b""),
        (f"POST /finish/{kind}/q/j1/", ("Origin: https://evil.example",), b""),
        (f"DELETE /deletequeue/{kind}/q/", ("Origin: https://evil.example",), b""),
        (f"GET /job/{kind}/q/j1/", (CROSS,), b""),
        (f"PATCH /job/{kind}/q/j1/", ("Origin: https://evil.example",), b'{"priority": 1}'),
        (f"DELETE /job/{kind}/q/j1/", ("Origin: null",), b""),
        (f"POST /queue/{kind}/q/cancel/", (CROSS,), b'{"prefix": ""}'),
        ("GET /cluster/", (CROSS,), b""),
    ]
    for head, headers, body in forged:
        assert code_of(ask(server, head, *headers, body=body)) == (403, "forbidden"), (head, headers)
    assert depth(server, kind) == 1
    for path in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert ask(server, f"GET {path}", CROSS)[0] == 200
    own = f"Origin: http://127.0.0.1:{server.port}"
    assert ask(server, f"GET /job/{kind}/q/j1/", own, host=f"127.0.0.1:{server.port}")[0] == 200
    assert "Traceback" not in server.log


def test_the_body_of_a_refused_page_is_not_waited_for(server: SharqServer, kind: str) -> None:
    with connected(server) as connection:
        connection.sendall(
            f"POST /enqueue/{kind}/q/ HTTP/1.1\r\nHost: 127.0.0.1\r\n{CROSS}\r\nContent-Length: 1000\r\n\r\n".encode()
        )
        assert connection.recv(1000).split()[1] == b"403"


def test_a_name_that_is_not_the_servers_is_refused_on_a_bare_loopback(server: SharqServer, kind: str) -> None:
    for host in ("evil.example", f"evil.example:{server.port}", "10.1.2.3", "localhost.evil.example"):
        answer = ask(server, f"GET /metrics/{kind}/", "X-Forwarded-Host: localhost", host=host)
        assert code_of(answer) == (403, "forbidden"), host
    for host in ("localhost", "LOCALHOST:1", f"127.0.0.1:{server.port}", "[::1]", "x.localhost"):
        assert ask(server, f"GET /metrics/{kind}/", host=host)[0] == 200, host
    for path in ("/", "/healthz", "/readyz", "/openapi.json"):
        assert ask(server, f"GET {path}", host="evil.example")[0] == 200
    assert ask(server, "GET /metrics", host="10.1.2.3:9090")[0] == 200
    assert ask(server, "GET /metrics", host="evil.example")[0] == 403
    assert ask(server, f"GET http://evil.example/metrics/{kind}/")[0] == 403
    with connected(server) as connection:
        connection.sendall(f"GET /metrics/{kind}/ HTTP/1.0\r\n\r\n".encode())
        assert all_of(connection).split()[1] == b"200"
    with connected(server) as connection:
        connection.sendall(
            f"GET /metrics/{kind}/ HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n".encode()
        )
        assert all_of(connection).split()[1] == b"400"


def test_an_accepted_request_lets_in_none_that_differs_in_one_header(server: SharqServer, kind: str) -> None:
    """The gate remembers what it has accepted, which must not cover more than that."""
    path, own = f"/metrics/{kind}/", f"127.0.0.1:{server.port}"
    headers = (f"Origin: http://{own}", f"Referer: http://{own}/")
    assert ask(server, "GET /metrics", host="10.1.2.3")[0] == 200
    for _ in range(2):
        assert ask(server, f"GET {path}", *headers, host=own)[0] == 200
        assert ask(server, f"GET {path}", headers[1], host=own)[0] == 200
        assert ask(server, f"GET {path}", *headers, host="localhost")[0] == 403
        assert ask(server, f"GET {path}", *headers, CROSS, host=own)[0] == 403
        assert ask(server, f"GET {path}", "Referer: http://evil.example/", host=own)[0] == 403
        assert ask(server, f"GET http://evil.example{path}", *headers, host=own)[0] == 403
        assert ask(server, f"GET {path}", host="10.1.2.3")[0] == 403


def test_allowed_hosts_and_origins_are_let_in(start: StartServer, kind: str) -> None:
    server = start(
        SHARQ_SERVER_ALLOWED_HOSTS="queue.internal, 10.1.2.3",
        SHARQ_SERVER_ALLOWED_ORIGINS="https://console.example",
    )
    assert ask(server, f"GET /metrics/{kind}/", host="queue.internal:80")[0] == 200
    assert ask(server, f"GET /metrics/{kind}/", host="10.1.2.3")[0] == 200
    assert ask(server, f"GET /metrics/{kind}/", host="evil.example")[0] == 403
    assert ask(server, f"GET /metrics/{kind}/", "Origin: https://console.example", CROSS)[0] == 200
    assert ask(server, f"GET /metrics/{kind}/", "Origin: https://evil.example", CROSS)[0] == 403


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "banana", "gzip, gzip", "x-gzip", "gzip\r\nContent-Encoding: br", "é"]
)
def test_a_coding_that_is_not_known_is_refused(server: SharqServer, kind: str, coding: str) -> None:
    answer = ask(server, f"POST /enqueue/{kind}/q/", f"Content-Encoding: {coding}", body=JOB)
    assert code_of(answer) == (415, "unsupported_encoding")
    assert depth(server, kind) == 0
    assert ask(server, f"POST /enqueue/{kind}/q/", "Content-Encoding: identity", body=JOB)[0] == 201


@pytest.mark.parametrize("path", ["/enqueue/t/q/", "/nothing"])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Encoding: gzip\r\nContent-Length: 8", b"garbage!"),
        ("Content-Encoding: deflate\r\nContent-Length: 8", b"garbage!"),
        ("Content-Encoding: deflate\r\nContent-Length: 2", b"\x78\x9c"),
        ("Transfer-Encoding: chunked", b"5\r\nabcde\r\nZZ\r\n"),
        ("Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"),
        ("Expect: banana\r\nContent-Length: 2", b"{}"),
    ],
)
def test_a_broken_body_leaves_no_line(server: SharqServer, path: str, headers: str, body: bytes) -> None:
    before = server.log
    with connected(server) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n".encode() + body)
        assert connection.recv(1000).split()[1] in {b"400", b"404"}
    assert ask(server, "GET /healthz")[0] == 200
    assert server.log == before


def test_a_chunk_that_breaks_later_is_answered_at_once(server: SharqServer) -> None:
    with connected(server) as connection:
        connection.sendall(
            b"POST /enqueue/t/q/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"
        )
        time.sleep(0.2)
        connection.sendall(b"ZZ\r\n")
        assert all_of(connection).count(b"HTTP/1.1 400") == 1
    assert "Traceback" not in server.log


@pytest.mark.parametrize(("offered", "status"), [("websocket", b"400"), ("h2c", b"200"), ("foo", b"200")])
def test_an_offer_of_another_protocol_is_not_taken_up(
    server: SharqServer, offered: str, status: bytes
) -> None:
    offer = f"GET /metrics/t/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: {offered}\r\n\r\n".encode()
    after = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with connected(server) as connection:
        connection.sendall(offer)
        assert connection.recv(1000).split()[1] == status
        connection.sendall(after)
        assert all_of(connection).split()[1] == b"200"
    with connected(server) as connection:
        connection.sendall(offer + after)
        assert all_of(connection).split()[1] == status, "it ends, be the second one answered or not"


def test_heads_are_bounded_whole_and_all_together(server: SharqServer) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        with suppress(ConnectionError):
            for number in range(2 * MAX_HEAD_BYTES // 1000):
                connection.sendall(f"X-{number}: {'y' * 990}\r\n".encode())
                time.sleep(0.002)
        assert all_of(connection).split()[1] == b"431"
    large = "".join(f"X-{number}: {'y' * 4000}\r\n" for number in range(20))
    with connected(server) as connection:
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{large}\r\n".encode())
        assert all_of(connection).split()[1] == b"431"
    assert ask(server, "GET /healthz", f"X: {'y' * 8000}")[0] == 200
    assert "sharq_router_held_bytes 0.0" in ask(server, "GET /metrics")[1].decode()


def test_a_client_that_closes_its_sending_half_is_answered(server: SharqServer, kind: str) -> None:
    head = f"POST /enqueue/{kind}/q/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(JOB)}\r\n\r\n"
    with connected(server) as connection:
        connection.sendall(head.encode() + JOB)
        connection.shutdown(socket.SHUT_WR)
        assert all_of(connection).startswith(b"HTTP/1.1 201 ")
    with connected(server) as connection:
        connection.sendall(f"GET /dequeue/{kind}/ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        assert all_of(connection).startswith(b"HTTP/1.1 200 ")
    with connected(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        connection.shutdown(socket.SHUT_WR)
        assert all_of(connection).count(b"HTTP/1.1 200 ") == 3


def test_half_a_body_and_no_more_is_refused(server: SharqServer, kind: str) -> None:
    with connected(server) as connection:
        connection.sendall(
            f"POST /enqueue/{kind}/q/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{{".encode()
        )
        time.sleep(0.1)
        connection.shutdown(socket.SHUT_WR)
        assert all_of(connection).startswith(b"HTTP/1.1 400 ")
    assert depth(server, kind) == 0
    assert "Traceback" not in server.log


def test_a_waiting_client_that_closes_its_sending_half_gets_its_job(server: SharqServer, kind: str) -> None:
    with connected(server) as connection:
        connection.sendall(f"GET /dequeue/{kind}/?wait=15000 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert ask(server, f"POST /enqueue/{kind}/q/", body=JOB)[0] == 201
        assert all_of(connection).startswith(b"HTTP/1.1 200 ")


def test_a_waiting_client_that_has_gone_leases_nothing(server: SharqServer, kind: str) -> None:
    with connected(server) as connection:
        connection.sendall(f"GET /dequeue/{kind}/?wait=15000 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        server.until(lambda: "sharq_router_waiting_dequeues 1.0" in ask(server, "GET /metrics")[1].decode())
    server.until(lambda: "sharq_router_connections 1.0" in ask(server, "GET /metrics")[1].decode())
    assert ask(server, f"POST /enqueue/{kind}/q/", body=JOB)[0] == 201
    status, body = ask(server, f"GET /dequeue/{kind}/?wait=5000")
    assert (status, json.loads(body)["attempt"]) == (200, 1)


def test_a_stop_does_not_wait_for_who_does_not_read(start: StartServer, stopwatch: Stopwatch) -> None:
    server = start(SHARQ_SERVER_SHUTDOWN_TIMEOUT="4000")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400)
        server.until(lambda: ask(server, "GET /healthz")[0] == 200)
        time.sleep(0.5)
        stopwatch.start()
        assert server.stop() == 0
        stopwatch.assert_within(7.5, "it has stopped, and twice the timeout is 8 s")


def open_files(server: SharqServer) -> int:
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


async def test_want_of_files_is_said_and_passes(start: StartServer) -> None:
    server = start(SHARQ_LOG_LEVEL="info")
    files = open_files(server)
    _, most = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (files + 5, most))
    held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(12)]
    server.until(lambda: "accept_failed error='Too many open files'" in server.log)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (files + 100, most))
    server.until(lambda: server.status("/healthz") == 200)
    assert server.log.count("accept_failed") <= 2
    assert "Traceback" not in server.log
    metrics = ask(server, "GET /metrics")[1].decode()
    assert "sharq_router_failed_accepts_total 0.0" not in metrics
    for _, writer in held:
        writer.close()


def test_waiting_clients_that_have_gone_keep_no_place(server: SharqServer, kind: str) -> None:
    poll = f"GET /dequeue/{kind}/?wait=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    for _ in range(20):
        with connected(server) as connection:
            connection.sendall(poll)
    server.until(lambda: "sharq_router_waiting_dequeues 0.0" in ask(server, "GET /metrics")[1].decode())
