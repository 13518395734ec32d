"""Connections that are refused or give way to others while their request arrives."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvloop
from aiohttp import web

from router.http.request import Request
from router.http.response import Response
from router.http.server import ApiPort, Bounds
from sharq_core.http_port.acceptor import PortSite
from sharq_core.http_port.port import SILENT_ROOM_S

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
TIMEOUT_S = 0.3


@asynccontextmanager
async def serving(
    max_connections: int = 10, header_timeout_s: float = TIMEOUT_S
) -> AsyncIterator[tuple[ApiPort, int]]:
    """A port that answers every request, and its number."""

    async def answer(_: Request) -> Response:
        return Response(b"{}")

    bounds = Bounds(
        max_connections=max_connections,
        header_timeout_s=header_timeout_s,
        body_timeout_s=10,
        answer_timeout_s=10,
        keepalive_timeout_s=TIMEOUT_S,
    )
    port = ApiPort(answer, bounds, 1000, None)
    runner = web.ServerRunner(port, shutdown_timeout=1)
    await runner.setup()
    bound = socket.create_server(("127.0.0.1", 0))
    await PortSite(runner, bound, None, 128).start()
    watching = asyncio.create_task(port.watch())
    yield port, bound.getsockname()[1]
    watching.cancel()
    await runner.cleanup()


def run(talk: Callable[[], Awaitable[None]]) -> None:
    """Run on the event loop of the product: its timers run before it reads."""

    async def main() -> None:
        await talk()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def connect(number: int) -> socket.socket:
    """Return a connection that the port has accepted."""
    client = socket.create_connection(("127.0.0.1", number))
    client.setblocking(False)
    await asyncio.sleep(0.05)
    return client


async def answer_to(client: socket.socket) -> bytes:
    """Return what the port sends next; nothing if it has closed the connection."""
    async with asyncio.timeout(60):
        return await asyncio.get_running_loop().sock_recv(client, 1000)


def stall(client: socket.socket, stall_s: float) -> None:
    """Send a request while the event loop stands still."""
    client.send(REQUEST)
    time.sleep(stall_s)


def test_a_request_that_has_arrived_does_not_give_way_to_a_newcomer() -> None:
    async def talk() -> None:
        async with serving(max_connections=2, header_timeout_s=20) as (port, number):
            with await connect(number) as client, await connect(number) as silent:
                stall(client, SILENT_ROOM_S + 0.1)
                assert port.make_room(), "the silent connection is younger, but the only silent one"
                assert (await answer_to(client)).startswith(b"HTTP/1.1 200 ")
                assert await answer_to(silent) == b""

    run(talk)


def test_a_refused_client_reads_the_answer_even_if_it_sends_its_request_later() -> None:
    async def talk() -> None:
        async with serving(max_connections=1, header_timeout_s=20) as (_, number):
            with await connect(number) as first, await connect(number) as refused:
                first.send(REQUEST)
                assert (await answer_to(first)).startswith(b"HTTP/1.1 200 ")
                for part in (REQUEST[:20], REQUEST[20:]):  # as many clients send a head and a body
                    refused.send(part)
                    await asyncio.sleep(0.05)
                assert (await answer_to(refused)).startswith(b"HTTP/1.1 503 ")
                assert await answer_to(refused) == b""

    run(talk)
