"""Parses requests into the scheduler's values, or raises an error that names the field.

This is the only place that validates user input; the layers below trust the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from multidict import MultiMapping

from router.api.bulk_decoding import BulkDecoder, Entries, raw_redrive
from router.api.campaigns.values import with_campaign
from router.api.caps.values import cap_hold, sorted_caps
from router.api.decoding import Decoder, Effort, read_json, to_us
from router.api.fields import PATH_PARTS, QUEUE_TYPE_WORDS, clamp_cap, match_queue_type
from router.api.job_ids import new_job_id
from router.api.life.trace_values import with_trace
from router.api.life.values import cut_error, with_life
from router.api.limits import rate_interval_us, read_burst
from router.api.request_shapes import (
    DequeueQuery,
    EnqueueBody,
    EnqueueEntry,
    ExtendBody,
    ExtendEntry,
    FinishBody,
    FinishEntry,
    JobQuery,
    LeaseQuery,
    NoBody,
    NoQuery,
    PageQuery,
    RedriveEntry,
    ReleaseBody,
    ReleaseEntry,
)
from router.settings import RouterSettings
from sharq_core.campaigns.results import MAX_PROGRESS_BYTES, MAX_RESULT_BYTES
from sharq_core.errors import InvalidRequest, SharqError
from sharq_core.job_life import PRIORITY, DeadRef
from sharq_core.models import ExtendJob, FinishJob, NewJob, QueueKey, ReleaseJob
from sharq_core.partitions import is_gathered

ValueT = TypeVar("ValueT")
JobT = TypeVar("JobT")
EntryT = TypeVar("EntryT", bound=msgspec.Struct)

_ENQUEUE = Decoder(EnqueueBody)
_ENQUEUE_BULK = BulkDecoder(EnqueueEntry)
_FINISH = Decoder(FinishBody)
_FINISH_BULK = BulkDecoder(FinishEntry)
_EXTEND = Decoder(ExtendBody)
_EXTEND_BULK = BulkDecoder(ExtendEntry)
_RELEASE = Decoder(ReleaseBody)
_RELEASE_BULK = BulkDecoder(ReleaseEntry)
_REDRIVE_BULK = BulkDecoder(RedriveEntry)
_NO_BODY = Decoder(NoBody)
_NO_QUERY = Decoder(NoQuery)
_DEQUEUE = Decoder(DequeueQuery)
_JOB = Decoder(JobQuery)
_LEASE = Decoder(LeaseQuery)
_PAGE = Decoder(PageQuery)


def identifier(path: Mapping[str, str], name: str) -> str:
    """Return one part of a request's path, percent-decoded; raise InvalidRequest if it is not such an identifier."""
    matches, expected = PATH_PARTS[name]
    value = path[name]
    if not matches(value):
        raise InvalidRequest(f"{name}: expected {expected}; it is in the path")
    return value


def queue_type_of(path: Mapping[str, str]) -> str:
    """Return the queue type of a request's path, percent-decoded; raise InvalidRequest if it is none."""
    value = path["queue_type"]
    if not match_queue_type(value):  # not by `identifier`, since every request takes this way
        raise InvalidRequest(f"queue_type: expected {QUEUE_TYPE_WORDS}; it is in the path")
    return value


def queue_key(path: Mapping[str, str]) -> QueueKey:
    """Return the queue that a path names; raise InvalidRequest if a part is not an identifier."""
    return QueueKey(queue_type_of(path), identifier(path, "queue_id"))


def enqueue(body: bytes, path: Mapping[str, str], settings: RouterSettings) -> tuple[NewJob, bool]:
    """Return the job of a single enqueue, and whether its job_id was made here.

    A queue in the body is ignored, as in the original.

    Raises:
        InvalidRequest, TooLarge: nothing was done.
    """
    queue_type, queue_id = queue_type_of(path), identifier(path, "queue_id")
    form = _ENQUEUE.from_json(body)
    job = _new_job(form, queue_type, queue_id, settings, "", None)
    return job, form.job_id is UNSET


def enqueue_bulk(body: bytes, settings: RouterSettings) -> list[NewJob | SharqError]:
    """Return the jobs of a bulk enqueue, in order, with an error in the place of each bad job.

    Raises:
        InvalidRequest: the body as a whole is not a list of jobs. Nothing was done.
    """
    effort = Effort()

    def make(form: EnqueueEntry, place: str) -> NewJob:
        return _new_job(form, form.queue_type, form.queue_id, settings, place, effort)

    return each(_ENQUEUE_BULK.from_json(body, effort), make)


def finish(body: bytes, path: Mapping[str, str], query: MultiMapping[str]) -> FinishJob:
    """Return the job to finish; raise InvalidRequest if the body or query is wrong."""
    queue_type, queue_id, job_id = job_path(path)
    if not body:
        return FinishJob(queue_type, queue_id, job_id, _lease_of(query, None))
    form = _FINISH.from_json(body)
    lease = _lease_of(query, _given(form.lease))
    return _finished(form, queue_type, queue_id, job_id, lease)


def extend(body: bytes, path: Mapping[str, str], query: MultiMapping[str]) -> ExtendJob:
    """Return the lease to extend; raise InvalidRequest if the body or query is wrong."""
    form = _EXTEND.from_json(body)
    lease = _required(_lease_of(query, _given(form.lease)))
    return ExtendJob(*job_path(path), lease, to_us(form.by), _progress(form))


def release(body: bytes, path: Mapping[str, str], query: MultiMapping[str]) -> ReleaseJob:
    """Return the job to release; raise InvalidRequest if the body or query is wrong."""
    queue_type, queue_id, job_id = job_path(path)
    form = _RELEASE.from_json(body or b"{}")
    lease = _required(_lease_of(query, _given(form.lease)))
    return _released(form, queue_type, queue_id, job_id, lease)


def finish_bulk(body: bytes) -> list[FinishJob | SharqError]:
    """Return the jobs of a bulk finish, as `enqueue_bulk` does."""

    def make(form: FinishEntry, place: str) -> FinishJob:
        return _finished(form, form.queue_type, form.queue_id, form.job_id, _given(form.lease), place)

    return each(_FINISH_BULK.from_json(body, Effort()), make)


def extend_bulk(body: bytes) -> list[ExtendJob | SharqError]:
    """Return the jobs of a bulk extend, as `enqueue_bulk` does."""

    def make(form: ExtendEntry, place: str) -> ExtendJob:
        progress = _progress(form, place)
        return ExtendJob(form.queue_type, form.queue_id, form.job_id, form.lease, to_us(form.by), progress)

    return each(_EXTEND_BULK.from_json(body, Effort()), make)


def release_bulk(body: bytes) -> list[ReleaseJob | SharqError]:
    """Return the jobs of a bulk release, as `enqueue_bulk` does."""

    def make(form: ReleaseEntry, place: str) -> ReleaseJob:
        return _released(form, form.queue_type, form.queue_id, form.job_id, form.lease, place)

    return each(_RELEASE_BULK.from_json(body, Effort()), make)


def redrive(body: bytes, queue_type: str) -> list[DeadRef | SharqError] | None:
    """Return the dead letters to enqueue again, as `enqueue_bulk` does; None for all of the type."""

    def make(form: RedriveEntry, _: str) -> DeadRef:
        return DeadRef(queue_type, form.queue_id, form.job_id)

    effort = Effort()
    texts = raw_redrive(body or b"{}", effort)
    return None if texts is None else each(_REDRIVE_BULK.one_by_one(texts, effort), make)


def nothing(body: bytes) -> None:
    """Raise InvalidRequest unless the body is empty or an empty object."""
    if body:
        _NO_BODY.from_json(body)


def no_query(query: MultiMapping[str]) -> None:
    """Raise InvalidRequest if the query has any parameter."""
    if query:
        _NO_QUERY.from_query(query)


def dequeue(query: MultiMapping[str], settings: RouterSettings) -> tuple[int | None, int, int, Sequence[str]]:
    """Return count, lease_us, wait_us and queue types of a dequeue; raise InvalidRequest if the query is wrong.

    count is None if the answer is a single job. There are no types if the query names none, and each occurs once.
    """
    if not query:
        return None, settings.default_lease_us, 0, ()
    form = _DEQUEUE.from_query(query)
    lease_us = settings.default_lease_us if form.lease is UNSET else to_us(form.lease)
    types = () if form.type is UNSET else tuple(dict.fromkeys(form.type))
    return _given(form.count), lease_us, to_us(form.wait), types


def job_wait_us(query: MultiMapping[str]) -> int:
    """Return the time to wait for the end of a job; raise InvalidRequest if the query is wrong."""
    return to_us(_JOB.from_query(query).wait) if query else 0


def page(query: MultiMapping[str]) -> tuple[int | None, str | None]:
    """Return limit and cursor of a list, None if absent; raise InvalidRequest if the query is wrong."""
    form = _PAGE.from_query(query)
    return _given(form.limit), _given(form.cursor)


def entry_job(entry: EnqueueEntry, settings: RouterSettings, place: str) -> NewJob:
    """Return the job of an entry. `place` is the path of its fields in the body, as `job.`.

    Raises:
        InvalidRequest, TooLarge: nothing was done.
    """
    return _new_job(entry, entry.queue_type, entry.queue_id, settings, place, None)


def each(entries: Entries[EntryT], make: Callable[[EntryT, str], JobT]) -> list[JobT | SharqError]:
    """Return the value of each entry of a bulk body, in order, with an error in the place of each bad one."""
    results: list[JobT | SharqError] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, InvalidRequest):
            results.append(entry)
            continue
        try:
            results.append(make(entry, f"jobs[{index}]."))
        except SharqError as error:
            results.append(error.bare())
    return results


def _new_job(
    form: EnqueueBody | EnqueueEntry,
    queue_type: str,
    queue_id: str,
    settings: RouterSettings,
    place: str,
    effort: Effort | None,
) -> NewJob:
    """Return the job of an enqueue. `place` is the path of its fields in the body, as `jobs[3].`."""
    payload, value = read_json(form.payload, settings.max_payload_bytes, f"{place}payload", effort)
    if form.rate is not UNSET:
        interval_us = rate_interval_us(form.interval, form.rate, place)
    else:
        interval_us = None if form.interval is UNSET else to_us(form.interval)
    job = NewJob(
        queue_type,
        queue_id,
        new_job_id() if form.job_id is UNSET else form.job_id,
        payload,
        settings.default_requeue_limit if form.requeue_limit is UNSET else form.requeue_limit,
        interval_us,
        None if form.burst is UNSET else read_burst(form.burst, place),
        to_us(form.delay) if form.delay else 0,
        payload_cap(form.max_queued_length, value, f"{place}payload"),
        form.repeat,
        form.cost,
        None if form.max_leased is UNSET else form.max_leased,
    )
    says_nothing_of_its_life = (
        form.retry is UNSET
        and form.priority == PRIORITY
        and form.at is UNSET
        and form.expires is UNSET
        and form.expires_at is UNSET
        and form.on_expiry is UNSET
    )
    if not says_nothing_of_its_life:
        job = with_life(job, form, place)
    if form.window is not UNSET or form.batch is not UNSET or form.ignore_window:
        job = with_campaign(job, form)
    if form.caps is not UNSET:
        job = msgspec.structs.replace(job, caps=sorted_caps(form.caps))
    return job if form.traceparent is UNSET and form.tracestate is UNSET else with_trace(job, form, place)


def _report(
    form: FinishBody | FinishEntry | ReleaseBody | ReleaseEntry, queue_type: str, place: str = ""
) -> tuple[int | None, int, int]:
    """Return the actual cost, hold_us and hold_type_us of a finished or released job.

    Raises:
        InvalidRequest: it holds a type that is not gathered.
    """
    if form.hold_type and not is_gathered(queue_type):
        raise InvalidRequest(
            f"{place}hold_type: expected no hold_type, because the queue type has no ~ in its name and so no limits of "
            "its own; use hold"
        )
    return (
        _given(form.cost),
        to_us(form.hold) if form.hold else 0,
        to_us(form.hold_type) if form.hold_type else 0,
    )


def _finished(
    form: FinishBody | FinishEntry,
    queue_type: str,
    queue_id: str,
    job_id: str,
    lease: str | None,
    place: str = "",
) -> FinishJob:
    """Return the job to finish."""
    if (
        form.cost is UNSET
        and not form.hold
        and not form.hold_type
        and form.result is UNSET
        and form.hold_cap is UNSET
    ):
        return FinishJob(queue_type, queue_id, job_id, lease)
    report = _report(form, queue_type, place)
    result = b""
    if form.result is not UNSET:
        result, _ = read_json(form.result, MAX_RESULT_BYTES, f"{place}result")
    return FinishJob(queue_type, queue_id, job_id, lease, *report, result, cap_hold(form.hold_cap))


def _progress(form: ExtendBody | ExtendEntry, place: str = "") -> bytes:
    """Return the progress of a job as JSON text; empty for none."""
    if form.progress is UNSET:
        return b""
    progress, _ = read_json(form.progress, MAX_PROGRESS_BYTES, f"{place}progress")
    return progress


def _released(
    form: ReleaseBody | ReleaseEntry, queue_type: str, queue_id: str, job_id: str, lease: str, place: str = ""
) -> ReleaseJob:
    """Return the job to release. Without a delay, or if it says so, its retry policy decides."""
    cost, hold_us, hold_type_us = _report(form, queue_type, place)
    return ReleaseJob(
        queue_type,
        queue_id,
        job_id,
        lease,
        to_us(form.delay) if form.delay else 0,
        cost=cost,
        hold_us=hold_us,
        hold_type_us=hold_type_us,
        counts=form.count,
        error=cut_error(form.error) if form.error else "",
        retries=form.delay is UNSET if form.prefer_retry is UNSET else form.prefer_retry,
        hold_cap=cap_hold(form.hold_cap),
    )


def payload_cap(explicit: int | UnsetType, payload: object, place: str) -> int | None:
    """Return the lower of two caps of the queue's length, the one of the request and the one in the payload.

    Returns:
        None if there is none.

    Raises:
        InvalidRequest: the one in the payload is no number.
    """
    in_payload = payload.get("max_queued_length") if isinstance(payload, dict) else None
    if in_payload is None:
        return None if isinstance(explicit, UnsetType) else clamp_cap(explicit)
    if type(in_payload) is not int or in_payload < 0:
        raise InvalidRequest(f"{place}.max_queued_length: expected an integer, 0 or more")
    return clamp_cap(in_payload if isinstance(explicit, UnsetType) else min(explicit, in_payload))


def _given(value: ValueT | UnsetType) -> ValueT | None:
    return None if isinstance(value, UnsetType) else value


def job_path(path: Mapping[str, str]) -> tuple[str, str, str]:
    """Return the queue type, the queue id and the job id of a path; raise InvalidRequest if one is wrong."""
    return queue_type_of(path), identifier(path, "queue_id"), identifier(path, "job_id")


def _lease_of(query: MultiMapping[str], in_body: str | None) -> str | None:
    """Return the lease token of the query or the body; raise InvalidRequest if they differ."""
    if not query:
        return in_body
    in_query = _given(_LEASE.from_query(query).lease)
    if in_body is not None and in_query is not None and in_body != in_query:
        raise InvalidRequest("lease: the query and the body have different tokens")
    return in_query or in_body


def _required(lease: str | None) -> str:
    if lease is None:
        raise InvalidRequest("lease: required, in the body or the query")
    return lease
