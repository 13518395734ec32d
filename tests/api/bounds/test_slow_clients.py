"""Clients that take their time, on raw connections: headers, bodies, unread answers, and connections without end."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import pytest

from tests.support.http.contract import open_raw
from tests.support.processes.servers import PATIENT, SharqServer, running_server
from tests.support.stores.server import running_store
from tests.support.waits import until_answer

DEADLINE_S = 40.0


@pytest.fixture(scope="module")
def no_header() -> Iterator[SharqServer]:
    """A server that does not wait long for a request's header."""
    with server_with(header_timeout=300) as server:
        yield server


@pytest.fixture(scope="module")
def no_body() -> Iterator[SharqServer]:
    """A server that waits long neither for a body nor for the reader of an answer."""
    with server_with(body_timeout=300, answer_timeout=300) as server:
        yield server


@contextmanager
def server_with(**settings: int) -> Iterator[SharqServer]:
    """Run a server with these settings on a store of its own; the store's kind does not matter here."""
    named = {f"SHARQ_SERVER_{name.upper()}": str(number) for name, number in settings.items()}
    with (
        running_store("valkey") as store,
        running_server(environ={"SHARQ_REDIS_URL": store.url, **PATIENT, **named}) as server,
    ):
        yield server


def ended(server: SharqServer, reason: str) -> int:
    """Return the number of connections that a server has ended for a reason, by its metrics."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=DEADLINE_S) as answer:
        text = answer.read().decode()
    (count,) = re.findall(rf'^sharq_router_ended_connections_total{{reason="{reason}"}} (\S+)$', text, re.M)
    return int(float(count))


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Return the bytes that still come until the server ends the connection."""
    content = bytearray()
    async with asyncio.timeout(DEADLINE_S):
        try:
            while chunk := await reader.read(65_536):
                content += chunk
        except ConnectionResetError:
            pass
    return bytes(content)


async def text_of(reader: asyncio.StreamReader) -> tuple[int, str]:
    """The status and the body of one answer."""
    async with asyncio.timeout(DEADLINE_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.lower().splitlines() if line.startswith("content-length:"))
        body = await reader.readexactly(int(length.partition(":")[2]))
    return int(head.split()[1]), body.decode()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """The status and the JSON of one answer."""
    status, text = await text_of(reader)
    return status, json.loads(text)


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


async def test_a_connection_without_a_whole_request_is_ended(no_header: SharqServer) -> None:
    before = ended(no_header, "no_request")
    for sent in (b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "):
        reader, writer = await open_raw(no_header.url)
        writer.write(sent)
        assert await rest_of(reader) == b"", sent
        writer.close()
    assert ended(no_header, "no_request") == before + 3
    no_header.until(lambda: "reason=no_request" in no_header.log)


async def test_headers_that_drip_in_are_cut_off_in_time(no_header: SharqServer) -> None:
    before = ended(no_header, "no_request")
    reader, writer = await open_raw(no_header.url)
    writer.write(b"GET /healthz HTTP/1.1\r\n")

    async def drip() -> None:
        while True:
            writer.write(b"X: y\r\n")
            await asyncio.sleep(0.1)

    dripping = asyncio.create_task(drip())
    assert await rest_of(reader) == b""
    dripping.cancel()
    writer.close()
    assert ended(no_header, "no_request") == before + 1


async def test_the_next_request_of_a_kept_connection_has_its_time_too() -> None:
    with server_with(keepalive_timeout=1000, header_timeout=20_000) as server:
        reader, writer = await open_raw(server.url)
        for _ in range(2):
            writer.write(request("/healthz"))
            assert (await answer_of(reader))[0] == 200
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        assert await rest_of(reader) == b""
        writer.close()


@pytest.mark.parametrize(
    ("how", "piece"),
    [("Content-Length: 200", b'{"job_id": "1", '), ("Transfer-Encoding: chunked", b'4\r\n{"jo\r\n')],
)
async def test_a_body_that_does_not_come_is_refused_and_nothing_is_done(
    no_body: SharqServer, http: aiohttp.ClientSession, kind: str, how: str, piece: bytes
) -> None:
    reader, writer = await open_raw(no_body.url)
    writer.write(request(f"/enqueue/{kind}/q/", how, method="POST") + piece)
    status, answer = await answer_of(reader)
    assert status == 408
    assert answer == {"status": "failure", "code": "too_slow", "message": "body: not received within 0.3 s"}
    assert await rest_of(reader) == b"", "the connection is of no more use"
    writer.close()
    async with http.get(f"{no_body.url}/metrics/{kind}/q/") as counts:
        assert (await counts.json())["queue_length"] == 0


async def test_a_body_that_drips_in_is_cut_off_in_time(no_body: SharqServer, kind: str) -> None:
    reader, writer = await open_raw(no_body.url)
    writer.write(request(f"/enqueue/{kind}/q/", "Content-Length: 10000", method="POST"))

    async def drip() -> None:
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    status, _ = await answer_of(reader)
    dripping.cancel()
    assert status == 408
    writer.close()


async def test_answers_that_nobody_reads_are_not_kept_for_ever(no_body: SharqServer) -> None:
    before = ended(no_body, "answer_unread")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", no_body.port))
        client.settimeout(DEADLINE_S)
        client.sendall(request("/openapi.json") * 400)
        no_body.until(lambda: ended(no_body, "answer_unread") == before + 1)
        no_body.until(lambda: "reason=answer_unread" in no_body.log)
    assert no_body.status("/healthz") == 200


async def open_used(server: SharqServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection and make a request, because one that says nothing gives way to others."""
    reader, writer = await open_raw(server.url)
    writer.write(request("/healthz"))
    assert (await answer_of(reader))[0] == 200
    return reader, writer


async def test_connections_beyond_the_bound_are_told_so_and_others_go_on() -> None:
    with server_with(max_connections=3, header_timeout=60_000) as server:
        await _connections_beyond_the_bound_are_told_so_and_others_go_on(server)


async def _connections_beyond_the_bound_are_told_so_and_others_go_on(server: SharqServer) -> None:

    async def probe() -> int | None:
        return await asyncio.to_thread(server.status, "/healthz")

    held = [await open_used(server)]
    await until_answer(probe, lambda status: status == 200)
    held += [await open_used(server) for _ in range(2)]
    await until_answer(probe, lambda status: status == 503)
    reader, writer = await open_raw(server.url)
    status, answer = await answer_of(reader)
    assert (status, answer["code"]) == (503, "unavailable")
    assert await rest_of(reader) == b""
    writer.close()
    kept_reader, kept_writer = held[0]
    kept_writer.write(request("/healthz"))
    assert (await answer_of(kept_reader))[0] == 200
    held[1][1].close()
    await until_answer(probe, lambda status: status == 200)
    server.until(lambda: "connections_refused count=" in server.log)
    for _, writer in held:
        writer.close()


async def test_metrics_count_open_refused_and_ended_connections() -> None:
    with server_with(max_connections=2, header_timeout=2000) as server:
        await _metrics_count_open_refused_and_ended_connections(server)


async def _metrics_count_open_refused_and_ended_connections(server: SharqServer) -> None:
    silent_reader, silent_writer = await open_raw(server.url)
    assert await rest_of(silent_reader) == b""
    held = [await open_raw(server.url) for _ in range(2)]
    for reader, writer in held:
        writer.write(request("/healthz"))
        assert (await answer_of(reader))[0] == 200
    refused_reader, refused_writer = await open_raw(server.url)
    assert (await answer_of(refused_reader))[0] == 503
    reader, writer = held[0]
    writer.write(request("/metrics"))
    status, text = await text_of(reader)
    assert status == 200
    samples = {
        line for line in text.splitlines() if line.startswith("sharq_router_") and "connections" in line
    }
    assert samples == {
        "sharq_router_connections 2.0",
        "sharq_router_connections_limit 2.0",
        "sharq_router_refused_connections_total 1.0",
        'sharq_router_ended_connections_total{reason="no_request"} 1.0',
        'sharq_router_ended_connections_total{reason="answer_unread"} 0.0',
        'sharq_router_ended_connections_total{reason="answers_full"} 0.0',
    }
    for writer in (silent_writer, refused_writer, *(writer for _, writer in held)):
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        request("/" + "x" * 10_000),
        request("/healthz", "X: " + "y" * 10_000),
        request("/healthz", *(f"X-{number}: y" for number in range(300))),
    ],
    ids=["a long path", "a long header", "many headers"],
)
async def test_headers_have_a_size_that_they_may_have(no_body: SharqServer, sent: bytes) -> None:
    reader, writer = await open_raw(no_body.url)
    writer.write(sent)
    answer = await rest_of(reader)
    assert answer.split(b" ")[1] == b"400"
    writer.close()
    assert no_body.status("/healthz") == 200
