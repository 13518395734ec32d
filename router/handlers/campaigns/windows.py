"""Handlers of windows: their definitions, their state and their list."""

from __future__ import annotations

import msgspec

from router.api import parsing
from router.api.campaigns import window_parsing
from router.api.campaigns.window_shapes import RangeAnswer, WindowAnswer, WindowRow, WindowRows
from router.api.queue_parsing import DEFAULT_PAGE
from router.api.response_shapes import Done
from router.bodies.parser import BodyParser
from router.http.request import Request
from router.http.response import Response, answer
from router.shards.dispatch import Dispatch
from router.shards.walks.windows import drop_window, list_windows, put_window, read_window
from sharq_core.campaigns.windows import StoredWindow, Window


class WindowHandlers:
    """The handlers of windows."""

    def __init__(self, dispatch: Dispatch, parser: BodyParser) -> None:
        self._dispatch = dispatch
        self._parser = parser

    async def put_window(self, request: Request) -> Response:
        """Define a window, or define it anew."""
        parsing.no_query(request.query)
        name = parsing.identifier(request.path_values, "window")
        window = await request.parsed(self._parser, window_parsing.window)
        await put_window(self._dispatch, name, window)
        return answer(Done())

    async def window(self, request: Request) -> Response:
        """Return the state of a window."""
        parsing.no_query(request.query)
        name = parsing.identifier(request.path_values, "window")
        stored, uses = await read_window(self._dispatch, name)
        return answer(WindowAnswer(**msgspec.structs.asdict(_row(stored)), uses=uses))

    async def windows(self, request: Request) -> Response:
        """Return a page of all windows."""
        limit, cursor = parsing.page(request.query)
        windows, rest = await list_windows(self._dispatch, limit or DEFAULT_PAGE, cursor)
        return answer(WindowRows(windows=[_row(window) for window in windows], cursor=rest))

    async def drop_window(self, request: Request) -> Response:
        """Delete a window that nothing uses."""
        parsing.no_query(request.query)
        name = parsing.identifier(request.path_values, "window")
        await request.parsed(self._parser, parsing.nothing)
        await drop_window(self._dispatch, name)
        return answer(Done())


def _row(stored: StoredWindow) -> WindowRow:
    """Return a window of a list; the time at which it opens is rounded up, so that it is open then."""
    window = msgspec.json.decode(stored.definition, type=Window)
    opens_us, closes_us = stored.opens_at_us, stored.closes_at_us
    return WindowRow(
        name=stored.name,
        tz=window.tz,
        open=[RangeAnswer(days=span.days, begins=span.begins, ends=span.ends) for span in window.open],
        closed_dates=list(window.closed_dates),
        is_open=stored.is_open,
        opens_at=None if opens_us is None else -(-opens_us // 1000),
        closes_at=None if closes_us is None else closes_us // 1000,
    )
