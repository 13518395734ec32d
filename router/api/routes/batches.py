"""Defines the routes of batches."""

from __future__ import annotations

from router.access.permissions import Permission, TypesAt
from router.api.campaigns.batch_shapes import BatchAnswer
from router.api.life.answers import CancelledMany
from router.api.request_shapes import NoBody
from router.api.routes.route import READ, WRITE, Route, Tag
from sharq_core.errors import NotFound

_PATH = "/batch/{queue_type}/{batch}/"

BATCHES = (
    Route(
        operation="batch",
        operation_id="get_batch",
        tag=Tag.BATCHES,
        permissions=(Permission.READ, Permission.PRODUCE, Permission.WORK),
        types=TypesAt.PATH,
        methods=("GET",),
        paths=(_PATH,),
        summary="Get the progress of a batch: how many of its jobs are in which state.",
        answers={200: (BatchAnswer,)},
        failures=(*READ, NotFound),
    ),
    Route(
        operation="cancel_batch",
        tag=Tag.BATCHES,
        permissions=(Permission.OPERATE,),
        types=TypesAt.PATH,
        methods=("POST",),
        paths=(f"{_PATH}cancel/",),
        summary="Cancel a batch: it takes no further jobs, and its queued and delayed jobs are cancelled.",
        body=NoBody,
        answers={200: (CancelledMany,)},
        failures=(*WRITE, NotFound),
    ),
)
