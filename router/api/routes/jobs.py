"""Defines the routes of single jobs, of lists of jobs and of dead letters."""

from __future__ import annotations

from router.api.life.answers import Cancelled, CancelledMany, CancelResults, DeadJobs, JobAnswer, ListedJobs
from router.api.life.requests import (
    CancelBulk,
    CancelPrefixBody,
    CancelQuery,
    ChangeBody,
    DeadQuery,
    JobsQuery,
)
from router.api.request_shapes import JobQuery, NoBody, RedriveBody
from router.api.response_shapes import Done, Dropped, Redriven
from router.api.routes.route import JOB, QUEUE, READ, WRITE, Route
from sharq_core.errors import Duplicate, JobLeased, NotFound, NotWaiting, StoreFull, TooManyWindows

JOBS = (
    Route(
        operation="job",
        methods=("GET",),
        paths=(f"/job/{JOB}/",),
        summary="Get the state of a job, at once or with `wait` as soon as it has ended.",
        query=JobQuery,
        answers={200: (JobAnswer,)},
        failures=(*READ, NotFound),
    ),
    Route(
        operation="dead",
        methods=("GET",),
        paths=("/dead/{queue_type}/",),
        summary="List a page of the dead letters of a type or of one queue, 100 without `limit`.",
        query=DeadQuery,
        answers={200: (DeadJobs,)},
        failures=READ,
    ),
    Route(
        operation="drop_dead",
        methods=("DELETE",),
        paths=("/dead/{queue_type}/",),
        summary="Drop all dead letters that a type has when the call starts.",
        body=NoBody,
        answers={200: (Dropped,)},
        failures=WRITE,
    ),
    Route(
        operation="redrive",
        methods=("POST",),
        paths=("/dead/{queue_type}/redrive/",),
        summary="Redrive dead letters: enqueue those in the body again, or all that the type has when the call starts.",
        body=RedriveBody,
        answers={200: (Redriven,)},
        failures=WRITE,
    ),
    Route(
        operation="redrive_letter",
        methods=("POST",),
        paths=(f"/dead/{JOB}/redrive/",),
        summary="Redrive one dead letter: enqueue it again.",
        body=NoBody,
        answers={200: (Done,)},
        failures=(*WRITE, NotFound, Duplicate, TooManyWindows),
    ),
    Route(
        operation="drop_letter",
        methods=("DELETE",),
        paths=(f"/dead/{JOB}/",),
        summary="Drop one dead letter.",
        body=NoBody,
        answers={200: (Done,)},
        failures=(*WRITE, NotFound),
    ),
    Route(
        operation="change_job",
        methods=("PATCH",),
        paths=(f"/job/{JOB}/",),
        summary="Change a queued or delayed job. It keeps its place in its queue unless `at` or `delay` is changed.",
        body=ChangeBody,
        needs_body=True,
        answers={200: (JobAnswer,)},
        failures=(*WRITE, NotFound, NotWaiting, StoreFull),
    ),
    Route(
        operation="cancel_job",
        methods=("DELETE",),
        paths=(f"/job/{JOB}/",),
        summary="Cancel a queued, delayed or dead job, and with `force` a leased one. It may be repeated.",
        query=CancelQuery,
        body=NoBody,
        answers={200: (Cancelled,)},
        failures=(*WRITE, NotFound, JobLeased),
    ),
    Route(
        operation="cancel_bulk",
        methods=("POST",),
        paths=("/cancel/",),
        summary="Cancel up to 1,000 jobs, each with its own result.",
        body=CancelBulk,
        needs_body=True,
        answers={200: (CancelResults,)},
        failures=WRITE,
    ),
    Route(
        operation="cancel_prefix",
        methods=("POST",),
        paths=(f"/queue/{QUEUE}/cancel/",),
        summary="Cancel the queued and delayed jobs of a queue whose ids begin with a prefix. Jobs enqueued after the "
        "call has begun are kept.",
        body=CancelPrefixBody,
        needs_body=True,
        answers={200: (CancelledMany,)},
        failures=WRITE,
    ),
    Route(
        operation="list_jobs",
        methods=("GET",),
        paths=(f"/queue/{QUEUE}/jobs/",),
        summary="List a page of the jobs of a queue in one state.",
        query=JobsQuery,
        answers={200: (ListedJobs,)},
        failures=READ,
    ),
)
