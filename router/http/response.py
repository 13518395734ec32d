"""Defines the shapes of the router's responses and their encoding as HTTP. The OpenAPI document is built from them.

An optional field that a response lacks is UNSET. Not here: the choice of the response (router/handlers).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Literal, TypeAlias

import msgspec
from aiohttp import HttpVersion, HttpVersion10, web
from aiohttp.hdrs import METH_HEAD
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE
from msgspec import UNSET, Raw, Struct, UnsetType
from multidict import CIMultiDict

from router.api.cluster_shapes import ClusterInfo  # noqa: F401 - one of the answers, re-exported beside the others
from router.http.delivery import send
from router.http.unread_answers import PIECE_BYTES
from sharq_core._compat.aiohttp import head_bytes
from sharq_core.models import JobState

_encode = msgspec.json.Encoder().encode

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""The names and values of header fields, in the order in which they are sent."""

JSON_HEADERS: Headers = (("Content-Type", "application/json"),)
NO_STORE_HEADERS: Headers = (*JSON_HEADERS, ("Cache-Control", "no-store"))

_KNOWN_HEADS = 256
"""The number of cached heads; a few dozen are in use."""


class Response:
    """A whole response, sent with one write, and its result for the metrics.

    It has only the interface that the server of aiohttp 3.14 needs: `prepare`, `write_eof` and `keep_alive`, and
    `status`, `headers` and `body_length` for the access log. tests/api/test_front.py checks this. aiohttp's own
    response supports bodies that come piece by piece and serializes every header each time.

    Attributes:
        body: the bytes after the head. A HEAD request gets only their length.
        result: ok, empty, duplicate, gone, or an error code.
        request_id: the id that the client gets; empty for none.
        keep_alive: False to close the connection afterwards; None, before sending, to do as the request asks.
        body_length: the number of bytes sent, including the head.
    """

    __slots__ = ("_headers", "body", "body_length", "keep_alive", "request_id", "result", "status")

    def __init__(
        self, body: bytes, status: int = 200, result: str = "ok", headers: Headers = JSON_HEADERS
    ) -> None:
        self.body = body
        self.status = status
        self.result = result
        self.request_id = ""
        self.keep_alive: bool | None = None
        self.body_length = 0
        self._headers = headers

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers of the constructor and the request's id."""
        headers = CIMultiDict(self._headers)
        if self.request_id:
            headers["X-Request-Id"] = self.request_id
        return headers

    def force_close(self) -> None:
        """Close the connection after the response has been sent."""
        self.keep_alive = False

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send the response, and wait until the client has read enough of it.

        Raises:
            ConnectionError: the client has disconnected.
        """
        if self.keep_alive is None:
            self.keep_alive = request.keep_alive
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        head = self._head(request.version)
        body = b"" if request.method == METH_HEAD else self.body
        self.body_length = len(head) + len(body)
        if len(body) > PIECE_BYTES:  # joining head and body would copy the body
            await send(request, transport, head)
            await send(request, transport, body)
        else:
            transport.write(head + body)
            if transport.get_write_buffer_size():
                await request.writer.drain()

    async def write_eof(self) -> None:
        """Do nothing: `prepare` has sent the whole response."""

    def _head(self, version: HttpVersion) -> bytes:
        fixed = _fixed_head(version, self.status, self._headers, self.keep_alive)
        request_id = f"X-Request-Id: {self.request_id}\r\n" if self.request_id else ""
        return (f"{fixed}{request_id}{self._length_header()}Date: {rfc822_formatted_time()}\r\n\r\n").encode()

    def _length_header(self) -> str:
        return f"Content-Length: {len(self.body)}\r\n"


@lru_cache(_KNOWN_HEADS)
def _fixed_head(version: HttpVersion, status: int, headers: Headers, keep_alive: bool | None) -> str:  # noqa: FBT001 - a cache of named arguments is slower
    """Return the status line and the headers that do not change between responses.

    Raises:
        ValueError: a header contains a control character.
    """
    all_headers = CIMultiDict((*headers, ("Server", SERVER_SOFTWARE)))
    if not keep_alive:
        all_headers["Connection"] = "close"
    elif version == HttpVersion10:
        all_headers["Connection"] = "keep-alive"
    status_line = f"HTTP/{version.major}.{version.minor} {status} {HTTPStatus(status).phrase}"
    return head_bytes(status_line, all_headers).decode().removesuffix("\r\n")


def answer(value: Struct, status: int = 200, result: str = "ok") -> Response:
    """Return a response with the JSON of a value."""
    return Response(_encode(value), status, result)


class HelloAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """The greeting."""

    message: str = "Hello, SharQ!"


class Done(Struct, frozen=True, forbid_unknown_fields=True, tag_field="status", tag="success"):
    """The confirmation that the request was carried out."""


class RateSet(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The confirmation that the rate is set. warning: the reason why the queue cannot keep the rate."""

    warning: str | UnsetType = UNSET


class Ready(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"):
    """The confirmation that the router accepts requests. warning: a problem that another router would have, too."""

    warning: str | UnsetType = UNSET


class FailureAnswer(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="failure"
):
    """A failure. The message begins with the field in question; the code says whether the request was carried out."""

    code: str
    message: str
    current_queue_length: int | UnsetType = UNSET


def count_failed(results: Sequence[Struct]) -> int:
    """Return the number of failures among the results of a bulk call."""
    return [type(result) for result in results].count(FailureAnswer)


class NothingReadyAnswer(Struct, frozen=True, forbid_unknown_fields=True, tag_field="status", tag="failure"):
    """The answer of a dequeue if no job is ready."""


class Queued(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="queued"):
    """The confirmation that a job is queued.

    job_id: present if the server generated it, and in bulk results; current_queue_length: the length before this job,
    present if a maximum was given; warning: the reason why the queue cannot keep the rate that was sent.
    """

    job_id: str | UnsetType = UNSET
    duplicate: bool | UnsetType = UNSET
    current_queue_length: int | UnsetType = UNSET
    warning: str | UnsetType = UNSET


class QueuedJobs(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """One result for each job, in order: {"status": "queued", ...} or {"status": "failure", ...}.

    failed: the number of failures; warning: the reason why some queues cannot keep the rates that were sent.
    """

    failed: int
    warning: str | UnsetType = UNSET
    results: list[Queued | FailureAnswer]


class Leased(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job and its lease. Times are in ms since the epoch, by the store's clock."""

    queue_id: str
    job_id: str
    payload: Raw
    requeues_remaining: int
    current_queue_length: int
    lease: str
    lease_expires_at: int
    enqueued_at: int
    attempt: int


class LeasedOne(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The answer of a dequeue without `count`."""

    queue_id: str
    job_id: str
    payload: Raw
    requeues_remaining: int
    current_queue_length: int
    lease: str
    lease_expires_at: int
    enqueued_at: int
    attempt: int


class LeasedJobs(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The answer of a dequeue with `count`."""

    jobs: list[Leased]


class Extended(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The new end of a lease, in ms since the epoch."""

    lease_expires_at: int


class LeaseDone(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The success of one job in a bulk call. lease_expires_at: present after an extend, in ms since the epoch."""

    lease_expires_at: int | UnsetType = UNSET


class LeaseResults(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """One result for each job, in order: {"status": "success", ...} or {"status": "failure", ...}.

    failed: the number of failures.
    """

    failed: int
    results: list[LeaseDone | FailureAnswer]


class JobAnswer(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The state of one job. position: its place in the queue; 1 is the next job to be leased."""

    state: JobState
    attempt: int
    enqueued_at: int
    lease_expires_at: int | UnsetType = UNSET
    position: int | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET


class DeadJob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dead letter."""

    queue_id: str
    job_id: str
    payload: Raw
    attempt: int
    enqueued_at: int
    dead_at: int


class DeadJobs(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """A page of dead letters. cursor: the start of the next page, null at the end."""

    jobs: list[DeadJob]
    cursor: str | None


class Redriven(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The result of a redrive. redriven: the number of dead letters that were queued, if the call was for all of them.

    Otherwise results has one entry for each job, in order, and failed is the number of failures.
    """

    redriven: int | UnsetType = UNSET
    failed: int | UnsetType = UNSET
    results: list[Queued | FailureAnswer] | UnsetType = UNSET


class Dropped(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The number of dead letters that were dropped."""

    dropped: int


class QueueAnswer(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The state of one queue. Durations are in ms. next_ready_in: null if nothing is queued or the queue is paused."""

    interval: int | float
    burst: int
    pinned: bool
    paused: bool
    queued: int
    delayed: int
    leased: int
    next_ready_in: int | None
    oldest_age: int | None


class DeletedAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer of a delete. The status is capitalised as in the original."""

    status: Literal["Success", "Failure"]
    message: str


MinuteCount: TypeAlias = dict[str, int]
"""Start of the minute, in ms since the epoch → count; 10 entries, oldest first."""


class AllCounts(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The queue types in use, and the counts of the last 10 minutes over all types."""

    queue_types: list[str]
    enqueue_counts: MinuteCount
    dequeue_counts: MinuteCount


class QueueIds(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """A page of the queues that have waiting or leased jobs. cursor: the start of the next page, absent at the end."""

    queue_ids: list[str]
    cursor: str | UnsetType = UNSET


class TopQueueAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One queue of the list. Durations are in ms. due_for: the time since it became due, null if it is not due."""

    queue_id: str
    queued: int
    delayed: int
    leased: int
    due_for: int | None
    oldest_age: int | None


class TopQueuesAnswer(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The first queues of the requested order. complete: false if there were too many queues to examine all."""

    queues: list[TopQueueAnswer]
    complete: bool


class QueueCounts(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The length of one queue and its counts of the last 10 minutes; zeros for an unknown queue."""

    queue_length: int
    enqueue_counts: MinuteCount
    dequeue_counts: MinuteCount
