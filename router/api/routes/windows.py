"""Defines the routes of windows: the times of the day in which jobs may be leased."""

from __future__ import annotations

from router.access.permissions import Permission, TypesAt
from router.api.campaigns.window_shapes import WindowAnswer, WindowBody, WindowRows
from router.api.request_shapes import NoBody, PageQuery
from router.api.response_shapes import Done
from router.api.routes.route import READ, WRITE, Route, Tag
from sharq_core.errors import NotFound, WindowUsed

WINDOWS = (
    Route(
        operation="put_window",
        tag=Tag.WINDOWS,
        permissions=(Permission.OPERATE,),
        types=TypesAt.ALL,
        methods=("PUT",),
        paths=("/window/{window}/",),
        summary="Define a window: when jobs and queues that name it may be leased from. One of this name is replaced.",
        body=WindowBody,
        needs_body=True,
        answers={200: (Done,)},
        failures=WRITE,
    ),
    Route(
        operation="window",
        operation_id="get_window",
        tag=Tag.WINDOWS,
        permissions=(Permission.READ,),
        types=TypesAt.NONE,
        methods=("GET",),
        paths=("/window/{window}/",),
        summary="Get a window: its definition, when it opens or closes, and how many queues and types use it.",
        answers={200: (WindowAnswer,)},
        failures=(*READ, NotFound),
    ),
    Route(
        operation="windows",
        operation_id="list_windows",
        tag=Tag.WINDOWS,
        permissions=(Permission.READ,),
        types=TypesAt.NONE,
        methods=("GET",),
        paths=("/windows/",),
        summary="List all windows: their definitions, page by page.",
        query=PageQuery,
        answers={200: (WindowRows,)},
        failures=READ,
    ),
    Route(
        operation="drop_window",
        operation_id="delete_window",
        tag=Tag.WINDOWS,
        permissions=(Permission.OPERATE,),
        types=TypesAt.ALL,
        methods=("DELETE",),
        paths=("/window/{window}/",),
        summary="Delete a window: one that no job and no setting uses.",
        body=NoBody,
        answers={200: (Done,)},
        failures=(*WRITE, NotFound, WindowUsed),
    ),
)
