"""Responds to requests while the server starts.

/healthz reports that the process is alive, and all other requests wait shortly for the gateway or get 503.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from router.api.response_shapes import Done
from router.http.errors import failure_answer
from router.http.request import Request
from router.http.response import Response, answer
from sharq_core.errors import Unavailable
from sharq_core.logs import request_ids

_ALIVE = frozenset({"/healthz", "/healthz/"})
_STARTING = "starting: the server is still reading its data; nothing was done"

_WAIT_S = 1.0
"""The longest time that a request waits for the gateway. Most starts take less."""


class Starting:
    """The handler of requests until there is a gateway."""

    def __init__(self) -> None:
        self._gateway: asyncio.Future[Callable[[Request], Awaitable[Response]]] = (
            asyncio.get_running_loop().create_future()
        )

    def hand_over(self, answer_by_gateway: Callable[[Request], Awaitable[Response]]) -> None:
        """Pass waiting requests, and all later ones, to the gateway."""
        self._gateway.set_result(answer_by_gateway)

    async def answer(self, request: Request) -> Response:
        """Return 200 for /healthz. Pass other requests to the gateway if it is there within a second; else return 503.

        After a response that is not the gateway's the connection is closed, because a connection keeps its handler: the
        client's next one is then served by the gateway directly.
        """
        if request.rel_url.raw_path in _ALIVE and request.method in {"GET", "HEAD"}:
            response = answer(Done())
        else:
            await asyncio.wait({self._gateway}, timeout=_WAIT_S)
            if self._gateway.done():
                return await self._gateway.result()(request)
            response = failure_answer(Unavailable(_STARTING), "starting")
        response.request_id = request_ids.accept(request.headers.get("X-Request-Id", ""))
        response.force_close()
        return response
