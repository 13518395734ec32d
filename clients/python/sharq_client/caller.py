"""Sends one call of the API with its retries, and decodes the answer. client.py and control.py say which calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from sharq_client import errors
from sharq_client.answers import Answers, LeasedJob
from sharq_client.bulk import failures_of, send_bulk
from sharq_client.requests import Addressed, LeaseBody
from sharq_client.transport import Transport, path_of

AnswerT = TypeVar("AnswerT")


class Reply(msgspec.Struct, frozen=True):
    """The fields of the small answers together. Each call reads the one field that it needs."""

    status: str = ""
    lease_expires_at: int = 0
    redriven: int = 0
    dropped: int = 0


class _LeasedJobs(msgspec.Struct, frozen=True):
    jobs: list[LeasedJob]


LEASED = msgspec.json.Decoder(_LeasedJobs)
"""The answer to a dequeue. Its jobs have their types only if the request named several."""

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
    ) -> AnswerT:
        """Send a call and return its answer, or raise its error.

        Args:
            is_safe_twice: True if a call that was perhaps done may be sent again.
        """
        return await self._transport.repeated(
            lambda: self._transport.send(method, path, answer, body=body, query=query),
            is_safe_twice=is_safe_twice,
        )

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

    async def report_many(self, verb: str, bodies: list[LeaseBody]) -> Answers[errors.SharqError | None]:
        """Finish, extend or release leases. Return one answer for each, in order; None for success."""
        results = await send_bulk(
            self._transport, f"/{verb}/", bodies, is_safe_twice=lambda body: body.lease is not None
        )
        return failures_of(results)
