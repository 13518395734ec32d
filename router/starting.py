"""The answers of a server that has not read its data yet: the process lives, and everything else waits a moment for the
front, or is to come back soon.

Not here: what answers once the data is read (router/http/gateway.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from router.http.errors import failure_answer
from router.http.request import Request
from router.http.response import Done, Response, answer
from sharq_core import request_ids
from sharq_core.errors import Unavailable

_ALIVE = frozenset({"/healthz", "/healthz/"})
_STARTING = "starting: the server reads its data; nothing was done"

_WAIT_S = 1.0
"""How long a request waits for the front: most starts are over by then."""


class Starting:
    """What answers until there is a front."""

    def __init__(self) -> None:
        self._front: asyncio.Future[Callable[[Request], Awaitable[Response]]] = (
            asyncio.get_running_loop().create_future()
        )

    def hand_over(self, answer_by_front: Callable[[Request], Awaitable[Response]]) -> None:
        """Have the front answer requests that wait."""
        self._front.set_result(answer_by_front)

    async def answer(self, request: Request) -> Response:
        """Answer 200 at /healthz, and everything else by the front if there is one within a second, or else 503. After
        another answer than the front's the connection is closed, so that the next one is served by the front alone.
        """
        if request.rel_url.raw_path in _ALIVE and request.method in {"GET", "HEAD"}:
            given = answer(Done())
        else:
            await asyncio.wait({self._front}, timeout=_WAIT_S)
            if self._front.done():
                return await self._front.result()(request)
            given = failure_answer(Unavailable(_STARTING), "starting")
        given.request_id = request_ids.begin(request.headers.get("X-Request-Id"))
        given.force_close()
        return given
