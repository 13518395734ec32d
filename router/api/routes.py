"""The table of the HTTP API: every operation with its paths, what it takes and what it answers.

router/app.py attaches the handlers to it, router/api/openapi.py makes the document of it: neither forgets one.
"""

from __future__ import annotations

from msgspec import Struct

from router.api.cluster_shapes import ClusterInfo
from router.api.request_shapes import (
    DeleteQueueBody,
    DequeueQuery,
    EnqueueBody,
    EnqueueBulk,
    ExtendBody,
    ExtendBulk,
    FinishBody,
    FinishBulk,
    LeaseQuery,
    NoBody,
    NoQuery,
    PageQuery,
    RateBody,
    RedriveBody,
    ReleaseBody,
    ReleaseBulk,
    TopQuery,
)
from router.http.response import (
    AllCounts,
    DeadJobs,
    DeletedAnswer,
    Done,
    Dropped,
    Extended,
    HelloAnswer,
    JobAnswer,
    LeasedJobs,
    LeasedOne,
    LeaseResults,
    NothingReadyAnswer,
    QueueAnswer,
    QueueCounts,
    Queued,
    QueuedJobs,
    QueueIds,
    RateSet,
    Ready,
    Redriven,
    TopQueuesAnswer,
)
from sharq_core.errors import (
    Forbidden,
    InvalidRequest,
    LeaseLost,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    QueueFull,
    SharqError,
    StoreFull,
    TooLarge,
    TooSlow,
    Unavailable,
    UnsupportedEncoding,
)

_READ = (InvalidRequest, Forbidden, Overloaded, Unavailable, OutcomeUnknown)
_WRITE = (*_READ, TooLarge, TooSlow, UnsupportedEncoding)
_LEASE = (*_WRITE, NotFound, LeaseLost)

_QUEUE = "{queue_type}/{queue_id}"
_JOB = "{queue_type}/{queue_id}/{job_id}"


class Route(Struct, frozen=True, kw_only=True):
    """One operation.

    Attributes:
        operation: its name in metrics and in the table of handlers.
        paths: as documented; each is served with and without its trailing slash (see spellings).
        answers: status → the shapes it may have.
        failures: what may go wrong beside the unforeseen.
        body: None where a body is not looked at.
        media_type: of the successful answer.
        is_open: needs no token where tokens are asked for.
    """

    operation: str
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    summary: str
    answers: dict[int, tuple[type[Struct], ...]]
    failures: tuple[type[SharqError], ...] = ()
    body: type[Struct] | None = None
    needs_body: bool = False
    query: type[Struct] = NoQuery
    media_type: str = "application/json"
    is_open: bool = False

    @property
    def served_methods(self) -> tuple[str, ...]:
        """Where GET is all there is, it only reads, so that HEAD is served, too: a GET may lease jobs else."""
        return ("GET", "HEAD") if self.methods == ("GET",) else self.methods


def spellings(path: str) -> tuple[str, ...]:
    """A path with and without the trailing slash; `/metrics` and `/metrics/` are two things, though."""
    if path in ("/", "/metrics", "/metrics/"):
        return (path,)
    bare = path.rstrip("/")
    return f"{bare}/", bare


ROUTES = (
    Route(
        operation="enqueue",
        methods=("POST",),
        paths=(f"/enqueue/{_QUEUE}/",),
        summary="Queue a job.",
        body=EnqueueBody,
        needs_body=True,
        answers={201: (Queued,)},
        failures=(*_WRITE, QueueFull, StoreFull),
    ),
    Route(
        operation="dequeue",
        methods=("GET", "POST"),
        paths=("/dequeue/{queue_type}/", "/dequeue/"),
        summary="Lease a ready job, or with `count` up to so many. Without a type: of the type `default`.",
        query=DequeueQuery,
        body=NoBody,
        answers={200: (LeasedOne, LeasedJobs), 404: (NothingReadyAnswer,)},
        failures=_WRITE,
    ),
    Route(
        operation="finish",
        methods=("POST",),
        paths=(f"/finish/{_JOB}/",),
        summary="End a lease and forget the job.",
        query=LeaseQuery,
        body=FinishBody,
        answers={200: (Done,)},
        failures=_LEASE,
    ),
    Route(
        operation="extend",
        methods=("POST",),
        paths=(f"/extend/{_JOB}/",),
        summary="Move the end of a lease.",
        query=LeaseQuery,
        body=ExtendBody,
        needs_body=True,
        answers={200: (Extended,)},
        failures=_LEASE,
    ),
    Route(
        operation="release",
        methods=("POST",),
        paths=(f"/release/{_JOB}/",),
        summary="Give a job back unfinished.",
        query=LeaseQuery,
        body=ReleaseBody,
        answers={200: (Done,)},
        failures=_LEASE,
    ),
    Route(
        operation="enqueue_bulk",
        methods=("POST",),
        paths=("/enqueue/",),
        summary="Queue up to 1,000 jobs, each with a result of its own.",
        body=EnqueueBulk,
        needs_body=True,
        answers={200: (QueuedJobs,)},
        failures=_WRITE,
    ),
    Route(
        operation="finish_bulk",
        methods=("POST",),
        paths=("/finish/",),
        summary="End up to 1,000 leases, each with a result of its own.",
        body=FinishBulk,
        needs_body=True,
        answers={200: (LeaseResults,)},
        failures=_WRITE,
    ),
    Route(
        operation="extend_bulk",
        methods=("POST",),
        paths=("/extend/",),
        summary="Extend up to 1,000 leases, each with a result of its own.",
        body=ExtendBulk,
        needs_body=True,
        answers={200: (LeaseResults,)},
        failures=_WRITE,
    ),
    Route(
        operation="release_bulk",
        methods=("POST",),
        paths=("/release/",),
        summary="Give up to 1,000 jobs back, each with a result of its own.",
        body=ReleaseBulk,
        needs_body=True,
        answers={200: (LeaseResults,)},
        failures=_WRITE,
    ),
    Route(
        operation="interval",
        methods=("POST",),
        paths=(f"/interval/{_QUEUE}/",),
        summary="Change a queue's rate at once, and pin or unpin it.",
        body=RateBody,
        needs_body=True,
        answers={200: (RateSet,)},
        failures=(*_WRITE, NotFound),
    ),
    Route(
        operation="queue",
        methods=("GET",),
        paths=(f"/queue/{_QUEUE}/",),
        summary="What is known of a queue.",
        answers={200: (QueueAnswer,)},
        failures=(*_READ, NotFound),
    ),
    Route(
        operation="pause",
        methods=("POST",),
        paths=(f"/queue/{_QUEUE}/pause/",),
        summary="The queue takes jobs and gives none.",
        body=NoBody,
        answers={200: (Done,)},
        failures=(*_WRITE, NotFound),
    ),
    Route(
        operation="resume",
        methods=("POST",),
        paths=(f"/queue/{_QUEUE}/resume/",),
        summary="The queue gives jobs again.",
        body=NoBody,
        answers={200: (Done,)},
        failures=(*_WRITE, NotFound),
    ),
    Route(
        operation="deletequeue",
        methods=("DELETE",),
        paths=(f"/deletequeue/{_QUEUE}/",),
        summary="Drop what is queued and delayed.",
        body=DeleteQueueBody,
        answers={200: (DeletedAnswer,)},
        failures=_WRITE,
    ),
    Route(
        operation="metrics",
        methods=("GET",),
        paths=("/metrics/",),
        summary="Types in use, and the last 10 minutes of all together.",
        answers={200: (AllCounts,)},
        failures=_READ,
    ),
    Route(
        operation="metrics_type",
        methods=("GET",),
        paths=("/metrics/{queue_type}/",),
        summary="Queues of a type with waiting or leased jobs; all of them without `limit`.",
        query=PageQuery,
        answers={200: (QueueIds,)},
        failures=_READ,
    ),
    Route(
        operation="metrics_queue",
        methods=("GET",),
        paths=(f"/metrics/{_QUEUE}/",),
        summary="A queue's length and its last 10 minutes.",
        answers={200: (QueueCounts,)},
        failures=_READ,
    ),
    Route(
        operation="top",
        methods=("GET",),
        paths=("/top/{queue_type}/",),
        summary="Queues of a type that are ready longest, or with `by=depth` hold most jobs; 20 without `limit`.",
        query=TopQuery,
        answers={200: (TopQueuesAnswer,)},
        failures=_READ,
    ),
    Route(
        operation="job",
        methods=("GET",),
        paths=(f"/job/{_JOB}/",),
        summary="What is known of a job.",
        answers={200: (JobAnswer,)},
        failures=(*_READ, NotFound),
    ),
    Route(
        operation="dead",
        methods=("GET",),
        paths=("/dead/{queue_type}/",),
        summary="A page of a type's dead letters; 100 without `limit`.",
        query=PageQuery,
        answers={200: (DeadJobs,)},
        failures=_READ,
    ),
    Route(
        operation="drop_dead",
        methods=("DELETE",),
        paths=("/dead/{queue_type}/",),
        summary="Drop all dead letters that a type has when the call begins.",
        body=NoBody,
        answers={200: (Dropped,)},
        failures=_WRITE,
    ),
    Route(
        operation="redrive",
        methods=("POST",),
        paths=("/dead/{queue_type}/redrive/",),
        summary="Queue dead letters again: all that a type has when the call begins, or those named.",
        body=RedriveBody,
        answers={200: (Redriven,)},
        failures=_WRITE,
    ),
    Route(
        operation="hello",
        methods=("GET",),
        paths=("/",),
        summary="The original's greeting.",
        answers={200: (HelloAnswer,)},
        is_open=True,
    ),
    Route(
        operation="deepstatus",
        methods=("GET",),
        paths=("/deepstatus/",),
        summary="Whether every store node answers.",
        answers={200: (Done,)},
        failures=(Forbidden, Overloaded, Unavailable, OutcomeUnknown),
    ),
    Route(
        operation="healthz",
        methods=("GET",),
        paths=("/healthz",),
        summary="Whether the event loop answers.",
        answers={200: (Done,)},
        is_open=True,
    ),
    Route(
        operation="readyz",
        methods=("GET",),
        paths=("/readyz",),
        summary="Whether a load balancer should send requests here.",
        answers={200: (Ready,)},
        failures=(Unavailable,),
        is_open=True,
    ),
    Route(
        operation="cluster",
        methods=("GET",),
        paths=("/cluster/",),
        summary="Members, ring version, partitions, and what each node says of its store.",
        answers={200: (ClusterInfo,)},
        failures=(Forbidden,),
    ),
    Route(
        operation="prometheus",
        methods=("GET",),
        paths=("/metrics",),
        summary="This process's metrics as Prometheus text.",
        answers={200: ()},
        media_type="text/plain",
        failures=(Forbidden,),
    ),
    Route(
        operation="openapi",
        methods=("GET",),
        paths=("/openapi.json",),
        summary="This document.",
        answers={200: ()},
    ),
)
