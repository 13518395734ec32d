"""Traces requests through a server in this process: which functions of the product run, in order."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, TypeAlias

from router.app import make_gateway
from router.http.server import ApiPort, Bounds
from router.readiness import Readiness
from router.settings import RouterSettings
from tests.support.nodes.parts import Parts

ROOT = Path(__file__).parents[2]
PRODUCT = ("router", "shard", "sharq_core", "sharq_server")
WARM = 5
ROUNDS = 15
QUIET_S = 0.003
"""Time after the answer that still belongs to the request, for example for the end of the pipeline's task."""

Function: TypeAlias = tuple[str, str]
"""A file of the product, from the root of the repository, and the qualified name of a function in it."""


class Client:
    """One connection to a server, without any code of the product."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON of a successful answer."""
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
        self._writer.write(head.encode() + content)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        assert answer.startswith(b"http/1.1 2"), answer
        length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        parsed: dict[str, Any] = json.loads(await self._reader.readexactly(length))
        return parsed


@asynccontextmanager
async def served(parts: Parts) -> AsyncIterator[Client]:
    """The API of `sharq-server` over a node, on a port of the loopback, and a client of it."""
    gateway = make_gateway(
        parts.dispatch, parts.polls, RouterSettings(), parts.registry, Readiness(), _no_cluster_info
    )
    bounds = Bounds(
        max_connections=10,
        header_timeout_s=10,
        body_timeout_s=10,
        answer_timeout_s=10,
        keepalive_timeout_s=10,
    )
    port = ApiPort(gateway.answer, bounds, RouterSettings().max_body_bytes, None)
    server = await asyncio.get_running_loop().create_server(port, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()
        server.close()
        await port.shutdown(1.0)
        await gateway.parser.close()


async def trace(request: Callable[[], Awaitable[object]]) -> list[Function]:
    """The functions of one request, in the order in which they begin first.

    A function counts if more than half of some requests run it, so that the node's own work beside them does not.
    """
    for _ in range(WARM):
        await request()
    rounds: list[dict[Function, None]] = []
    for _ in range(ROUNDS):
        run: dict[Function, None] = {}
        recorder = _Recorder(run)
        sys.setprofile(recorder.note)
        try:
            await request()
            await asyncio.sleep(QUIET_S)
        finally:
            sys.setprofile(None)
        rounds.append(run)
    counts = Counter(function for run in rounds for function in run)
    usual = {function for function, count in counts.items() if count > ROUNDS / 2}
    best = max(rounds, key=lambda run: len(usual & run.keys()))
    return [function for function in best if function in usual]


class _Recorder:
    """A profile function that notes the product's functions."""

    def __init__(self, run: dict[Function, None]) -> None:
        self._run = run

    def note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            function = _function(frame.f_code)
            if function is not None:
                self._run.setdefault(function)


_known: dict[CodeType, Function | None] = {}


def _function(code: CodeType) -> Function | None:
    if code not in _known:
        path = Path(code.co_filename)
        inside = path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PRODUCT
        # Before Python 3.12 a comprehension is a function of its own; it is part of the function that it stands in.
        is_part = code.co_name in ("<listcomp>", "<setcomp>", "<dictcomp>")
        is_product = inside and not is_part
        _known[code] = (str(path.relative_to(ROOT)), code.co_qualname) if is_product else None
    return _known[code]


async def _no_cluster_info() -> Any:
    raise NotImplementedError
