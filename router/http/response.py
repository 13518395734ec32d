"""The shapes of what the router answers, and how one becomes an HTTP response; OpenAPI is made of them.

A field that an answer may lack is UNSET then. Not here: when which answer is given (the handlers).
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
from aiohttp.http_writer import _serialize_headers
from msgspec import UNSET, Raw, Struct, UnsetType
from multidict import CIMultiDict

from router.api.cluster_shapes import ClusterInfo  # noqa: F401 - one of the answers, found here like the others
from router.http.delivery import send
from router.http.unread_answers import PIECE_BYTES
from sharq_core.models import JobState

_encode = msgspec.json.Encoder().encode

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, as they are sent."""

JSON_HEADERS: Headers = (("Content-Type", "application/json"),)
NO_STORE_HEADERS: Headers = (*JSON_HEADERS, ("Cache-Control", "no-store"))

_KNOWN_HEADS = 256
"""Heads that are kept ready; there are some dozens in all."""


class Response:
    """A whole response, head and body sent with one write, that also says its result for the metrics.

    It is what aiohttp's server asks of a response, as of 3.14, and no more: `prepare`, `write_eof` and `keep_alive`,
    and for its access log `status`, `headers` and `body_length`; tests/api/test_front.py holds it to that. aiohttp's
    own goes step by step, for bodies that come piece by piece, and writes each header anew.

    Attributes:
        body: what follows the head; to a HEAD request only its length is told.
        result: ok, empty, duplicate, gone, or an error code.
        request_id: given to the client; empty for none.
        keep_alive: whether the connection is kept; None until it is sent, for what the request asks for.
        body_length: bytes sent, the head included.
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
        """Those that it was made with, and the request's id."""
        headers = CIMultiDict(self._headers)
        if self.request_id:
            headers["X-Request-Id"] = self.request_id
        return headers

    def force_close(self) -> None:
        """Close the connection once it is sent."""
        self.keep_alive = False

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send it, and wait while the client is behind with reading what it was sent.

        Raises:
            ConnectionError: the client has left.
        """
        if self.keep_alive is None:
            self.keep_alive = request.keep_alive
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        head = self._head(request.version)
        body = b"" if request.method == METH_HEAD else self.body
        self.body_length = len(head) + len(body)
        if len(body) > PIECE_BYTES:  # not joined: that would copy it
            await send(request, transport, head)
            await send(request, transport, body)
        else:
            await send(request, transport, head + body)

    async def write_eof(self) -> None:
        """Nothing: it has been sent."""

    def _head(self, version: HttpVersion) -> bytes:
        fixed = _fixed_head(version, self.status, self._headers, self.keep_alive)
        request_id = f"X-Request-Id: {self.request_id}\r\n" if self.request_id else ""
        return (f"{fixed}{request_id}{self._length_header()}Date: {rfc822_formatted_time()}\r\n\r\n").encode()

    def _length_header(self) -> str:
        return f"Content-Length: {len(self.body)}\r\n"


@lru_cache(_KNOWN_HEADS)
def _fixed_head(version: HttpVersion, status: int, headers: Headers, keep_alive: bool | None) -> str:
    """The status line and the headers that do not change from answer to answer.

    Raises:
        ValueError: a header holds a control character.
    """
    all_headers = CIMultiDict((*headers, ("Server", SERVER_SOFTWARE)))
    if not keep_alive:
        all_headers["Connection"] = "close"
    elif version == HttpVersion10:
        all_headers["Connection"] = "keep-alive"
    status_line = f"HTTP/{version.major}.{version.minor} {status} {HTTPStatus(status).phrase}"
    return _serialize_headers(status_line, all_headers).decode().removesuffix("\r\n")


def answer(value: Struct, status: int = 200, result: str = "ok") -> Response:
    """The JSON of a value as a response."""
    return Response(_encode(value), status, result)


class HelloAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """Hello."""

    message: str = "Hello, SharQ!"


class Done(Struct, frozen=True, forbid_unknown_fields=True, tag_field="status", tag="success"):
    """It was done."""


class RateSet(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The rate is set. warning: why the queue will not keep it."""

    warning: str | UnsetType = UNSET


class Ready(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"):
    """Requests may come. warning: what is wrong all the same, because another router could do no more."""

    warning: str | UnsetType = UNSET


class FailureAnswer(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="failure"
):
    """What went wrong; the message names the field it is about. The code says whether it happened."""

    code: str
    message: str
    current_queue_length: int | UnsetType = UNSET


def count_failed(results: Sequence[Struct]) -> int:
    """How many results of a bulk call are failures."""
    return [type(result) for result in results].count(FailureAnswer)


class NothingReadyAnswer(Struct, frozen=True, forbid_unknown_fields=True, tag_field="status", tag="failure"):
    """No job is ready."""


class Queued(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="queued"):
    """The job is queued.

    job_id: if the server made it, and in bulk; current_queue_length: before this job, if a cap was given; warning: why
    the queue will not keep the rate that was sent.
    """

    job_id: str | UnsetType = UNSET
    duplicate: bool | UnsetType = UNSET
    current_queue_length: int | UnsetType = UNSET
    warning: str | UnsetType = UNSET


class QueuedJobs(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """One result a job, in order: {"status": "queued", ...} or {"status": "failure", ...}.

    failed: how many of them are failures; warning: about the rates of some jobs, as in the answer of one.
    """

    failed: int
    warning: str | UnsetType = UNSET
    results: list[Queued | FailureAnswer]


class Leased(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job and its lease. Times are ms since the epoch by the store's clock."""

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
    """The lease's new end, ms since the epoch."""

    lease_expires_at: int


class LeaseDone(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """Done; lease_expires_at after an extend."""

    lease_expires_at: int | UnsetType = UNSET


class LeaseResults(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """One result a job, in order: {"status": "success", ...} or {"status": "failure", ...}.

    failed: how many of them are failures.
    """

    failed: int
    results: list[LeaseDone | FailureAnswer]


class JobAnswer(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """What is known of one job. position: 1 for the next of its queue."""

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
    """A page of dead letters; cursor: where the next begins, null at the end."""

    jobs: list[DeadJob]
    cursor: str | None


class Redriven(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """How many dead letters were queued, when all were meant; else one result a job, in order, and how many failed."""

    redriven: int | UnsetType = UNSET
    failed: int | UnsetType = UNSET
    results: list[Queued | FailureAnswer] | UnsetType = UNSET


class Dropped(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """How many dead letters were dropped."""

    dropped: int


class QueueAnswer(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """One queue; durations in ms. next_ready_in: null when nothing is queued or it is paused."""

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
    """In the original's capitals."""

    status: Literal["Success", "Failure"]
    message: str


MinuteCount: TypeAlias = dict[str, int]
"""Start of the minute in ms since the epoch → count, oldest first, 10 long."""


class AllCounts(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The types in use and the last 10 minutes of all together."""

    queue_types: list[str]
    enqueue_counts: MinuteCount
    dequeue_counts: MinuteCount


class QueueIds(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """Queues with waiting or leased jobs; cursor: where the next page begins, absent at the end."""

    queue_ids: list[str]
    cursor: str | UnsetType = UNSET


class TopQueueAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One queue; durations in ms. due_for: how long it has been ready, null when it is not ready now."""

    queue_id: str
    queued: int
    delayed: int
    leased: int
    due_for: int | None
    oldest_age: int | None


class TopQueuesAnswer(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """The queues that come first, foremost first; complete: false when there were too many to look at all."""

    queues: list[TopQueueAnswer]
    complete: bool


class QueueCounts(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="status", tag="success"
):
    """One queue's length and its last 10 minutes; zeros for an unknown one."""

    queue_length: int
    enqueue_counts: MinuteCount
    dequeue_counts: MinuteCount
