"""Bare aiohttp, for comparison: a POST handler that parses JSON and answers 201, and nothing else.

Run as a program with a port as its argument.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec
import uvloop
from aiohttp import web

_BACKLOG = 4096


class _Body(msgspec.Struct, frozen=True):
    """The body of a single enqueue."""

    job_id: str
    interval: float
    payload: msgspec.Raw


_DECODER = msgspec.json.Decoder(_Body)


async def _hello(request: web.Request) -> web.Response:
    return web.Response(body=b"{}", content_type="application/json")


async def _enqueue(request: web.Request) -> web.Response:
    _DECODER.decode(await request.read())
    return web.Response(status=201, body=b'{"status":"queued"}', content_type="application/json")


async def _serve(port: int) -> None:
    app = web.Application()
    app.add_routes([web.get("/", _hello), web.post("/enqueue/{queue_type}/{queue_id}/", _enqueue)])
    runner = web.AppRunner(app, access_log=None, handle_signals=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=_BACKLOG).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop_runner:
        loop_runner.run(_serve(int(sys.argv[1])))
