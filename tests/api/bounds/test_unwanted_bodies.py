"""Bodies that are answered before they were read: their rest is dropped, slowly if there is much of it."""

from __future__ import annotations

import asyncio
import gzip
import io
import sys
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from router.http.request import Request
from router.http.response import Response
from sharq_core.http_port import body_pace
from sharq_core.http_port.body_pace import PACED_SHARE
from tests.support.http.contract import open_raw
from tests.support.http.fronted import Fronted, Serve, content_of, is_at_full_speed
from tests.support.http.unwanted_bodies import BODY, BODY_S, dropping_s, exhaust
from tests.support.processes.commands import metrics
from tests.support.processes.servers import PATIENT, ServerFactory
from tests.support.stores.server import StoreServer
from tests.support.waits import until, until_answer

BOMBS = 8
"""Enough to use up the time that the parsing process may waste at once."""

CLIENTS = 4
MAX_BODY_BYTES = 16 << 20

REFUSED = [
    ("POST /nowhere", "", 404),
    ("PUT /enqueue", "", 405),
    ("POST /enqueue", "Origin: http://elsewhere.example", 403),
    ("POST /enqueue", "Content-Encoding: br", 415),
]


async def serve_echo(serve: Serve) -> Fronted:
    async def echo(request: Request) -> Response:
        return Response(await content_of(request))

    return await serve(echo)


@pytest.mark.parametrize(("line", "header", "status"), REFUSED)
async def test_the_rest_of_a_body_that_nobody_reads_is_dropped_slowly_after_many(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, line: str, header: str, status: int
) -> None:
    fronted = await serve_echo(serve)
    exhaust(fronted.port.dropping, monkeypatch)
    assert await dropping_s(fronted.url, line, header, status) >= BODY_S / PACED_SHARE - 0.01


@pytest.mark.parametrize(("line", "header", "status"), [*REFUSED, ("POST /enqueue", "", 413)])
async def test_dropped_bodies_are_counted_and_do_not_slow_wanted_ones_down(
    serve: Serve,
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    header: str,
    status: int,
) -> None:
    fronted = await serve_echo(serve)
    monkeypatch.setattr(body_pace, "BYTE_S", 1.0)
    reader, writer = await open_raw(fronted.url)
    body = b"x" * 700 if status == 413 else BODY
    headers = f"Host: localhost\r\nConnection: close\r\n{header}\r\n".replace("\r\n\r\n", "\r\n")
    writer.write(f"{line} HTTP/1.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode())
    await asyncio.sleep(0.05)
    writer.write(body)
    assert (await reader.read()).startswith(f"HTTP/1.1 {status} ".encode())
    writer.close()
    assert not is_at_full_speed(fronted.port.dropping)
    assert is_at_full_speed(fronted.port.receiving)
    async with asyncio.timeout(10), http.post(f"{fronted.url}/enqueue", data=BODY) as accepted:
        assert accepted.status == 200


async def test_a_connection_whose_unwanted_body_does_not_come_is_closed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sharq_core.http_port.connection.LINGER_S", 0.1)
    fronted = await serve_echo(serve)
    reader, writer = await open_raw(fronted.url)
    writer.write(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 404 ")
    writer.close()


async def test_a_client_that_leaves_while_its_body_is_dropped_leaves_nothing_in_the_log(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fronted = await serve_echo(serve)
    exhaust(fronted.port.dropping, monkeypatch)
    reader, writer = await open_raw(fronted.url)
    writer.write(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"x" * 400)
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await until(lambda: not fronted.port.open)
    await asyncio.sleep(BODY_S / PACED_SHARE)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_refused_body_takes_no_memory_while_its_rest_is_awaited(
    own_server: ServerFactory, store: StoreServer, prefix: str, http: aiohttp.ClientSession
) -> None:
    server = own_server(environ={"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": prefix, **PATIENT})
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"

    async def is_refused() -> bool:
        return "\nsharq_router_body_bytes 0.0\n" in await metrics(http, server.url)

    before_bytes, writers = rss_bytes(server.pid), []
    for _ in range(CLIENTS):
        _, writer = await open_raw(server.url)
        writer.write(b"POST /enqueue/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(MAX_BODY_BYTES // 65_536 + 1):
            writer.write(chunk)
            await writer.drain()
        await until_answer(is_refused, bool)
        writers.append(writer)
    assert rss_bytes(server.pid) - before_bytes < CLIENTS * MAX_BODY_BYTES // 2
    for writer in writers:
        writer.transport.abort()


@pytest.mark.skipif(sys.platform != "linux", reason="no other system has a priority for idle time")
async def test_the_answers_to_bodies_that_waste_much_come_late_and_hold_no_memory(
    own_server: ServerFactory, store: StoreServer, prefix: str, http: aiohttp.ClientSession
) -> None:
    server = own_server(environ={"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": prefix, **PATIENT})
    url = f"{server.url}/enqueue/"
    nothing = b" " * MAX_BODY_BYTES

    async def refused(body: bytes, **headers: str) -> None:
        async with http.post(url, data=io.BytesIO(body), headers=headers) as answer:
            assert answer.status == 400

    async def is_answered_late(number: int) -> bool:
        text = await metrics(http, server.url)
        is_done = f'_seconds_count{{operation="enqueue_bulk"}} {number}.0\n' in text
        return is_done and "\nsharq_router_body_bytes 0.0\n" in text and not late.done()

    bomb = gzip.compress(nothing, 1)
    for _ in range(BOMBS):
        await refused(bomb, **{"Content-Encoding": "gzip"})
    late = asyncio.create_task(refused(nothing[: MAX_BODY_BYTES // 2]))
    await until_answer(partial(is_answered_late, BOMBS + 1), bool)
    await late


def rss_bytes(pid: int) -> int:
    """Memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
