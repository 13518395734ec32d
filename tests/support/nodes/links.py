"""Provides ends of links: the real ones on loopback, and raw ones that say what they are told.

Run as a program it is a shard node with a link and nothing else:
`python -m tests.support.nodes.links STORE_URL PREFIX PORT`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp
import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from router.shards.link import ShardLink
from shard.http import Pages, make_port
from shard.link.server import LinkServer
from shard.node import NodeSettings
from sharq_core.config import ServerSettings
from sharq_core.http_port.acceptor import PortSite
from sharq_core.link import frames
from sharq_core.link.frames import CallFrame, Frame, FromRouter, FromShard, Hello, Proof, Welcome
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import Call, Dequeue, Member, OnDue, ShardPort, View
from sharq_core.models import QueueKey
from sharq_core.process.sockets import bind_sockets
from tests.support.nodes.parts import running_node
from tests.support.ports import free_port
from tests.support.waits import until

KIND = "sms"
KEY = QueueKey(KIND, "q")
FAR_US = 2**62
"""A deadline that does not come."""

NODE_ID = "node-a"
VIEW = View(7, 64, (Member(NODE_ID, "i1", "127.0.0.1:8090"),))
WAIT_S = 10.0

ReplyT = TypeVar("ReplyT")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handle: Handler, port: int | None = None) -> AsyncIterator[str]:
    """A server whose /link is answered by `handle`; gives its address."""
    app = web.Application()
    app.router.add_get(frames.PATH, handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        port = port or free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"127.0.0.1:{port}"
    finally:
        await runner.cleanup()


class Shard:
    """The shard's end, real, over a port."""

    def __init__(self, port: ShardPort, secret: str | None) -> None:
        self.server = LinkServer(port, secret, lambda: (NODE_ID, VIEW))
        self.address = ""


class PortedShard(Shard):
    """The shard's end behind a shard's own port.

    Attributes:
        port: the HTTP port.
    """

    def __init__(self, shard: ShardPort, secret: str | None) -> None:
        super().__init__(shard, secret)
        pages = Pages(self.server, CollectorRegistry(), lambda: None, lambda: None)
        self.port = make_port(pages, ServerSettings())


@asynccontextmanager
async def shard_end(
    shard: ShardPort, secret: str | None = None, port: int | None = None
) -> AsyncIterator[Shard]:
    """A LinkServer on loopback, closed at the end."""
    end = Shard(shard, secret)
    async with serving(end.server.handle, port) as end.address:
        try:
            yield end
        finally:
            await end.server.close()


@asynccontextmanager
async def shard_port(shard: ShardPort, secret: str | None = None) -> AsyncIterator[PortedShard]:
    """A LinkServer behind a shard's own port, within its bounds, closed at the end."""
    end = PortedShard(shard, secret)
    runner = web.ServerRunner(end.port, shutdown_timeout=0.1)
    await runner.setup()
    (bound,) = bind_sockets("127.0.0.1", 0, option="--listen")
    await PortSite(runner, bound, None, 100).start()
    end.address = "{}:{}".format(*bound.getsockname())
    try:
        yield end
    finally:
        await end.server.close()
        await runner.cleanup()


class Router:
    """The router's end, real: a ShardLink and what it told."""

    def __init__(self, address: str, secret: str | None, timeout_s: float) -> None:
        self.views: list[View] = []
        self.downs = 0
        self.link = ShardLink(
            address, secret, on_view=self.views.append, on_down=self._note_down, timeout_s=timeout_s
        )

    def _note_down(self, link: ShardLink) -> None:
        assert link is self.link
        self.downs += 1


@asynccontextmanager
async def router_end(
    address: str, secret: str | None = None, *, timeout_s: float = 5.0, comes_up: bool = True
) -> AsyncIterator[Router]:
    """A ShardLink that is up, closed at the end."""
    end = Router(address, secret, timeout_s)
    await end.link.start()
    try:
        if comes_up:
            await until(lambda: end.link.is_up)
        yield end
    finally:
        await end.link.close()


class Gate:
    """A port before another that lets answers out only while it is open.

    Attributes:
        inside: calls that were done and wait to be let out.
    """

    def __init__(self, port: ShardPort) -> None:
        self._port = port
        self.opened = asyncio.Event()
        self.inside = 0

    async def call(self, call: Call[ReplyT]) -> ReplyT:
        reply = await self._port.call(call)
        self.inside += 1
        await self.opened.wait()
        self.inside -= 1
        return reply

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        self._port.watch(queue_type, on_due)

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        self._port.unwatch(queue_type, on_due)

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        self._port.watch_job(job, on_end)

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        self._port.unwatch_job(job, on_end)


class RawRouter:
    """A router that says what it is told."""

    def __init__(self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._session = session
        self.socket = socket
        self.clock_us = 0
        self._unread: list[FromShard] = []

    async def read(self) -> Frame[FromShard]:
        """Return the next frame."""
        frame = frames.decode_from_shard(await self.socket.receive_bytes(timeout=WAIT_S))
        self.clock_us = frame.clock_us
        return frame

    async def next_entry(self) -> FromShard:
        """Return the next entry, of whichever frame."""
        if not self._unread:
            self._unread += (await self.read()).entries
        return self._unread.pop(0)

    async def say(self, *entries: msgspec.Struct) -> None:
        """Send entries in one frame."""
        await self.socket.send_bytes(raw_frame(*entries))

    async def say_anything(self, message: bytes | str) -> None:
        """Send what may be no frame, as a binary or a text message."""
        if isinstance(message, str):
            await self.socket.send_str(message)
        else:
            await self.socket.send_bytes(message)

    async def say_hello(self, version: int = frames.VERSION) -> None:
        """Open a link without a secret."""
        (greeting,) = (await self.read()).entries
        assert isinstance(greeting, Hello)
        await self.say(Proof(version, os.urandom(frames.NONCE_BYTES), b""))

    async def abort(self) -> None:
        """Break the connection at once."""
        assert self._session.connector is not None
        await self._session.connector.close()

    async def closed(self) -> str:
        """Wait for the goodbye; returns its words."""
        while True:
            message = await self.socket.receive(timeout=WAIT_S)
            if message.type is aiohttp.WSMsgType.CLOSE:
                return message.extra or ""
            assert message.type is aiohttp.WSMsgType.BINARY, message


@asynccontextmanager
async def raw_router(address: str, *, is_greeted: bool = True) -> AsyncIterator[RawRouter]:
    """A raw router's connection to a shard, past its hello or before it."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{address}{frames.PATH}", max_msg_size=frames.MAX_MESSAGE_BYTES) as socket,
    ):
        router = RawRouter(session, socket)
        if is_greeted:
            await router.say_hello()
            (welcome,) = (await router.read()).entries
            assert isinstance(welcome, Welcome)
        yield router


class RawShard:
    """A shard that greets each router, and then does with the socket what `talk` does.

    Attributes:
        frames: the routers' frames that it has read.
        sizes: how long each was, in bytes.
    """

    def __init__(
        self,
        talk: Callable[[RawShard], Awaitable[None]],
        *,
        version: int = frames.VERSION,
        clock_us: Callable[[], int] = lambda: 0,
    ) -> None:
        self._talk = talk
        self._version = version
        self._clock_us = clock_us
        self.frames: list[Frame[FromRouter]] = []
        self.sizes: list[int] = []
        self.socket = web.WebSocketResponse()
        self.transport: asyncio.Transport | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.socket = web.WebSocketResponse(compress=False, max_msg_size=frames.MAX_MESSAGE_BYTES)
        await self.socket.prepare(request)
        self.transport = request.transport
        await self.say(Hello(self._version, NODE_ID, os.urandom(frames.NONCE_BYTES)))
        message = await self.socket.receive(timeout=WAIT_S)
        if message.type is aiohttp.WSMsgType.BINARY:
            await self.say(Welcome(b"", VIEW))
            await self._talk(self)
        return self.socket

    async def read(self) -> Frame[FromRouter]:
        """Return the next frame."""
        data = await self.socket.receive_bytes(timeout=WAIT_S)
        self.frames.append(frames.decode_from_router(data))
        self.sizes.append(len(data))
        return self.frames[-1]

    async def say(self, *entries: msgspec.Struct) -> None:
        """Send entries in one frame."""
        await self.socket.send_bytes(raw_frame(*entries, clock_us=self._clock_us()))

    def requests(self) -> list[CallFrame[Call[object]]]:
        """Return all requests that it has read."""
        return [entry for frame in self.frames for entry in frame.entries if isinstance(entry, CallFrame)]

    def abort(self) -> None:
        """Break the connection at once."""
        assert self.transport is not None
        self.transport.abort()


def raw_frame(*entries: msgspec.Struct, clock_us: int = 0) -> bytes:
    """Return a frame of these entries."""
    return frames.pack(clock_us, [frames.encode(entry) for entry in entries], len(entries))


def dequeue(queue_type: str, count: int = 1) -> Dequeue:
    """Return a dequeue with leases of a minute."""
    return Dequeue(queue_type, count, 60_000_000)


@asynccontextmanager
async def shard_process(store_url: str, prefix: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """A shard node with a link as a process of its own, killed at the end; gives its address."""
    port = free_port()
    words = ("-m", "tests.support.nodes.links", store_url, prefix, str(port))
    process = await asyncio.create_subprocess_exec(sys.executable, *words)
    try:
        yield f"127.0.0.1:{port}", process
    finally:
        process.kill()
        await process.wait()


async def _serve(store_url: str, prefix: str, port: str) -> None:
    async with (
        running_node(store_url, NodeSettings(key_prefix=prefix)) as parts,
        shard_end(parts.node, port=int(port)),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
