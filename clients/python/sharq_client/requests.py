"""What a caller hands in: jobs to enqueue and references to jobs. The server validates; nothing is checked
twice here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import msgspec

MAX_JOBS_A_CALL = 1_000
"""The server's limit for a bulk call."""

MAX_BYTES_A_CALL = 8 * 1024 * 1024
"""Half of the server's default body limit: a call below it is taken in any encoding of the ids."""

OVERHEAD_BYTES = 700
"""The most that a job's ids, lease and field names add to its payload."""


class EnqueueJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job to enqueue.

    Attributes:
        payload: any JSON value, or msgspec.Raw with JSON text. msgspec encodes it: NaN and infinities become
            null.
        job_id: made by the client when left out.
        interval_ms: the queue's rate from now on, fractions allowed, 0 for unlimited; None keeps the queue's
            own.
        requeue_limit: how often it may come back after an ended lease, -1 for ever; None for the server's
            default.
        burst: leases that may go back to back when late, at least 1; None keeps the queue's own.
        delay_ms: it may not be leased before this much time has passed.
        max_queued_length: refuse with QueueFull when this many jobs are queued and delayed already.
        repeat: this job may have been sent before, so a finished or dead job of this id counts as a duplicate
            too.
    """

    queue_type: str
    queue_id: str
    payload: object
    job_id: str | None = None
    interval_ms: float | None = msgspec.field(default=None, name="interval")
    requeue_limit: int | None = None
    burst: int | None = None
    delay_ms: float = msgspec.field(default=0, name="delay")
    max_queued_length: int | None = None
    repeat: bool = False


class Addressed(Protocol):
    """Anything that names a job and, unless None, the lease held on it: a LeasedJob, or a JobRef."""

    @property
    def queue_type(self) -> str: ...
    @property
    def queue_id(self) -> str: ...
    @property
    def job_id(self) -> str: ...
    @property
    def lease(self) -> str | None: ...


class JobRef(msgspec.Struct, frozen=True):
    """A job by its ids. lease None: finish acts on whichever lease is live, as the original does."""

    queue_type: str
    queue_id: str
    job_id: str
    lease: str | None = None


class LeaseBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job of a bulk finish, extend or release; without ids, the body of the single call."""

    queue_type: str = ""
    queue_id: str = ""
    job_id: str = ""
    lease: str | None = None
    by_ms: float | None = msgspec.field(default=None, name="by")
    delay_ms: float = msgspec.field(default=0, name="delay")


class RateBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of POST /interval/."""

    interval_ms: float = msgspec.field(name="interval")
    burst: int | None = None
    pin: bool | None = None


class DeadRef(msgspec.Struct, frozen=True):
    """One dead letter of a type."""

    queue_id: str
    job_id: str


BulkJob = EnqueueJob | LeaseBody | DeadRef
BulkJobT = TypeVar("BulkJobT", EnqueueJob, LeaseBody, DeadRef)


def calls(jobs: Sequence[BulkJobT]) -> Iterator[Sequence[BulkJobT]]:
    """Splits jobs, in order, into calls that stay below the server's limits for count and bytes. Cost:
    O(jobs)."""
    start = size_bytes = 0
    for index, job in enumerate(jobs):
        job_bytes = _size_bytes(job)
        if index - start == MAX_JOBS_A_CALL or (index > start and size_bytes + job_bytes > MAX_BYTES_A_CALL):
            yield jobs[start:index]
            start, size_bytes = index, 0
        size_bytes += job_bytes
    if jobs:
        yield jobs[start:]


def _size_bytes(job: BulkJob) -> int:
    payload = job.payload if isinstance(job, EnqueueJob) else None
    return OVERHEAD_BYTES + (len(memoryview(payload)) if isinstance(payload, msgspec.Raw) else 0)
