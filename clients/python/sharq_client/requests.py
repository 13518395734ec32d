"""Defines the inputs of the client: jobs to enqueue, changes, settings, and references to jobs.

Each may be given as a mapping, from which it is made here. The fields have the names of the HTTP API. Durations are in
ms, and times in ms since the epoch by the store's clock. Only the server validates them.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from sharq_client.campaigns.caps import CapHold
from sharq_client.campaigns.limits import Limit
from sharq_client.campaigns.quotas import Quota
from sharq_client.campaigns.windows import OpenRange
from sharq_client.errors import InvalidRequest

Types: TypeAlias = str | Sequence[str]
"""A queue type, or several of them."""

DEFAULT_REQUEUE_LIMIT = 10
"""The requeue limit of a job that names none: it is delivered at most 11 times."""


class OnExpiry(enum.StrEnum):
    """The fate of a job that expires: it becomes a dead letter, or it is dropped."""

    DEAD = "dead"
    DROP = "drop"


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A retry policy: the wait after an attempt that failed.

    An attempt fails if its lease ends by time, or if it is released without a delay or with prefer_retry. The wait is
    min(max, delay * factor^(attempt - 1)) * (1 - jitter * u), with u from 0 to 1 by chance.

    Attributes:
        delay: the wait after the first attempt, up to 30 days.
        factor: the number by which the wait grows with each further attempt, 1 to 10, with up to two decimals.
        max: the longest wait, up to 30 days.
        jitter: the share of the wait that chance may take off, 0 to 1, with up to two decimals.
    """

    delay: int
    factor: float = 2
    max: int = 30 * 24 * 3600 * 1000
    jitter: float = 0


DEFAULT_RETRY = RetryPolicy(delay=1_000, factor=2, max=300_000, jitter=0.2)
"""The retry policy of a job that names none: 1 s, 2 s, 4 s and so on up to 5 minutes, each up to a fifth shorter."""


class EnqueueJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to enqueue.

    A job is safe by default: one that always fails is tried at most 11 times, ever more rarely, and is then a dead
    letter. `requeue_limit=-1, retry=None` turns this off.

    Attributes:
        payload: any JSON value, or msgspec.Raw with JSON text. docs/client.md says how times and other values are sent;
            bytes, NaN and infinities are refused.
        job_id: the id of the job. None for one that the client generates.
        interval: the least time between two leases of the queue from now on, fractions allowed, 0 for unlimited.
            None keeps the queue's interval.
        requeue_limit: the number of times that the job is requeued after a failed attempt, -1 for no limit. None for
            the default of the server's configuration, which is no limit unless it says otherwise.
        burst: the most leases back to back when the queue is late, at least 1, with up to two decimals. None keeps the
            queue's burst.
        delay: the time that must pass before the job may be leased.
        max_queued_length: the number of queued and delayed jobs from which on the server refuses with QueueFull.
        repeat: True if this job may have been sent before. A finished or dead job of this id is then a duplicate, too.
        rate: the rate of the queue from now on, instead of interval: "40/s", "90/min", "2000/h", "10000/day".
        cost: the number of slots of the rate that the job takes, 1 to 1,000,000.
        max_leased: the most jobs of the queue that are leased at a time. None keeps the queue's maximum.
        at: the time before which the job is not leased, instead of delay, in ms since the epoch by the store's
            clock. A time in the past queues it at once.
        priority: 1 to 9; of one queue's jobs the one with the lowest number is leased first.
        expires: the time from now after which the job is not leased any more. None for the default of its queue or
            gathered type, or else never.
        expires_at: the end instead of expires, in ms since the epoch by the store's clock.
        on_expiry: OnExpiry.DEAD if the job becomes a dead letter when it expires, OnExpiry.DROP if it is dropped. None
            for the default of its queue or gathered type, or else DEAD.
        retry: the wait after a failed attempt. None for the policy of its queue or gathered type, or else no wait; a
            policy of the job wins over both.
        window: the name of the window outside of which the job is not leased. None for none of its own.
        ignore_window: True if neither its own window nor that of its queue or gathered type holds it back.
        batch: the id of the batch that counts the job, as that of a campaign.
        caps: the names of up to three caps that the queue shares with other queues from now on; empty for none. None
            keeps the queue's caps.
        traceparent: the context of the trace in which the job is made, in the form of W3C Trace Context. None for that
            of the current span, if the client traces (docs/tracing.md), or else for none.
        tracestate: what tracing systems add to the traceparent, up to 512 characters.
    """

    queue_type: str
    queue_id: str
    payload: object
    job_id: str | None = None
    interval: float | None = None
    requeue_limit: int | None = DEFAULT_REQUEUE_LIMIT
    burst: float | None = None
    delay: float = 0
    max_queued_length: int | None = None
    repeat: bool = False
    rate: str | None = None
    cost: int = 1
    max_leased: int | None = None
    at: int | None = None
    priority: int = 5
    expires: float | None = None
    expires_at: int | None = None
    on_expiry: OnExpiry | None = None
    retry: RetryPolicy | None = DEFAULT_RETRY
    window: str | None = None
    ignore_window: bool = False
    batch: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    caps: Sequence[str] | None = None


Enqueueable: TypeAlias = EnqueueJob | Mapping[str, Any]
"""A job to enqueue: a value, or a mapping with the fields of EnqueueJob, whose names are those of the HTTP API."""


JobStream: TypeAlias = Iterable[Enqueueable]
"""The jobs that `Client.enqueue_many` takes."""

AsyncJobStream: TypeAlias = Iterable[Enqueueable] | AsyncIterable[Enqueueable]
"""The jobs that `AsyncClient.enqueue_many` takes."""


class Addressed(Protocol):
    """The interface of a reference to a job and, unless None, to its lease: a LeasedJob, or a JobRef."""

    @property
    def queue_type(self) -> str:
        """The queue's type."""
        ...

    @property
    def queue_id(self) -> str:
        """The queue's id within its type."""
        ...

    @property
    def job_id(self) -> str:
        """The job's id within its queue."""
        ...

    @property
    def lease(self) -> str | None:
        """The lease token; None if the job is addressed by its id alone."""
        ...


class JobRef(msgspec.Struct, frozen=True):
    """A job by its ids. If lease is None, finish acts on the live lease, as in the original."""

    queue_type: str
    queue_id: str
    job_id: str
    lease: str | None = None


Referable: TypeAlias = Addressed | Mapping[str, Any]
"""A reference to a job: a LeasedJob, a JobRef, or a mapping with the fields of JobRef."""


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of the settings of a queue: a field that is not given stays as it is, and None clears the setting.

    Attributes:
        interval: the least time between two leases, fractions allowed, 0 for unlimited.
        rate: the same as a rate, instead of interval: "40/s", "90/min", "2000/h", "10000/day".
        burst: the most leases back to back when the queue is late, at least 1, with up to two decimals.
        pin: True to keep enqueues from changing rate, burst and max_leased.
        max_leased: the most jobs of the queue that are leased at a time.
        weight: the number of jobs, 1 to 100, that the queue gives in its turn while queues of its type compete.
        hold: the time from now for which the queue hands out no jobs, up to 24 hours.
        retry: the retry policy of jobs that have none of their own. Jobs of this client have one, unless they are
            enqueued with `retry=None`.
        expires: the time from when a job is due after which it expires, for jobs without an expiry of their own.
        on_expiry: the fate of expired jobs that do not name one.
        window: the name of the window outside of which nothing is leased, except jobs that ignore windows.
        caps: the names of up to three caps that the queue shares with other queues, of any types.
    """

    interval: float | UnsetType | None = UNSET
    rate: str | UnsetType | None = UNSET
    burst: float | UnsetType | None = UNSET
    pin: bool | UnsetType | None = UNSET
    max_leased: int | UnsetType | None = UNSET
    weight: int | UnsetType | None = UNSET
    hold: float | UnsetType | None = UNSET
    retry: RetryPolicy | UnsetType | None = UNSET
    expires: float | UnsetType | None = UNSET
    on_expiry: OnExpiry | UnsetType | None = UNSET
    window: str | UnsetType | None = UNSET
    caps: Sequence[str] | UnsetType | None = UNSET


class TypeSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of the settings of a gathered type: a field that is not given stays, and None clears the setting.

    Attributes:
        limits: up to three limits, which replace all present ones.
        rate, interval, burst: short for one limit, `limits=[Limit(rate=..., burst=...)]`. Send limits or these.
        quotas: up to three quotas, which replace all present ones. One of the same unit, period and zone as a present
            one goes on with what is used of that.
        max_leased: the most jobs of all queues together that are leased at a time.
        hold: the time from now for which no queue of the type hands out jobs, up to 24 hours.
        retry, expires, on_expiry, window: as in QueueSettings, for queues and jobs that have no such setting.
    """

    limits: Sequence[Limit] | UnsetType | None = UNSET
    max_leased: int | UnsetType | None = UNSET
    hold: float | UnsetType | None = UNSET
    retry: RetryPolicy | UnsetType | None = UNSET
    expires: float | UnsetType | None = UNSET
    on_expiry: OnExpiry | UnsetType | None = UNSET
    window: str | UnsetType | None = UNSET
    quotas: Sequence[Quota] | UnsetType | None = UNSET
    rate: str | UnsetType | None = UNSET
    interval: float | UnsetType | None = UNSET
    burst: float | UnsetType | None = UNSET


class JobChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of a waiting job: a field that is not given stays as it is.

    Attributes:
        payload: any JSON value, or msgspec.Raw with JSON text.
        delay, at: as in EnqueueJob, the delay counted from now. Either gives the job a new place in its queue.
        priority, cost: as in EnqueueJob. The job keeps its place among the jobs of its priority.
        expires, expires_at: as in EnqueueJob, counted from now; None if the job never expires.
    """

    payload: object = UNSET
    delay: float | UnsetType = UNSET
    at: int | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    cost: int | UnsetType = UNSET
    expires: float | UnsetType | None = UNSET
    expires_at: int | UnsetType | None = UNSET


class DeadRef(msgspec.Struct, frozen=True):
    """A reference to one dead letter of a type."""

    queue_id: str
    job_id: str


ValueT = TypeVar("ValueT", bound=msgspec.Struct)

_VALUES: dict[str, type[msgspec.Struct]] = {"retry": RetryPolicy, "hold_cap": CapHold}
"""The fields that hold a value, in whichever request they stand."""

_LISTS: dict[str, type[msgspec.Struct]] = {"limits": Limit, "quotas": Quota, "open": OpenRange}
"""The fields that hold a list of values."""


def value_of(kind: type[ValueT], given: ValueT | Mapping[str, object], name: str) -> ValueT:
    """Return a value that may have been given as a mapping. Only the server checks what is in its fields.

    Args:
        name: the name of the value in messages, such as "job".

    Raises:
        InvalidRequest: it is neither, or the mapping lacks a field or has an unknown one. Nothing was sent.
    """
    if isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{name}: expected {kind.__name__} or a mapping, got {type(given).__name__}")
    names, required = _names_of(kind)
    fields = {}
    for key, value in given.items():
        if key not in names:
            raise InvalidRequest(f"{name}.{key}: unknown; the known fields are: {', '.join(names)}")
        fields[names[key]] = _nested(key, value, f"{name}.{key}")
    missing = [key for key in required if key not in given]
    if missing:
        raise InvalidRequest(f"{name}.{missing[0]}: required; it is missing in the mapping")
    return kind(**fields)


def ref_of(job: Referable) -> Addressed:
    """Return a reference to a job that may have been given as a mapping.

    Raises:
        InvalidRequest: it is neither, such as the None of a dequeue without a job, or as in `value_of`. Nothing was
            sent.
    """
    if isinstance(job, Mapping):
        return value_of(JobRef, job, "job")
    if not hasattr(job, "job_id"):
        raise InvalidRequest(f"job: expected a LeasedJob, a JobRef or a mapping, got {type(job).__name__}")
    return job


def _nested(key: str, value: object, name: str) -> object:
    if key in _VALUES and isinstance(value, Mapping):
        return value_of(_VALUES[key], value, name)
    if key in _LISTS and isinstance(value, list | tuple):
        return [value_of(_LISTS[key], item, f"{name}[{number}]") for number, item in enumerate(value)]
    return value


@functools.cache
def _names_of(kind: type[msgspec.Struct]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the names on the wire with those of the fields, and the names of the required ones."""
    fields = msgspec.structs.fields(kind)
    return {field.encode_name: field.name for field in fields}, tuple(
        field.encode_name for field in fields if field.required
    )
