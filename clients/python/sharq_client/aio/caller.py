"""Sends one call of the API with its retries, and decodes the answer. client.py and control.py say which calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TypeVar

from sharq_client import errors
from sharq_client.aio.bulk import send_bulk
from sharq_client.aio.transport import AsyncTransport
from sharq_client.answers import Answers, JobState
from sharq_client.bodies import CancelBody, LeaseBody
from sharq_client.bulk import failures_of, states_of
from sharq_client.decoders import SMALL_ANSWER, AnswerDecoder, Page, SmallAnswer
from sharq_client.paths import path_of
from sharq_client.requests import Addressed, DeadRef

AnswerT = TypeVar("AnswerT")
PageT = TypeVar("PageT", bound=Page)


class AsyncCaller:
    """The sender of calls over one transport."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def sleep(self, seconds: float) -> None:
        """Wait in the time of the connections."""
        await self._transport.sleep(seconds)

    def time(self) -> float:
        """Return the time of the connections in seconds, which only moves forward."""
        return self._transport.time()

    async def ask(
        self,
        method: str,
        path: str,
        answer: AnswerDecoder[AnswerT],
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
        self, path: str, answer: AnswerDecoder[AnswerT], *, method: str = "GET", wait_ms: float = 0
    ) -> AnswerT | None:
        """Return what is at a path; None if the server answers that there is nothing.

        Args:
            method: one that is safe to repeat.
            wait_ms: the time that the server may wait with its answer.
        """
        try:
            return await self.ask(
                method, path, answer, query={"wait": wait_ms or None}, wait_s=wait_ms / 1000
            )
        except errors.NotFound:
            return None

    async def pages(
        self, path: str, page: AnswerDecoder[PageT], limit: int, **query: object
    ) -> AsyncIterator[PageT]:
        """Yield the pages of a list, in order.

        Args:
            limit: the most entries of one page.
            query: further parameters of each request; None leaves one out.

        Raises:
            IncompleteList: all pages were yielded, and some partitions are missing in them.
        """
        cursor: str | None = None
        unread: set[int] = set()
        while True:
            answer = await self.ask("GET", path, page, query={**query, "limit": limit, "cursor": cursor})
            unread.update(answer.unread_partitions)
            yield answer
            if (cursor := answer.cursor) is None:
                break
        if unread:
            raise errors.IncompleteList(sorted(unread))

    async def done(self, method: str, path: str, body: object = None, *, is_safe_twice: bool) -> bool:
        """Send a call. Return False if the server answers that the object of the path does not exist."""
        try:
            await self.ask(method, path, SMALL_ANSWER, body, is_safe_twice=is_safe_twice)
        except errors.NotFound:
            return False
        return True

    async def answers(self, path: str) -> bool:
        """Return True if the server answers a GET with success."""
        try:
            await self._transport.send("GET", path, SMALL_ANSWER)
        except (errors.Unavailable, errors.OutcomeUnknown):
            return False
        return True

    async def report(self, verb: str, job: Addressed, body: LeaseBody) -> SmallAnswer:
        """Finish, extend or release one lease."""
        path = path_of(verb, job.queue_type, job.queue_id, job.job_id)
        return await self.ask("POST", path, SMALL_ANSWER, body, is_safe_twice=job.lease is not None)

    async def redrive_many(self, path: str, refs: list[DeadRef]) -> Answers[errors.SharqError | None]:
        """Redrive dead letters. Return one answer for each, in order; None for success."""
        return failures_of(await send_bulk(self._transport, path, refs, is_safe_twice=lambda _: False))

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
