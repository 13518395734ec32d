"""Bodies while they arrive: the room they take, the refused ones, and their decompression."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from router.bodies.inflation import MAX_MEMBERS
from router.http.request import Request
from router.http.response import Response
from sharq_core.errors import (
    InvalidRequest,
    LeaseLost,
    OutcomeUnknown,
    Overloaded,
    QueueFull,
    StoreFull,
    TooLarge,
    Unavailable,
)
from sharq_core.http_port import body_pace as pace
from tests.support.http.contract import open_raw
from tests.support.http.fronted import Serve, content_of, in_flight_is, is_at_full_speed
from tests.support.waits import until_answer

GOOD, BAD = b"g" * 500, b"b" * 500

NO_REFILL = 1e-9
"""A share of the passing time that adds nothing to what may be wasted, however long a busy machine takes."""


async def test_more_bytes_than_allowed_are_refused_at_once(serve: Serve, http: aiohttp.ClientSession) -> None:
    go_on = asyncio.Event()

    async def handle(request: Request) -> Response:
        await content_of(request)
        await go_on.wait()
        return Response(b"{}")

    fronted = await serve(handle)
    held = asyncio.create_task(http.post(f"{fronted.url}/enqueue", data=b"x" * 600))
    await in_flight_is(fronted, 1)
    async with http.post(f"{fronted.url}/enqueue", data=b"x" * 500) as refused:
        assert (refused.status, (await refused.json())["code"]) == (429, "overloaded")
    go_on.set()
    assert (await held).status == 200
    async with http.post(f"{fronted.url}/enqueue", data=b"x" * 500) as accepted:
        assert accepted.status == 200
    assert fronted.gateway.room.used_bytes == 0


async def test_a_body_of_unknown_length_counts_as_what_it_came_to(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    seen: list[int] = []

    async def handle(request: Request) -> Response:
        seen.append(fronted.gateway.room.used_bytes)
        return Response(await content_of(request))

    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"def"

    fronted = await serve(handle)
    async with http.post(f"{fronted.url}/enqueue", data=chunks()) as response:
        assert await response.read() == b"abcdef"
    assert (seen, fronted.gateway.room.used_bytes) == ([6], 0)


async def test_what_is_only_announced_takes_no_room(serve: Serve, http: aiohttp.ClientSession) -> None:
    async def handle(request: Request) -> Response:
        return Response(await content_of(request))

    fronted = await serve(handle)
    _, writer = await open_raw(fronted.url)
    writer.write(b"POST /enqueue HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600\r\n\r\n")
    await in_flight_is(fronted, 1)
    assert fronted.gateway.room.used_bytes == 0
    async with http.post(f"{fronted.url}/enqueue", data=b"x" * 600) as accepted:
        assert accepted.status == 200
    writer.close()


async def test_a_body_that_does_not_come_along_gives_way_to_one_that_does(
    serve: Serve, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handle(request: Request) -> Response:
        return Response(await content_of(request))

    monkeypatch.setattr("router.bodies.room.SLOW_S", 0.0)
    fronted = await serve(handle)
    reader, writer = await open_raw(fronted.url)
    writer.write(b"POST /enqueue HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600\r\n\r\n" + b"x" * 550)

    async def used() -> int:
        return fronted.gateway.room.used_bytes

    await until_answer(used, lambda now: now == 550)
    async with http.post(f"{fronted.url}/enqueue", data=b"x" * 500) as accepted:
        assert accepted.status == 200
    writer.write(b"x" * 50)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 429 ")
    assert (fronted.gateway.room.used_bytes, fronted.gateway.room.given_way) == (0, 1)
    writer.close()


@pytest.mark.parametrize("how", ["Content-Length: 2000", "Transfer-Encoding: chunked"])
async def test_a_body_that_is_too_long_is_read_to_its_end_before_the_answer(serve: Serve, how: str) -> None:
    async def handle(request: Request) -> Response:
        return Response(await content_of(request))

    fronted = await serve(handle)
    reader, writer = await open_raw(fronted.url)
    writer.write(f"POST /enqueue HTTP/1.1\r\nHost: localhost\r\n{how}\r\n\r\n".encode())
    is_chunked = "chunked" in how
    for _ in range(20):
        writer.write(b"64\r\n" + b"x" * 100 + b"\r\n" if is_chunked else b"x" * 100)
        await writer.drain()
    writer.write(b"0\r\n\r\n" if is_chunked else b"")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" not in head
    writer.close()


async def test_a_body_that_is_far_too_long_is_answered_at_once_and_the_connection_closed(
    serve: Serve,
) -> None:
    async def handle(request: Request) -> Response:
        return Response(await content_of(request))

    fronted = await serve(handle)
    reader, writer = await open_raw(fronted.url)
    writer.write(b"POST /enqueue HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in head
    writer.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_body_is_read_and_one_without_its_end_refused(
    serve: Serve, http: aiohttp.ClientSession, encoding: str
) -> None:
    async def handle(request: Request) -> Response:
        return Response(await content_of(request))

    fronted = await serve(handle)
    content = b"ab" * 250
    whole = gzip.compress(content) if encoding == "gzip" else zlib.compress(content)
    headers = {"Content-Encoding": encoding}
    async with http.post(f"{fronted.url}/enqueue", data=whole, headers=headers) as accepted:
        assert await accepted.read() == content
    for bad in (whole[:-1], whole[: len(whole) // 2], b"no such data", b"!" + whole[1:]):
        async with http.post(f"{fronted.url}/enqueue", data=bad, headers=headers) as refused:
            assert refused.status == 400
            assert (await refused.json())["message"].startswith("body: ")


async def test_a_gzip_body_may_be_several_files_and_a_bomb_is_too_large(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    async def handle(request: Request) -> Response:
        return Response(await content_of(request))

    fronted = await serve(handle)
    headers = {"Content-Encoding": "gzip"}
    parts = gzip.compress(b"a" * 100) + gzip.compress(b"") + gzip.compress(b"b" * 100)
    async with http.post(f"{fronted.url}/enqueue", data=parts, headers=headers) as accepted:
        assert await accepted.read() == b"a" * 100 + b"b" * 100
    bomb = gzip.compress(bytes(64 << 20))
    async with http.post(f"{fronted.url}/enqueue", data=bomb, headers=headers) as refused:
        assert refused.status == 413


async def test_bodies_arrive_slower_after_many_refused_ones(
    serve: Serve, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client that sends bodies in vain is slowed down, and takes less from the others."""

    async def handle(request: Request) -> Response:
        if await content_of(request) == BAD:
            raise InvalidRequest("body: no JSON")
        return Response(b"{}")

    good_s, refused_s = 0.03, pace.WASTED_BURST_S + 1
    monkeypatch.setattr(pace, "BYTE_S", good_s / len(GOOD))
    fronted = await serve(handle)
    for _ in range(5):
        async with http.post(f"{fronted.url}/enqueue", data=GOOD) as accepted:
            assert accepted.status == 200
    monkeypatch.setattr(pace, "BYTE_S", refused_s / len(BAD))
    async with http.post(f"{fronted.url}/enqueue", data=BAD) as refused:
        assert refused.status == 400
    monkeypatch.setattr(pace, "BYTE_S", good_s / len(GOOD))
    began_s = time.monotonic()
    async with http.post(f"{fronted.url}/enqueue", data=GOOD) as accepted:
        assert accepted.status == 200
    assert time.monotonic() - began_s >= good_s / pace.PACED_SHARE - 0.01


@pytest.mark.parametrize(
    ("error", "is_counted"),
    [
        (InvalidRequest("body: no JSON"), True),
        (LeaseLost("lease: another one exists"), True),
        (TooLarge("payload: too large"), True),
        (QueueFull(3), False),
        (Overloaded("too much work"), False),
        (Unavailable("the store is away"), False),
        (OutcomeUnknown("the store did not answer"), False),
        (StoreFull("the store is full"), False),
        (RuntimeError("a fault of the server"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_only_a_fault_of_the_sender_slows_large_bodies_down(
    serve: Serve,
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    is_counted: bool,
) -> None:
    async def handle(request: Request) -> Response:
        raise error

    monkeypatch.setattr(pace, "BYTE_S", 1.0)
    fronted = await serve(handle)
    async with http.post(f"{fronted.url}/enqueue", data=BAD) as refused:
        assert refused.status >= 400
    assert is_at_full_speed(fronted.port.receiving) is not is_counted
    assert is_at_full_speed(fronted.port.dropping)


async def test_the_time_of_decompression_counts_as_that_of_the_receipt(
    serve: Serve, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handle(request: Request) -> Response:
        raise InvalidRequest("body: no JSON")

    monkeypatch.setattr(pace, "BYTE_S", 0.0)
    monkeypatch.setattr("router.http.request.HEAD_S", 0.0)
    monkeypatch.setattr(pace, "WASTED_SHARE", NO_REFILL)
    fronted = await serve(handle)
    headers = {"Content-Encoding": "gzip"}
    many = gzip.compress(b"") * (MAX_MEMBERS + 1)
    refusals = 0
    while is_at_full_speed(fronted.port.receiving):
        async with http.post(f"{fronted.url}/enqueue", data=many, headers=headers) as refused:
            assert refused.status == 400
            assert "at most 16 gzip files" in (await refused.json())["message"]
        refusals += 1
    assert refusals > 10
