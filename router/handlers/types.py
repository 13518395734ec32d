"""Handlers of the pauses above a queue: of all queues of a type, and of everything.

Not here: the pause of one queue (router/handlers/queues.py).
"""

from __future__ import annotations

from router.api import parsing
from router.api.response_shapes import Done
from router.bodies.parser import BodyParser
from router.http.request import Request
from router.http.response import Response, answer
from router.shards.dispatch import Dispatch


class TypeHandlers:
    """The handlers of pauses that every partition keeps until they are resumed."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser) -> None:
        self._dispatch = dispatch
        self._parser = parser

    async def pause_type(self, request: Request) -> Response:
        """Pause all queues of a type, those that come later, too."""
        return await self._set_type_paused(request, is_paused=True)

    async def resume_type(self, request: Request) -> Response:
        """Resume a paused type. Queues that are paused themselves stay paused."""
        return await self._set_type_paused(request, is_paused=False)

    async def pause_all(self, request: Request) -> Response:
        """Pause all queues of all types, those that come later, too."""
        return await self._set_all_paused(request, is_paused=True)

    async def resume_all(self, request: Request) -> Response:
        """End the pause of everything. Types and queues that are paused themselves stay paused."""
        return await self._set_all_paused(request, is_paused=False)

    async def _set_type_paused(self, request: Request, *, is_paused: bool) -> Response:
        parsing.no_query(request.query)
        queue_type = parsing.queue_type_of(request.path_values)
        await self._parser.run(parsing.nothing, await request.body())
        await self._dispatch.pause_type(queue_type, is_paused=is_paused)
        return answer(Done())

    async def _set_all_paused(self, request: Request, *, is_paused: bool) -> Response:
        parsing.no_query(request.query)
        await self._parser.run(parsing.nothing, await request.body())
        await self._dispatch.pause_all(is_paused=is_paused)
        return answer(Done())
