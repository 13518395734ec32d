"""Sends one call of the API with its retries, and decodes the answer. client.py and control.py say which calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol, TypeVar

import msgspec

from sharq_client import errors
from sharq_client.answers import (
    Answers,
    Counts,
    DeadLetter,
    Enqueued,
    JobState,
    JobStatus,
    LeasedJob,
    QueueStats,
)
from sharq_client.bulk import failures_of, send_bulk, states_of
from sharq_client.requests import Addressed, CancelBody, LeaseBody
from sharq_client.transport import Transport, path_of

AnswerT = TypeVar("AnswerT")


class Page(Protocol):
    """The interface of one page of a list."""

    @property
    def cursor(self) -> str | None:
        """The cursor of the next page; None for the last one."""
        ...


PageT = TypeVar("PageT", bound=Page)


class Reply(msgspec.Struct, frozen=True):
    """The fields of the small answers together. Each call reads the one field that it needs."""

    status: str = ""
    lease_expires_at: int = 0
    redriven: int = 0
    dropped: int = 0
    cancelled: int = 0
    result_kept: bool | None = None


class _Ids(msgspec.Struct, frozen=True):
    queue_ids: list[str]
    cursor: str | None = None


class _DeadPage(msgspec.Struct, frozen=True):
    jobs: list[DeadLetter]
    cursor: str | None = None


ENQUEUED = msgspec.json.Decoder(Enqueued)
QUEUE = msgspec.json.Decoder(QueueStats)
COUNTS = msgspec.json.Decoder(Counts)
QUEUE_IDS = msgspec.json.Decoder(_Ids)
DEAD_LETTERS = msgspec.json.Decoder(_DeadPage)


class _LeasedJobs(msgspec.Struct, frozen=True):
    jobs: list[LeasedJob]


LEASED = msgspec.json.Decoder(_LeasedJobs)
"""The answer to a dequeue. Its jobs have their types only if the request named several."""

JOB = msgspec.json.Decoder(JobStatus)
"""The answer to the question about one job, and to its change."""

REPLY = msgspec.json.Decoder(Reply)


class Caller:
    """The sender of calls over one transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def ask(
        self,
        method: str,
        path: str,
        answer: msgspec.json.Decoder[AnswerT],
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        is_safe_twice: bool = True,
        wait_s: float = 0,
    ) -> AnswerT:
        """Send a call and return its answer, or raise its error.

        Args:
            is_safe_twice: True if a call that was perhaps done may be sent again.
            wait_s: the time that the server may work on the call. It is added to the timeout.
        """
        return await self._transport.repeated(
            lambda: self._transport.send(method, path, answer, body=body, query=query, wait_s=wait_s),
            is_safe_twice=is_safe_twice,
        )

    async def find(
        self, path: str, answer: msgspec.json.Decoder[AnswerT], *, wait_ms: float = 0
    ) -> AnswerT | None:
        """Return what is at a path; None if the server answers that there is nothing.

        Args:
            wait_ms: the time that the server may wait with its answer.
        """
        try:
            return await self.ask("GET", path, answer, query={"wait": wait_ms or None}, wait_s=wait_ms / 1000)
        except errors.NotFound:
            return None

    async def pages(
        self, path: str, page: msgspec.json.Decoder[PageT], limit: int, **query: object
    ) -> AsyncIterator[PageT]:
        """Yield the pages of a list, in order.

        Args:
            limit: the most entries of one page.
            query: further parameters of each request; None leaves one out.
        """
        cursor: str | None = None
        while True:
            answer = await self.ask("GET", path, page, query={**query, "limit": limit, "cursor": cursor})
            yield answer
            if (cursor := answer.cursor) is None:
                return

    async def done(self, method: str, path: str, body: object = None, *, is_safe_twice: bool) -> bool:
        """Send a call. Return False if the server answers that the object of the path does not exist."""
        try:
            await self.ask(method, path, REPLY, body, is_safe_twice=is_safe_twice)
        except errors.NotFound:
            return False
        return True

    async def answers(self, path: str) -> bool:
        """Return True if the server answers a GET with success."""
        try:
            await self._transport.send("GET", path, REPLY)
        except (errors.Unavailable, errors.OutcomeUnknown):
            return False
        return True

    async def report(self, verb: str, job: Addressed, body: LeaseBody) -> Reply:
        """Finish, extend or release one lease."""
        path = path_of(verb, job.queue_type, job.queue_id, job.job_id)
        return await self.ask("POST", path, REPLY, body, is_safe_twice=job.lease is not None)

    async def cancel_many(self, bodies: list[CancelBody]) -> Answers[JobState | errors.SharqError]:
        """Cancel jobs. Return the state before the call, or an error, for each, in order."""
        results = await send_bulk(self._transport, "/cancel/", bodies, is_safe_twice=lambda _: True)
        return states_of(results)

    async def report_many(self, verb: str, bodies: list[LeaseBody]) -> Answers[errors.SharqError | None]:
        """Finish, extend or release leases. Return one answer for each, in order; None for success."""
        results = await send_bulk(
            self._transport, f"/{verb}/", bodies, is_safe_twice=lambda body: body.lease is not None
        )
        return failures_of(results)
