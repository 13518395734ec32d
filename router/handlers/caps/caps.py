"""Handlers of named caps: their definitions, their state and their list."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from router.api import parsing
from router.api.caps import parsing as cap_parsing
from router.api.caps.shapes import CapAnswer, CapDefined, CapDropped, CapRow
from router.api.queue_parsing import DEFAULT_PAGE
from router.api.response_shapes import Done
from router.bodies.parser import BodyParser
from router.handlers import rate_warnings
from router.handlers.list_answers import end_of, list_answer, list_pieces
from router.handlers.types import limit_answer
from router.http.request import Request
from router.http.response import Response, answer
from router.shards.dispatch import Dispatch
from router.shards.walks.caps import count_uses, drop_cap, hold_cap, list_caps, put_cap, read_cap
from router.shards.walks.unread import Unread
from sharq_core.caps import CapState


class CapHandlers:
    """The handlers of named caps."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser) -> None:
        self._dispatch = dispatch
        self._parser = parser

    async def put_cap(self, request: Request) -> Response:
        """Define a cap, or define it anew, and return its state with a warning about a rate that is not kept."""
        parsing.no_query(request.query)
        name = _name(request)
        definition, hold_us = await request.parsed(self._parser, cap_parsing.cap)
        state = await put_cap(self._dispatch, name, definition, hold_us)
        warnings = [text for limit in definition.limits if (text := rate_warnings.limit_warning(limit))]
        return answer(CapDefined(**_facts(state), warning=warnings[0] if warnings else UNSET))

    async def cap(self, request: Request) -> Response:
        """Return the state of a cap, and what waits for it."""
        parsing.no_query(request.query)
        name = _name(request)
        state = await read_cap(self._dispatch, name)
        unread = Unread(self._dispatch.partitions)
        queues, queued = await count_uses(self._dispatch, name, unread)
        return answer(
            CapAnswer(
                **_facts(state), queues=queues, queued=queued, unread_partitions=unread.partitions or UNSET
            )
        )

    async def caps(self, request: Request) -> Response:
        """Return a page of all caps."""
        limit, cursor = parsing.page(request.query)
        walk = list_caps(self._dispatch, limit or DEFAULT_PAGE, cursor)
        token = request.token
        rows = (
            [
                CapRow(**_facts(state))
                for state in page.values()
                if token is None or token.sees_cap(state.name)
            ]
            async for page in walk.pages()
        )
        return await list_answer(list_pieces("caps", rows, lambda: end_of(walk.cursor, walk.unread)))

    async def hold_cap(self, request: Request) -> Response:
        """Hold a cap for a time from now."""
        parsing.no_query(request.query)
        name = _name(request)
        await hold_cap(self._dispatch, name, await request.parsed(self._parser, cap_parsing.hold_us))
        return answer(Done())

    async def drop_cap(self, request: Request) -> Response:
        """Delete a cap, and say how many queues stand still without it."""
        parsing.no_query(request.query)
        name = _name(request)
        await request.parsed(self._parser, parsing.nothing)
        unread = Unread(self._dispatch.partitions)
        queues = await drop_cap(self._dispatch, name, unread)
        return answer(CapDropped(queues=queues, unread_partitions=unread.partitions or UNSET))


def _name(request: Request) -> str:
    """Return the name of the cap in the path; raise Forbidden if the token may not use it."""
    name = parsing.identifier(request.path_values, "cap")
    if request.token is not None:
        request.token.check_cap(name)
    return name


def _facts(state: CapState) -> dict[str, Any]:
    """Return the fields that every answer about a cap has; times until something happens are rounded up."""
    definition, held_us, slot_us = state.definition, state.held_until_us, state.next_slot_in_us
    return {
        "name": state.name,
        "limits": list(map(limit_answer, definition.limits)),
        "max_leased": definition.max_leased,
        "held_until": None if held_us is None else -(-held_us // 1000),
        "leased": None if definition.max_leased is None else state.leased,
        "next_slot_in": None if slot_us is None else -(-slot_us // 1000),
        "slots_used": state.reserved,
        "blocked_by": state.blocked_by,
    }
