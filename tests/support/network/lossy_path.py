"""A TCP way to a server that can lose answers, or be shut, for tests of what a client does then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class LossyPath:
    """A TCP way to the server that can lose answers, or be shut."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._listener: asyncio.Server | None = None
        self._port = 0
        self._carrying: set[asyncio.Task[None]] = set()
        self.answers_to_lose = 0
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def open(self) -> None:
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for carrying in list(self._carrying):
            carrying.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        await self._listener.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrying = asyncio.current_task()
        assert carrying is not None
        if self._listener is None or not self._listener.is_serving():
            writer.transport.abort()  # it was accepted right before the path was shut
            return
        self._carrying.add(carrying)
        carrying.add_done_callback(self._carrying.discard)
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        ways = [
            asyncio.create_task(self._requests(reader, back)),
            asyncio.create_task(self._answers(there, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in (writer, back):
                end.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            self.requests += chunk.count(b" HTTP/1.1\r\n")
            back.write(chunk)

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await there.read(65_536):
            if self.answers_to_lose:
                self.answers_to_lose -= 1
                return
            writer.write(chunk)


@asynccontextmanager
async def path_to(url: str) -> AsyncIterator[LossyPath]:
    path = LossyPath(url)
    await path.open()
    try:
        yield path
    finally:
        await path.shut()
