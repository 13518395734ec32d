"""Parses the bodies of requests: small ones at once, large ones in a child process.

msgspec does not release the GIL, so parsing 16 MiB blocks every thread of the process for 30 to 600 ms, depending on
the content. Not here: the parsing functions (router/api/parsing.py).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar, cast

from msgspec.structs import force_setattr

from router.bodies.large_body import LargeBody
from router.bodies.parser_process import LENGTH, Span, jobs_of, packed
from sharq_core.errors import Unavailable
from sharq_core.models import NewJob

log = logging.getLogger("sharq.router")

P = ParamSpec("P")
ReplyT = TypeVar("ReplyT")

_MIDDLE_BYTES = 1 << 20
"""The boundary between the two child processes. Bodies up to this size do not wait for larger ones."""

IDLE_S = 600.0
"""The idle time after which a child process is ended to free its memory."""

_COPIED_BYTES = 1 << 20
"""The bytes of payloads that are copied without yielding to the event loop, which takes about 1 ms."""

_ANSWER_S = 60.0
"""The longest time that parsing one body may take. A process that needs longer is killed."""


class BodyParser:
    """The parser of bodies, with child processes for large ones. They start when first needed."""

    def __init__(self) -> None:
        self._lanes = (_ParserLane(), _ParserLane())

    async def run(
        self,
        read: Callable[Concatenate[bytes, P], ReplyT],
        body: bytes | LargeBody,
        *arguments: P.args,
        **no_names: P.kwargs,
    ) -> ReplyT:
        """Return the result of `read`, a function of router/api/parsing.py, for a body and further arguments.

        Raises:
            SharqError: `read` raised it.
            Unavailable: the child process failed or took too long. Nothing was done.
        """
        if isinstance(body, bytes):
            return read(body, *arguments, **no_names)
        lane = self._lanes[len(body) > _MIDDLE_BYTES]
        return cast(ReplyT, await lane.run(body, (read.__name__, arguments)))

    async def close(self) -> None:
        """End the child processes."""
        for lane in self._lanes:
            await lane.close()


class _ParserLane:
    """One child process and the bodies that wait for it. The smallest body goes first."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._is_busy = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._idle_timer: asyncio.TimerHandle | None = None

    async def run(self, body: LargeBody, call: tuple[str, tuple[object, ...]]) -> object:
        await self._enter(len(body))
        try:
            is_done, answer, spans = await self._ask(body, call)
        finally:
            self._leave()
        if not is_done:
            raise cast(Exception, answer)
        await _give_payloads(jobs_of(answer), body, spans)
        return answer

    async def close(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        await self._end()

    async def _enter(self, body_bytes: int) -> None:
        if not self._is_busy:
            self._is_busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (body_bytes, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            # The turn was granted just before the cancellation: pass it on, or the lane stays busy forever.
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._is_busy = False
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = asyncio.get_running_loop().call_later(IDLE_S, self._dismiss)

    async def _ask(self, body: LargeBody, call: object) -> tuple[bool, object, list[Span]]:
        """Send a call to the process and return its answer. A failed process is replaced at the next call."""
        try:
            process = await self._running()
            async with asyncio.timeout(_ANSWER_S):
                return await _converse(process, body, call)
        except (OSError, EOFError, TimeoutError) as error:
            await self._end()
            log.warning("body_process_failed error=%r", error)
            raise Unavailable(
                "the process that parses large bodies has failed; nothing was done, try again"
            ) from error
        except asyncio.CancelledError:
            await self._end()  # half a call or half an answer is in its pipes
            raise

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "router.bodies.parser_process",
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,
            )
        return self._process

    def _dismiss(self) -> None:
        """End an idle process by closing its input."""
        if not self._is_busy and self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


async def _converse(process: Process, body: LargeBody, call: object) -> tuple[bool, object, list[Span]]:
    """Send a call and return its answer. Raise EOFError if the process has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(packed(call) + LENGTH.pack(len(body)))
    for piece in body.pieces:
        process.stdin.write(piece)
        await process.stdin.drain()
    head = await process.stdout.readexactly(LENGTH.size)
    content = await process.stdout.readexactly(*LENGTH.unpack(head))
    return cast("tuple[bool, object, list[Span]]", pickle.loads(content))


async def _give_payloads(jobs: Sequence[NewJob], body: LargeBody, spans: Sequence[Span]) -> None:
    """Copy the jobs' payloads out of the body, and yield to the event loop now and then."""
    copied_bytes = 0
    for job, (start, length) in zip(jobs, spans, strict=True):
        force_setattr(job, "payload", body.part(start, length))
        copied_bytes += length
        if copied_bytes > _COPIED_BYTES:
            copied_bytes = 0
            await asyncio.sleep(0)
