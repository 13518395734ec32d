"""Handlers of windows: their definitions, their state and their list."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from router.api import parsing
from router.api.campaigns import window_parsing
from router.api.campaigns.window_shapes import RangeAnswer, WindowAnswer, WindowRow
from router.api.queue_parsing import DEFAULT_PAGE
from router.api.response_shapes import Done
from router.bodies.parser import BodyParser
from router.handlers.list_answers import list_answer, list_pieces
from router.http.request import Request
from router.http.response import Response, answer
from router.shards.dispatch import Dispatch
from router.shards.walks.unread import Unread
from router.shards.walks.windows import Router, drop_window, list_windows, put_window, read_window
from sharq_core.campaigns.windows import StoredWindow, Window

WINDOWS_AT_ONCE = 20
"""Windows that are read and encoded before other requests have their turn: each may have 8 KB."""


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
        unread = Unread(self._dispatch.partitions)
        stored, uses = await read_window(self._dispatch, name, unread)
        return answer(
            WindowAnswer(
                **msgspec.structs.asdict(_row(stored)),
                uses=uses,
                unread_partitions=unread.partitions or msgspec.UNSET,
            )
        )

    async def windows(self, request: Request) -> Response:
        """Return a page of all windows."""
        limit, cursor = parsing.page(request.query)
        listing = WindowListing(self._dispatch, limit or DEFAULT_PAGE, cursor)
        return await list_answer(list_pieces("windows", listing.pages(), lambda: {"cursor": listing.cursor}))

    async def drop_window(self, request: Request) -> Response:
        """Delete a window that nothing uses."""
        parsing.no_query(request.query)
        name = parsing.identifier(request.path_values, "window")
        await request.parsed(self._parser, parsing.nothing)
        await drop_window(self._dispatch, name)
        return answer(Done())


class WindowListing:
    """A listing of windows, read a few at a time.

    Attributes:
        cursor: the start of the next page; None at the end, and for the beginning.
    """

    def __init__(self, dispatch: Router, limit: int, cursor: str | None) -> None:
        self.cursor = cursor
        self._dispatch = dispatch
        self._limit = limit

    async def pages(self) -> AsyncIterator[list[WindowRow]]:
        """Yield the windows of the page."""
        remaining = self._limit
        while True:
            windows, self.cursor = await list_windows(
                self._dispatch, min(WINDOWS_AT_ONCE, remaining), self.cursor
            )
            yield [_row(window) for window in windows]
            remaining -= len(windows)
            if self.cursor is None or remaining <= 0:
                return


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
