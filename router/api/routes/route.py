"""Defines a route: one operation of the HTTP API with its paths, inputs, answers and failures."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from router.access.permissions import Permission, TypesAt
from router.api.request_shapes import (
    NoQuery,
)
from sharq_core.errors import (
    Forbidden,
    InvalidRequest,
    LeaseLost,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    SharqError,
    TooLarge,
    TooSlow,
    Unavailable,
    UnsupportedEncoding,
)

READ = (InvalidRequest, Forbidden, Overloaded, Unavailable, OutcomeUnknown)
WRITE = (*READ, TooLarge, TooSlow, UnsupportedEncoding)
LEASE = (*WRITE, NotFound, LeaseLost)

QUEUE = "{queue_type}/{queue_id}"
JOB = "{queue_type}/{queue_id}/{job_id}"


class Tag(StrEnum):
    """The groups of operations in the OpenAPI document, in the order of its readers."""

    JOBS = "Jobs"
    QUEUES = "Queues"
    TYPES = "Types"
    CAPS = "Caps"
    DEAD_LETTERS = "Dead letters"
    BATCHES = "Batches"
    SCHEDULES = "Schedules"
    WINDOWS = "Windows"
    OPERATIONS = "Operations"


class Route(Struct, frozen=True, kw_only=True):
    """One operation.

    Attributes:
        operation: the name in metrics and in the table of handlers.
        operation_id: the name in the OpenAPI document; None for the same name.
        summary: a short heading, which ends with the first `:` or `.`, and what else is to say.
        permissions: a token needs one of them; empty if any token will do.
        types: the place at which a request names its queue types, which decides how a token's types are checked.
        paths: the documented paths; each is served with and without its trailing slash (see spellings).
        answers: status → the shapes that the answer may have.
        failures: the documented errors; any other error is unexpected.
        body: the shape of the body; None if a body is ignored.
        needs_body: True if the body may not be empty.
        media_type: the media type of a successful answer.
        is_open: True if the operation needs no token even if the server requires tokens.
    """

    operation: str
    operation_id: str | None = None
    tag: Tag
    permissions: tuple[Permission, ...]
    types: TypesAt
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
