"""Parses requests about the life of single jobs into values, or raises an error that names the field."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, UnsetType
from multidict import MultiMapping

from router.api import parsing
from router.api.bulk_decoding import BulkDecoder
from router.api.decoding import Decoder, Effort, read_json, to_us
from router.api.life.requests import (
    CancelEntry,
    CancelPrefixBody,
    CancelQuery,
    ChangeBody,
    DeadQuery,
    JobsQuery,
)
from router.api.life.values import check_exclusive
from sharq_core.errors import SharqError
from sharq_core.job_changes import CancelJob, JobChange
from sharq_core.models import JobState

_CHANGE = Decoder(ChangeBody)
_CANCEL_BULK = BulkDecoder(CancelEntry)
_CANCEL_PREFIX = Decoder(CancelPrefixBody)
_CANCEL = Decoder(CancelQuery)
_JOBS = Decoder(JobsQuery)
_DEAD = Decoder(DeadQuery)


class JobsPage(msgspec.Struct, frozen=True):
    """The part of a list of jobs that a request asks for.

    Attributes:
        cursor: the start of the page; empty for the beginning.
        prefix: only jobs whose ids begin with it; empty for all.
    """

    state: JobState
    limit: int
    cursor: str
    prefix: str


class LettersPage(msgspec.Struct, frozen=True):
    """The part of a list of dead letters that a request asks for.

    Attributes:
        cursor: the start of the page; None for the beginning.
        queue_id: only those of this queue; empty for all.
    """

    limit: int
    cursor: str | None
    queue_id: str


def change(body: bytes, max_payload_bytes: int) -> JobChange:
    """Return the change of a job.

    Raises:
        InvalidRequest, TooLarge: nothing was done.
    """
    form = _CHANGE.from_json(body)
    check_exclusive(form)
    payload: bytes | UnsetType = UNSET
    if form.payload is not UNSET:
        payload, value = read_json(form.payload, max_payload_bytes, "payload")
        parsing.payload_cap(UNSET, value, "payload")
    return JobChange(
        payload=payload,
        delay_us=_us(form.delay),
        at_us=_us(form.at),
        priority=form.priority,
        cost=form.cost,
        expires_us=None if form.expires is None else _us(form.expires),
        expires_at_us=None if form.expires_at is None else _us(form.expires_at),
    )


def cancel(path: Mapping[str, str], query: MultiMapping[str]) -> CancelJob:
    """Return the job to cancel; raise InvalidRequest if the path or the query is wrong."""
    return CancelJob(*parsing.job_path(path), _CANCEL.from_query(query).force)


def cancel_bulk(body: bytes) -> list[CancelJob | SharqError]:
    """Return the jobs of a bulk cancellation, in order, with an error in the place of each bad one."""

    def make(form: CancelEntry, _: str) -> CancelJob:
        return CancelJob(form.queue_type, form.queue_id, form.job_id, form.force)

    return parsing.each(_CANCEL_BULK.from_json(body, Effort()), make)


def cancelled_prefix(body: bytes) -> str:
    """Return the prefix of the jobs to cancel; raise InvalidRequest if the body does not name it."""
    return _CANCEL_PREFIX.from_json(body or b"{}").prefix


def jobs(query: MultiMapping[str]) -> JobsPage:
    """Return the requested part of a list of jobs; raise InvalidRequest if the query is wrong."""
    form = _JOBS.from_query(query)
    return JobsPage(
        JobState(form.state),
        form.limit,
        "" if isinstance(form.cursor, UnsetType) else form.cursor,
        "" if isinstance(form.prefix, UnsetType) else form.prefix,
    )


def letters(query: MultiMapping[str]) -> LettersPage:
    """Return the requested part of a list of dead letters; raise InvalidRequest if the query is wrong."""
    form = _DEAD.from_query(query)
    return LettersPage(
        100 if isinstance(form.limit, UnsetType) else form.limit,
        None if isinstance(form.cursor, UnsetType) else form.cursor,
        "" if isinstance(form.queue_id, UnsetType) else form.queue_id,
    )


def _us(duration_ms: float | UnsetType) -> int | UnsetType:
    return duration_ms if isinstance(duration_ms, UnsetType) else to_us(duration_ms)
