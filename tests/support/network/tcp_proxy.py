"""A TCP proxy before a port of this machine, in the test's own event loop: it passes, cuts or swallows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from tests.support.ports import free_port

Mode = Literal["pass", "cut", "hole"]


class TcpProxy:
    """cut: connections are reset and new ones end at once. hole: what is sent is held back until it passes again.

    Attributes:
        port: where it listens.
    """

    def __init__(self, upstream: int) -> None:
        self.port = free_port()
        self._upstream = upstream
        self._mode: Mode = "pass"
        self._passes = asyncio.Event()
        self._passes.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    def set(self, mode: Mode) -> None:
        """Treat all connections, old and new, like this from now on."""
        self._mode = mode
        if mode == "hole":
            self._passes.clear()
        else:
            self._passes.set()
        if mode == "cut":
            for writer in self._writers:
                writer.transport.abort()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if self._mode == "cut":
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.transport.abort()
            return
        for source, target in ((reader, far_writer), (far_reader, writer)):
            self._writers.add(target)
            pump = asyncio.create_task(self._pump(source, target))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._passes.wait()
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(target)
            target.transport.abort()

    async def end(self) -> None:
        """Close every connection."""
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


@asynccontextmanager
async def running_tcp_proxy(upstream: int) -> AsyncIterator[TcpProxy]:
    """A proxy before a port, gone at the end."""
    proxy = TcpProxy(upstream)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", proxy.port)
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
        await server.wait_closed()
