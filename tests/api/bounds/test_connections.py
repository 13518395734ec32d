"""One connection of the API's port: its requests are answered one after another, however they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from multidict import CIMultiDict

from router.http.request import Request
from router.http.response import Response
from router.http.server import ApiPort, Bounds
from tests.support.http.fronted import SETTINGS, Fronted, content_of, in_flight_is

LINE = b"POST /enqueue HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"


class Connection:
    """The client's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> tuple[bytes, CIMultiDict[str]]:
        """The body and the headers of the next answer."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = CIMultiDict(
            [(name, value) for name, _, value in (line.partition(": ") for line in lines[1:-2])]
        )
        return await self.reader.readexactly(int(headers["Content-Length"])), headers

    async def is_at_its_end(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), 10) == b""


@asynccontextmanager
async def connected(fronted: Fronted, keepalive_timeout_s: float = 10) -> AsyncIterator[Connection]:
    bounds = Bounds(
        max_connections=10,
        header_timeout_s=10,
        body_timeout_s=10,
        answer_timeout_s=10,
        keepalive_timeout_s=keepalive_timeout_s,
    )
    port = ApiPort(fronted.gateway.answer, bounds, SETTINGS.max_body_bytes, None)
    server = await asyncio.get_running_loop().create_server(port, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        server.close()
        await port.shutdown(1.0)


async def echo(request: Request) -> Response:
    return Response(await content_of(request))


async def test_a_connection_is_served_on_however_its_requests_arrive() -> None:
    fronted = Fronted(echo)
    async with connected(fronted) as client:
        ids = set()
        for number in range(3):
            client.writer.write(LINE + b"%02d" % number)
            body, headers = await client.answer()
            assert body == b"%02d" % number
            ids.add(headers["X-Request-Id"])
        assert len(ids) == 3
        client.writer.write(LINE + b"10" + LINE + b"1")
        assert (await client.answer())[0] == b"10"
        await in_flight_is(fronted, 1)
        client.writer.write(b"1" + LINE + b"12")
        assert [(await client.answer())[0] for _ in range(2)] == [b"11", b"12"]
        client.writer.write(b"nonsense\r\n\r\n")
        assert b'"invalid_request"' in (await client.answer())[0]
        assert await client.is_at_its_end()


async def test_a_connection_at_rest_is_closed_after_the_keepalive_time() -> None:
    async with connected(Fronted(echo), keepalive_timeout_s=0.2) as client:
        for _ in range(2):
            client.writer.write(LINE + b"{}")
            assert (await client.answer())[0] == b"{}"
        assert await client.is_at_its_end()


async def test_a_client_that_asks_for_the_end_gets_it_after_its_answer() -> None:
    async with connected(Fronted(echo)) as client:
        client.writer.write(LINE.replace(b"Host", b"Connection: close\r\nHost") + b"{}")
        assert (await client.answer())[0] == b"{}"
        assert await client.is_at_its_end()


async def test_the_stop_of_a_port_cancels_what_a_connection_still_does() -> None:
    cancelled = asyncio.Event()

    async def never(_: Request) -> Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response(b"{}")

    fronted = Fronted(never)
    async with connected(fronted) as client:
        client.writer.write(LINE + b"{}")
        await in_flight_is(fronted, 1)
    assert cancelled.is_set()
    await in_flight_is(fronted, 0)
