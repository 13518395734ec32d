"""Serves the other side of an example, such as a carrier, over HTTP, and writes down what arrived there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web


@asynccontextmanager
async def serving(*routes: web.RouteDef) -> AsyncIterator[str]:
    """Serve HTTP on a free port of 127.0.0.1 until the end of the block, and yield the URL.

    A handler is cancelled when its client is gone.
    """
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def write_log(path: Path | None, arrivals: Iterable[Any]) -> None:
    """Write dataclass values to a file, one JSON object a line; without a path nothing."""
    if path is not None:
        path.write_text("".join(f"{json.dumps(asdict(arrival))}\n" for arrival in arrivals))
