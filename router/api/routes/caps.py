"""Defines the routes of named caps: the limits that any queues share."""

from __future__ import annotations

from router.access.permissions import Permission, TypesAt
from router.api.caps.shapes import CapAnswer, CapBody, CapDefined, CapDropped, CapRows, HoldNamedCap
from router.api.request_shapes import NoBody, PageQuery
from router.api.response_shapes import Done
from router.api.routes.route import READ, WRITE, Route, Tag
from sharq_core.errors import NotFound, StoreFull

CAPS = (
    Route(
        operation="put_cap",
        tag=Tag.CAPS,
        permissions=(Permission.OPERATE,),
        types=TypesAt.ALL,
        methods=("PUT",),
        paths=("/cap/{cap}/",),
        summary="Define a cap: the limits that all queues that name it share. One of this name is replaced. In any "
        "time t at most burst + (t + g) / interval leases begin, where g is a twentieth of the interval of the fastest "
        "limit, at least 10 ms and at most 250 ms.",
        body=CapBody,
        needs_body=True,
        answers={200: (CapDefined,)},
        failures=(*WRITE, StoreFull),
    ),
    Route(
        operation="cap",
        operation_id="get_cap",
        tag=Tag.CAPS,
        permissions=(Permission.READ,),
        types=TypesAt.NONE,
        methods=("GET",),
        paths=("/cap/{cap}/",),
        summary="Get a cap: its limits, when it allows the next lease, and how many queues and jobs wait for it.",
        answers={200: (CapAnswer,)},
        failures=(*READ, NotFound),
    ),
    Route(
        operation="caps",
        operation_id="list_caps",
        tag=Tag.CAPS,
        permissions=(Permission.READ,),
        types=TypesAt.NONE,
        methods=("GET",),
        paths=("/caps/",),
        summary="List all caps: their limits and their state, page by page.",
        query=PageQuery,
        answers={200: (CapRows,)},
        failures=READ,
    ),
    Route(
        operation="hold_cap",
        tag=Tag.CAPS,
        permissions=(Permission.OPERATE,),
        types=TypesAt.ALL,
        methods=("POST",),
        paths=("/cap/{cap}/hold/",),
        summary="Hold a cap: no queue with it gives a job for a time. A hold ends by itself and only grows.",
        body=HoldNamedCap,
        needs_body=True,
        answers={200: (Done,)},
        failures=(*WRITE, NotFound),
    ),
    Route(
        operation="drop_cap",
        operation_id="delete_cap",
        tag=Tag.CAPS,
        permissions=(Permission.OPERATE,),
        types=TypesAt.ALL,
        methods=("DELETE",),
        paths=("/cap/{cap}/",),
        summary="Delete a cap: queues that still name it give no jobs until it exists again or they no longer name it.",
        body=NoBody,
        answers={200: (CapDropped,)},
        failures=(*WRITE, NotFound),
    ),
)
