"""Runs function calls on the store: finds the server of each call's partition, keeps the library loaded, decodes.

Not here: which calls go together (shard/pipeline.py), and connections (sharq_core/store/node.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, TypeVar

from sharq_core.errors import OutcomeUnknown, SharqError, Unavailable
from sharq_core.scheduler import library
from sharq_core.scheduler.functions import FunctionCall, Reply
from sharq_core.store.failures import FunctionMissing
from sharq_core.store.node import StoreNode

log = logging.getLogger(__name__)

T = TypeVar("T")


class Executor:
    """Function calls on one server."""

    def __init__(self, node: StoreNode) -> None:
        self.node = node

    async def run(
        self, calls: Sequence[FunctionCall[Any]], timeout_s: float | None = None
    ) -> list[Reply[Any] | SharqError]:
        """Run calls as one pipeline; for each its reply, or the error that it came to.

        A call that found no library did nothing, so the library is loaded and those calls are sent once more.

        Args:
            timeout_s: the time left, at most the node's own timeout, which it is when None.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(timeout_s or self.node.timeout_s, self.node.timeout_s)
        answers = await self.node.execute([call.arguments for call in calls], timeout_s)
        missed = [index for index, answer in enumerate(answers) if isinstance(answer, FunctionMissing)]
        if missed:
            await self.load_library()
            left = max(deadline - loop.time(), 0.0)
            again = await self.node.execute([calls[index].arguments for index in missed], left)
            for index, answer in zip(missed, again, strict=True):
                answers[index] = answer
        replies = [_decode(call, answer) for call, answer in zip(calls, answers, strict=True)]
        if isinstance(replies[-1], Reply):
            self.node.clock.learn(replies[-1].hint.now_us)
        return replies

    async def one(self, call: FunctionCall[T]) -> T:
        """Run one call and return its value, or raise the error that it came to."""
        replies: list[Reply[T] | SharqError] = await self.run([call])
        return value_of(replies[0])

    async def load_library(self) -> None:
        """Give the server this library, unless it has one of the same or a higher revision.

        Raises:
            Unavailable: the server cannot be reached or refuses.
        """
        revision = (await self.node.execute([[b"FCALL", f"{library.LIBRARY}_revision", 0]]))[0]
        if isinstance(revision, SharqError) and not isinstance(revision, FunctionMissing):
            raise _not_done(revision)
        if not isinstance(revision, SharqError) and int(revision) >= library.REVISION:
            return
        answer = (await self.node.execute([[b"FUNCTION", b"LOAD", b"REPLACE", library.source()]]))[0]
        if isinstance(answer, SharqError):
            raise _not_done(answer)
        log.info("library_loaded name=%s revision=%d", library.LIBRARY, library.REVISION)


def _decode(call: FunctionCall[Any], answer: Any) -> Reply[Any] | SharqError:
    if isinstance(answer, OutcomeUnknown) and call.is_read:
        return _not_done(answer)
    return answer if isinstance(answer, SharqError) else call.decode(answer)


def value_of(reply: Reply[T] | SharqError) -> T:
    """A reply's value, or its error raised; a call that came too late counts as Unavailable (nothing was done)."""
    if isinstance(reply, SharqError):
        raise reply
    if reply.is_expired:
        raise Unavailable("the store got the call too late, and did nothing")
    return reply.value  # type: ignore[return-value]


def _not_done(error: SharqError) -> Unavailable:
    """For a call that may be repeated at will: that no answer came is all there is to say."""
    return Unavailable(error.message)
