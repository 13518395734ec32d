"""The shard's end of the link benchmark, run as a program with a port as its argument.

The link is the real one; behind it is no scheduler and no store: every call is answered at once.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from aiohttp import web

from benchmarks.load.load_client import run
from shard.link.server import LinkServer
from sharq_core.link import frames
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import Call, OnDue, View

_NOBODY = View(1, 64, ())


class _Echo:
    """A shard that knows of nothing."""

    async def call(self, call: Call[Any]) -> Any:
        """Return the answer of a Peek: nothing is queued."""

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        """Nothing ever becomes due."""

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        """Nothing was watched."""

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""


async def _ready(request: web.Request) -> web.Response:
    return web.Response()


async def _serve(port: int) -> None:
    links = LinkServer(_Echo(), None, lambda: ("shard", _NOBODY))
    app = web.Application()
    app.add_routes([web.get("/readyz", _ready), web.get(frames.PATH, links.handle)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(_serve(int(sys.argv[1])))
