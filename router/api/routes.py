"""The table of the HTTP API: every operation with its paths, its inputs and its answers.

router/app.py attaches the handlers to the table and router/api/openapi.py makes the document from it, so that neither
can miss an operation.
"""

from __future__ import annotations

from msgspec import Struct

from router.api.cluster_shapes import ClusterInfo
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
from router.api.response_shapes import (
    DeadJobs,
    Done,
    Dropped,
    Extended,
    HelloAnswer,
    JobAnswer,
    LeasedJobs,
    LeasedOne,
    LeaseResults,
    NothingReadyAnswer,
    Queued,
    QueuedJobs,
    Ready,
    Redriven,
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
        operation: the name in metrics and in the table of handlers.
        paths: the documented paths; each is served with and without its trailing slash (see spellings).
        answers: status → the shapes that the answer may have.
        failures: the documented errors; any other error is unexpected.
        body: the shape of the body; None if a body is ignored.
        needs_body: True if the body may not be empty.
        media_type: the media type of a successful answer.
        is_open: True if the operation needs no token even if the server requires tokens.
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
        """The methods that are served. GET-only operations are read-only, so HEAD is served, too.

        A dequeue also accepts GET, but leases jobs.
        """
        return ("GET", "HEAD") if self.methods == ("GET",) else self.methods


def spellings(path: str) -> tuple[str, ...]:
    """Return a path with and without its trailing slash; `/metrics` and `/metrics/` are two operations."""
    if path in ("/", "/metrics", "/metrics/"):
        return (path,)
    bare = path.rstrip("/")
    return f"{bare}/", bare


ROUTES = (
    Route(
        operation="enqueue",
        methods=("POST",),
        paths=(f"/enqueue/{_QUEUE}/",),
        summary="Enqueue a job.",
        body=EnqueueBody,
        needs_body=True,
        answers={201: (Queued,)},
        failures=(*_WRITE, QueueFull, StoreFull),
    ),
    Route(
        operation="dequeue",
        methods=("GET", "POST"),
        paths=("/dequeue/{queue_type}/", "/dequeue/"),
        summary="Lease a ready job, or up to `count` jobs. The queue type defaults to `default`.",
        query=DequeueQuery,
        body=NoBody,
        answers={200: (LeasedOne, LeasedJobs), 404: (NothingReadyAnswer,)},
        failures=_WRITE,
    ),
    Route(
        operation="finish",
        methods=("POST",),
        paths=(f"/finish/{_JOB}/",),
        summary="Finish a job: end its lease and forget the job.",
        query=LeaseQuery,
        body=FinishBody,
        answers={200: (Done,)},
        failures=_LEASE,
    ),
    Route(
        operation="extend",
        methods=("POST",),
        paths=(f"/extend/{_JOB}/",),
        summary="Extend a lease: it ends `by` milliseconds from now.",
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
        summary="Release a job: end its lease and put it back into its queue, unfinished.",
        query=LeaseQuery,
        body=ReleaseBody,
        answers={200: (Done,)},
        failures=_LEASE,
    ),
    Route(
        operation="enqueue_bulk",
        methods=("POST",),
        paths=("/enqueue/",),
        summary="Enqueue up to 1,000 jobs, each with its own result.",
        body=EnqueueBulk,
        needs_body=True,
        answers={200: (QueuedJobs,)},
        failures=_WRITE,
    ),
    Route(
        operation="finish_bulk",
        methods=("POST",),
        paths=("/finish/",),
        summary="Finish up to 1,000 jobs, each with its own result.",
        body=FinishBulk,
        needs_body=True,
        answers={200: (LeaseResults,)},
        failures=_WRITE,
    ),
    Route(
        operation="extend_bulk",
        methods=("POST",),
        paths=("/extend/",),
        summary="Extend up to 1,000 leases, each with its own result.",
        body=ExtendBulk,
        needs_body=True,
        answers={200: (LeaseResults,)},
        failures=_WRITE,
    ),
    Route(
        operation="release_bulk",
        methods=("POST",),
        paths=("/release/",),
        summary="Release up to 1,000 jobs, each with its own result.",
        body=ReleaseBulk,
        needs_body=True,
        answers={200: (LeaseResults,)},
        failures=_WRITE,
    ),
    Route(
        operation="interval",
        methods=("POST",),
        paths=(f"/interval/{_QUEUE}/",),
        summary="Change the rate of a queue at once, and pin or unpin it.",
        body=RateBody,
        needs_body=True,
        answers={200: (RateSet,)},
        failures=(*_WRITE, NotFound),
    ),
    Route(
        operation="queue",
        methods=("GET",),
        paths=(f"/queue/{_QUEUE}/",),
        summary="Get the state of a queue: its rate, its number of jobs and its next ready time.",
        answers={200: (QueueAnswer,)},
        failures=(*_READ, NotFound),
    ),
    Route(
        operation="pause",
        methods=("POST",),
        paths=(f"/queue/{_QUEUE}/pause/",),
        summary="Pause a queue: it accepts jobs but hands none out.",
        body=NoBody,
        answers={200: (Done,)},
        failures=(*_WRITE, NotFound),
    ),
    Route(
        operation="resume",
        methods=("POST",),
        paths=(f"/queue/{_QUEUE}/resume/",),
        summary="Resume a paused queue.",
        body=NoBody,
        answers={200: (Done,)},
        failures=(*_WRITE, NotFound),
    ),
    Route(
        operation="deletequeue",
        methods=("DELETE",),
        paths=(f"/deletequeue/{_QUEUE}/",),
        summary="Delete a queue: drop its queued and delayed jobs. Leased jobs are not requeued.",
        body=DeleteQueueBody,
        answers={200: (DeletedAnswer,)},
        failures=_WRITE,
    ),
    Route(
        operation="metrics",
        methods=("GET",),
        paths=("/metrics/",),
        summary="List the queue types in use, with the enqueues and dequeues of all queues in the last 10 minutes.",
        answers={200: (AllCounts,)},
        failures=_READ,
    ),
    Route(
        operation="metrics_type",
        methods=("GET",),
        paths=("/metrics/{queue_type}/",),
        summary="List the queues of a type that have queued, delayed or leased jobs; all of them without `limit`.",
        query=PageQuery,
        answers={200: (QueueIds,)},
        failures=_READ,
    ),
    Route(
        operation="metrics_queue",
        methods=("GET",),
        paths=(f"/metrics/{_QUEUE}/",),
        summary="Get the length of a queue and its enqueues and dequeues in the last 10 minutes.",
        answers={200: (QueueCounts,)},
        failures=_READ,
    ),
    Route(
        operation="top",
        methods=("GET",),
        paths=("/top/{queue_type}/",),
        summary="List the queues of a type that have been ready longest, or with `by=depth` hold the most jobs.",
        query=TopQuery,
        answers={200: (TopQueuesAnswer,)},
        failures=_READ,
    ),
    Route(
        operation="job",
        methods=("GET",),
        paths=(f"/job/{_JOB}/",),
        summary="Get the state of a job.",
        answers={200: (JobAnswer,)},
        failures=(*_READ, NotFound),
    ),
    Route(
        operation="dead",
        methods=("GET",),
        paths=("/dead/{queue_type}/",),
        summary="List a page of the dead letters of a type, 100 without `limit`.",
        query=PageQuery,
        answers={200: (DeadJobs,)},
        failures=_READ,
    ),
    Route(
        operation="drop_dead",
        methods=("DELETE",),
        paths=("/dead/{queue_type}/",),
        summary="Drop all dead letters that a type has when the call starts.",
        body=NoBody,
        answers={200: (Dropped,)},
        failures=_WRITE,
    ),
    Route(
        operation="redrive",
        methods=("POST",),
        paths=("/dead/{queue_type}/redrive/",),
        summary="Redrive dead letters: enqueue those in the body again, or all that the type has when the call starts.",
        body=RedriveBody,
        answers={200: (Redriven,)},
        failures=_WRITE,
    ),
    Route(
        operation="hello",
        methods=("GET",),
        paths=("/",),
        summary="Get the greeting of the original server.",
        answers={200: (HelloAnswer,)},
        is_open=True,
    ),
    Route(
        operation="deepstatus",
        methods=("GET",),
        paths=("/deepstatus/",),
        summary="Check that every server of the store answers.",
        answers={200: (Done,)},
        failures=(Forbidden, Overloaded, Unavailable, OutcomeUnknown),
    ),
    Route(
        operation="healthz",
        methods=("GET",),
        paths=("/healthz",),
        summary="Check that the process is alive (liveness probe).",
        answers={200: (Done,)},
        is_open=True,
    ),
    Route(
        operation="readyz",
        methods=("GET",),
        paths=("/readyz",),
        summary="Check that a load balancer may send requests here (readiness probe).",
        answers={200: (Ready,)},
        failures=(Unavailable,),
        is_open=True,
    ),
    Route(
        operation="cluster",
        methods=("GET",),
        paths=("/cluster/",),
        summary="Get the members of the cluster, the ring version, the partitions and the store of each node.",
        answers={200: (ClusterInfo,)},
        failures=(Forbidden,),
    ),
    Route(
        operation="prometheus",
        methods=("GET",),
        paths=("/metrics",),
        summary="Get the metrics of this process in the Prometheus text format.",
        answers={200: ()},
        media_type="text/plain",
        failures=(Forbidden,),
    ),
    Route(
        operation="openapi",
        methods=("GET",),
        paths=("/openapi.json",),
        summary="Get this document.",
        answers={200: ()},
    ),
)
