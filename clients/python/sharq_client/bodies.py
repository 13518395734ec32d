"""Builds the bodies of requests from the inputs of the client."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from sharq_client.campaigns.caps import CapHold
from sharq_client.errors import InvalidRequest
from sharq_client.json_values import NotJson, check_fields, to_text
from sharq_client.paths import path_of
from sharq_client.requests import Enqueueable, EnqueueJob, Referable, RetryPolicy, Types, ref_of, value_of


class EnqueueBody(EnqueueJob, frozen=True, kw_only=True, omit_defaults=True):
    """A job as it is sent. Fields at their defaults are left out, so the client's own defaults are none here."""

    requeue_limit: int | None = None
    retry: RetryPolicy | None = None


GivenHold: TypeAlias = CapHold | Mapping[str, Any] | None
"""A hold of a cap: a value, or a mapping with its fields; None for no hold."""

_CHECKED = frozenset({EnqueueBody})
"""Bodies that `ready_to_send` has checked."""


class LeaseBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job of a bulk finish, extend or release. Without ids it is the body of a single call."""

    queue_type: str = ""
    queue_id: str = ""
    job_id: str = ""
    lease: str | None = None
    by: float | None = None
    delay: float | None = None
    cost: int | None = None
    hold: float = 0
    hold_type: float = 0
    count: bool = True
    error: str | None = None
    prefer_retry: bool = False
    result: msgspec.Raw | UnsetType = UNSET
    progress: msgspec.Raw | UnsetType = UNSET
    hold_cap: CapHold | None = None


class RateBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of POST /interval/."""

    interval: float | None = None
    burst: float | None = None
    pin: bool | None = None
    rate: str | None = None


class HoldBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of POST /queue/.../pause/ for a hold."""

    for_ms: float | None = msgspec.field(default=None, name="for")
    until: int | None = None


class CancelBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job of a bulk cancellation."""

    queue_type: str
    queue_id: str
    job_id: str
    force: bool = False


def dequeue_target(
    queue_type: Types, count: int, wait_ms: float, lease_ms: float | None
) -> tuple[str, dict[str, object]]:
    """Return the path and the query of a dequeue: one type is in the path, and several are in the query.

    Raises:
        InvalidRequest: there is no type. Nothing was sent.
    """
    query: dict[str, object] = {"count": count, "wait": wait_ms or None, "lease": lease_ms}
    if isinstance(queue_type, str):
        return path_of("dequeue", queue_type), query
    if not queue_type:
        raise InvalidRequest("queue_type: expected a type, or a list of 1 to 16 types, got an empty list")
    return "/dequeue/", {**query, "type": list(queue_type)}


def job_of(job: Enqueueable) -> EnqueueJob:
    """Return a job that may have been given as a mapping.

    Raises:
        InvalidRequest: the mapping lacks a field, or has an unknown one. Nothing was sent.
    """
    return value_of(EnqueueJob, job, "job")


def ready_to_send(job: Enqueueable, *, repeat: bool = False) -> EnqueueBody:
    """Return the job with an id, so that it can be sent again, and with its payload encoded once for all tries.

    Args:
        repeat: True to mark the job as perhaps sent before.

    Raises:
        InvalidRequest: a mapping lacks a field or has an unknown one, or the payload is no JSON. Nothing was sent.
    """
    fields = msgspec.structs.asdict(job_of(job))
    if fields["job_id"] is None:
        fields["job_id"] = str(uuid.uuid4())
    if not isinstance(fields["payload"], msgspec.Raw):
        fields["payload"] = encoded(fields["payload"], "payload")
    check_fields(fields)
    if repeat:
        fields["repeat"] = True
    return EnqueueBody(**fields)


def as_repeat(job: EnqueueBody) -> EnqueueBody:
    """Return the job marked as sent before, so that the server answers a duplicate instead of a second one."""
    return msgspec.structs.replace(job, repeat=True)


def lease_body(
    job: Referable,
    by_ms: float | None = None,
    delay_ms: float | None = None,
    hold_ms: float = 0,
    hold_type_ms: float = 0,
    *,
    counts: bool = True,
    error: str | None = None,
    prefer_retry: bool = False,
    result: object = UNSET,
    progress: object = UNSET,
    hold_cap: GivenHold = None,
) -> LeaseBody:
    """Return what a finish, extend or release of one lease sends."""
    job = ref_of(job)
    return LeaseBody(
        job.queue_type,
        job.queue_id,
        job.job_id,
        job.lease,
        by_ms,
        delay_ms,
        hold=hold_ms,
        hold_type=hold_type_ms,
        count=counts,
        error=error,
        prefer_retry=prefer_retry,
        result=json_text(result, "result"),
        progress=json_text(progress, "progress"),
        hold_cap=cap_hold_of(hold_cap),
    )


def cap_hold_of(given: GivenHold) -> CapHold | None:
    """Return the hold of a cap that may have been given as a mapping; raise as `value_of` does."""
    return None if given is None else value_of(CapHold, given, "hold_cap")


def json_text(value: object, name: str) -> msgspec.Raw | UnsetType:
    """Return a value as JSON text; UNSET and text stay as they are. Raise as `encoded` does."""
    return value if isinstance(value, msgspec.Raw | UnsetType) else encoded(value, name)


def encoded(value: object, name: str) -> msgspec.Raw:
    """Return a value as JSON text.

    Raises:
        InvalidRequest: the value is no JSON, or would come back as another one. Nothing was sent.
    """
    return msgspec.Raw(_text(value, name))


def body_text(body: object) -> bytes:
    """Return the body of a request as JSON text; raise as `encoded` does."""
    return _text(body, "", _CHECKED)


def _text(value: object, name: str, checked: frozenset[type[Any]] = frozenset()) -> bytes:
    try:
        return to_text(value, name, checked)
    except NotJson:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"{name or 'body'}: expected a JSON value: {error}") from error


def lease_bodies(
    jobs: Sequence[Referable],
    by_ms: float | None = None,
    *,
    results: Sequence[object] | None = None,
    costs: Sequence[int | None] | None = None,
    progress: Sequence[object] | None = None,
) -> list[LeaseBody]:
    """Return what a bulk finish or extend sends. Results, costs and progress have a value for each job, or are None.

    Raises:
        ValueError: one of them is not as long as the list of the jobs. Nothing was sent.
    """
    for name, values in (("results", results), ("costs", costs), ("progress", progress)):
        _check_length(name, values, jobs)
    refs = map(ref_of, jobs)
    bodies = [LeaseBody(ref.queue_type, ref.queue_id, ref.job_id, ref.lease, by_ms) for ref in refs]
    replace = msgspec.structs.replace
    if results is not None:
        rows = zip(bodies, _texts(results, "results"), strict=True)
        bodies = [body if text is UNSET else replace(body, result=text) for body, text in rows]
    if costs is not None:
        priced = zip(bodies, costs, strict=True)
        bodies = [body if cost is None else replace(body, cost=cost) for body, cost in priced]
    if progress is not None:
        rows = zip(bodies, _texts(progress, "progress"), strict=True)
        bodies = [body if text is UNSET else replace(body, progress=text) for body, text in rows]
    return bodies


def _texts(values: Sequence[object], name: str) -> list[msgspec.Raw | UnsetType]:
    return [json_text(value, f"{name}[{number}]") for number, value in enumerate(values)]


def _check_length(name: str, values: Sequence[object] | None, jobs: Sequence[object]) -> None:
    if values is not None and len(values) != len(jobs):
        raise ValueError(f"{name}: expected one for each of the jobs ({len(jobs)}), got {len(values)}")


def release_bodies(
    jobs: Sequence[Referable],
    delay_ms: float | None,
    hold_ms: float,
    hold_type_ms: float,
    *,
    counts: bool,
    error: str | Sequence[str | None] | None,
    prefer_retry: bool,
    hold_cap: GivenHold,
) -> list[LeaseBody]:
    """Return what a bulk release sends. The error is that of all jobs, or a list with one for each job.

    Raises:
        ValueError: the list of errors is not as long as that of the jobs. Nothing was sent.
    """
    texts = [error] * len(jobs) if error is None or isinstance(error, str) else error
    _check_length("error", texts, jobs)
    terms = delay_ms, hold_ms, hold_type_ms
    return [
        lease_body(job, None, *terms, counts=counts, error=text, prefer_retry=prefer_retry, hold_cap=hold_cap)
        for job, text in zip(jobs, texts, strict=True)
    ]
