"""Defines the routes of queues, types and their counts."""

from __future__ import annotations

from router.api.queue_shapes import (
    AllCounts,
    DeletedAnswer,
    QueueAnswer,
    QueueCounts,
    QueueIds,
    RateSet,
    TopQueuesAnswer,
)
from router.api.request_shapes import (
    DeleteQueueBody,
    NoBody,
    PageQuery,
    RateBody,
    TopQuery,
)
from router.api.response_shapes import (
    Done,
)
from router.api.routes.route import QUEUE, READ, WRITE, Route
from sharq_core.errors import (
    NotFound,
)

QUEUES = (
    Route(
        operation="interval",
        methods=("POST",),
        paths=(f"/interval/{QUEUE}/",),
        summary="Change the rate of a queue at once, and pin or unpin it.",
        body=RateBody,
        needs_body=True,
        answers={200: (RateSet,)},
        failures=(*WRITE, NotFound),
    ),
    Route(
        operation="queue",
        methods=("GET",),
        paths=(f"/queue/{QUEUE}/",),
        summary="Get the state of a queue: its rate, its number of jobs and its next ready time.",
        answers={200: (QueueAnswer,)},
        failures=(*READ, NotFound),
    ),
    Route(
        operation="pause",
        methods=("POST",),
        paths=(f"/queue/{QUEUE}/pause/",),
        summary="Pause a queue: it accepts jobs but hands none out.",
        body=NoBody,
        answers={200: (Done,)},
        failures=(*WRITE, NotFound),
    ),
    Route(
        operation="resume",
        methods=("POST",),
        paths=(f"/queue/{QUEUE}/resume/",),
        summary="Resume a paused queue.",
        body=NoBody,
        answers={200: (Done,)},
        failures=(*WRITE, NotFound),
    ),
    Route(
        operation="deletequeue",
        methods=("DELETE",),
        paths=(f"/deletequeue/{QUEUE}/",),
        summary="Delete a queue: drop its queued and delayed jobs. Leased jobs are not requeued.",
        body=DeleteQueueBody,
        answers={200: (DeletedAnswer,)},
        failures=WRITE,
    ),
    Route(
        operation="metrics",
        methods=("GET",),
        paths=("/metrics/",),
        summary="List the queue types in use, with the enqueues and dequeues of all queues in the last 10 minutes.",
        answers={200: (AllCounts,)},
        failures=READ,
    ),
    Route(
        operation="metrics_type",
        methods=("GET",),
        paths=("/metrics/{queue_type}/",),
        summary="List the queues of a type that have queued, delayed or leased jobs; all of them without `limit`.",
        query=PageQuery,
        answers={200: (QueueIds,)},
        failures=READ,
    ),
    Route(
        operation="metrics_queue",
        methods=("GET",),
        paths=(f"/metrics/{QUEUE}/",),
        summary="Get the length of a queue and its enqueues and dequeues in the last 10 minutes.",
        answers={200: (QueueCounts,)},
        failures=READ,
    ),
    Route(
        operation="top",
        methods=("GET",),
        paths=("/top/{queue_type}/",),
        summary="List the queues of a type that have been ready longest, or with `by=depth` hold the most jobs.",
        query=TopQuery,
        answers={200: (TopQueuesAnswer,)},
        failures=READ,
    ),
)
