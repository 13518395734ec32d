"""Defines the routes of the console: its page, its files and its stream. The OpenAPI document leaves them out."""

from __future__ import annotations

from router.access.permissions import Permission, TypesAt
from router.api.console_shapes import StreamQuery
from router.api.response_shapes import Done
from router.api.routes.route import READ, Route, Tag
from sharq_core.errors import NotFound

_FILES = (
    ("console", ("/console", "/console/")),
    ("console_file", ("/console/{file}",)),
    ("console_view", ("/console/views/{file}",)),
    ("console_widget", ("/console/widgets/{file}",)),
)

CONSOLE = (
    Route(
        operation="console_stream",
        tag=Tag.OPERATIONS,
        permissions=(Permission.READ,),
        types=TypesAt.LISTED,
        methods=("GET",),
        paths=("/console/stream",),
        summary="Watch the numbers of the console.",
        answers={200: (Done,)},
        failures=READ,
        query=StreamQuery,
        media_type="text/event-stream",
    ),
    *(
        Route(
            operation=operation,
            tag=Tag.OPERATIONS,
            permissions=(),
            types=TypesAt.NONE,
            methods=("GET",),
            paths=paths,
            summary="Get a file of the console.",
            answers={200: (Done,)},
            failures=(NotFound,),
            media_type="text/html",
            is_open=True,
        )
        for operation, paths in _FILES
    ),
)
"""The stream comes first, because its path also has the form of a file's."""
