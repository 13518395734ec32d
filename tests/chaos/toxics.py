"""A real Toxiproxy server and the proxies of one run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal

import msgspec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from toxiproxy import Toxiproxy
    from toxiproxy.proxy import Proxy

from sharq_core.process.launch import tied
from tests.support.ports import free_port
from tests.support.processes.servers import START_DEADLINE_S
from tests.support.tools import missing_tool

BINARY = Path(os.environ.get("TOOLS_DIR", ".tools")) / "toxiproxy" / "server"

Stream = Literal["upstream", "downstream"]
BOTH: tuple[Stream, Stream] = ("upstream", "downstream")


class Toxic(msgspec.Struct, frozen=True):
    """A treatment of the bytes of one direction.

    Attributes:
        kind: latency, timeout, reset_peer, limit_data or bandwidth.
        stream: upstream carries calls, downstream their answers.
        attributes: as Toxiproxy names them; times in ms, rate in KB/s.
    """

    kind: str
    stream: Stream
    attributes: dict[str, int]


class Proxies:
    """The proxies of one Toxiproxy server; its client knows only one server a process."""

    def __init__(self, client: Toxiproxy) -> None:
        self._client = client
        self._by_upstream: dict[int, Proxy] = {}

    def port_before(self, upstream: int) -> int:
        """The port of the proxy before a port of this machine; made when it is asked for first."""
        if upstream not in self._by_upstream:
            self._by_upstream[upstream] = self._client.create(
                upstream=f"127.0.0.1:{upstream}", name=f"before-{upstream}", listen=f"127.0.0.1:{free_port()}"
            )
        return int(self._by_upstream[upstream].listen.rpartition(":")[2])

    @asynccontextmanager
    async def toxic(self, upstream: int, *toxics: Toxic) -> AsyncIterator[None]:
        """These toxics before a port, for the length of the block."""
        proxy = self._by_upstream[upstream]
        async with AsyncExitStack() as stack:
            for toxic in toxics:
                await asyncio.to_thread(_add, proxy, toxic)
                stack.push_async_callback(asyncio.to_thread, proxy.destroy_toxic, _name(toxic))
            yield

    @asynccontextmanager
    async def down(self, upstream: int) -> AsyncIterator[None]:
        """No connection through it for the length of the block; those that were there are closed."""
        proxy = self._by_upstream[upstream]
        await asyncio.to_thread(proxy.disable)
        try:
            yield
        finally:
            await asyncio.to_thread(proxy.enable)
            assert (await asyncio.to_thread(self._client.get_proxy, proxy.name)).enabled, proxy.name


def _add(proxy: Proxy, toxic: Toxic) -> None:
    name = _name(toxic)
    proxy.add_toxic(name=name, type=toxic.kind, stream=toxic.stream, attributes=toxic.attributes)
    assert proxy.get_toxic(name) is not None, f"Toxiproxy refused {toxic}"


def _name(toxic: Toxic) -> str:
    return f"{toxic.kind}_{toxic.stream}"


@contextmanager
def running_toxiproxy() -> Iterator[Proxies]:
    """A Toxiproxy server without proxies, gone at the end; skips or fails the test when it is not installed."""
    if not BINARY.exists():
        missing_tool("Toxiproxy (make chaos builds it)")
    port = free_port()
    with subprocess.Popen(
        tied(str(BINARY), "-host", "127.0.0.1", "-port", str(port)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield Proxies(_client(process, port))
        finally:
            process.kill()


def _client(process: subprocess.Popen[bytes], port: int) -> Toxiproxy:
    """A client of the server as soon as that listens."""
    client = Toxiproxy()
    client.update_api_consumer("127.0.0.1", port)
    deadline_s = time.monotonic() + START_DEADLINE_S
    while not client.running():
        assert process.poll() is None, "Toxiproxy did not start"
        assert time.monotonic() < deadline_s, "Toxiproxy is late"
        time.sleep(0.02)
    return client
