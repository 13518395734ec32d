"""Parses the bodies of requests: small ones at once, large ones in a child process.

msgspec does not release the GIL, so parsing 16 MiB blocks every thread of the process for 30 to 600 ms, depending on
the content. Small bodies full of mistakes take milliseconds, too, so the event loop parses only a few of them a second.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import pickle
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar, cast

from msgspec import Struct
from msgspec.structs import force_setattr

from router.bodies.inflation import ContentTooLong
from router.bodies.large_body import CompressedBody, LargeBody
from router.bodies.parser_process import LENGTH, Call, Read, Reply, Span, jobs_of, packed
from router.bodies.waste import wasted_s
from sharq_core.errors import TooLarge, Unavailable
from sharq_core.http_port.allowance import Allowance
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

_READ_BYTES = 1 << 18
"""The bytes of an answer that are read in one piece."""

QUICK_BYTES = 4096
"""The longest body that is always parsed on the event loop. That takes at most 0.5 ms."""

BYTE_S = 60e-9
"""The processor time that each byte of a good body accounts for on the event loop. Good jobs take a quarter of it."""

WASTED_SHARE = 0.005
"""The share of its time that the event loop wastes on bodies, apart from the first WASTED_BURST_S."""

WASTED_BURST_S = 0.02


class BodyParser:
    """The parser of bodies, with child processes for large ones. They start when first needed."""

    def __init__(self) -> None:
        self._lanes = (_ParserLane(), _ParserLane())
        self._allowance = Allowance(WASTED_BURST_S, WASTED_SHARE)

    async def run(
        self,
        read: Callable[Concatenate[bytes, P], ReplyT],
        body: bytes | LargeBody,
        *arguments: P.args,
        **no_names: P.kwargs,
    ) -> ReplyT:
        """Return the result of `read`, a function of a parsing module, for a body and further arguments.

        Raises:
            SharqError: `read` raised it.
            Unavailable: the child process failed or took too long. Nothing was done.
        """
        body = self.placed(body)
        if isinstance(body, bytes):
            if len(body) <= QUICK_BYTES:
                return read(body, *arguments, **no_names)
            return self._run_here(read, body, *arguments, **no_names)
        if isinstance(body, CompressedBody):
            return cast(ReplyT, await self._run_compressed(body, read, arguments))
        lane = self._lanes[len(body) > _MIDDLE_BYTES]
        return cast(ReplyT, await lane.run(body, (read, arguments, None, 0)))

    def placed(self, body: bytes | LargeBody) -> bytes | LargeBody:
        """Return a body as a LargeBody if a child process is to parse it now, else as it is."""
        if isinstance(body, LargeBody) or len(body) <= QUICK_BYTES or self._allowance.is_open:
            return body
        return LargeBody([body])

    @property
    def processes(self) -> int:
        """The number of child processes."""
        return sum(lane.has_process for lane in self._lanes)

    async def close(self) -> None:
        """End the child processes."""
        for lane in self._lanes:
            await lane.close()

    def _run_here(
        self,
        read: Callable[Concatenate[bytes, P], ReplyT],
        body: bytes,
        *arguments: P.args,
        **no_names: P.kwargs,
    ) -> ReplyT:
        """Parse a body on the event loop, and count the time that was wasted."""
        began_s = time.thread_time()
        result = None
        try:
            result = read(body, *arguments, **no_names)
            return result
        finally:
            wasted = wasted_s(time.thread_time() - began_s, result, len(body), BYTE_S)
            if wasted:
                self._allowance.take(wasted)

    async def _run_compressed(
        self, body: CompressedBody, read: Read, arguments: tuple[object, ...]
    ) -> object:
        """Decompress and parse a body in the first process if its content is short enough for it, else in the second.

        Raises:
            TooLarge: the content is longer than the limit of the body.
            SharqError: as `run`.
        """
        for lane, most_bytes in zip(self._lanes, (_MIDDLE_BYTES, body.limit_bytes), strict=True):
            try:
                return await lane.run(
                    body, (read, arguments, body.encoding, min(most_bytes, body.limit_bytes))
                )
            except ContentTooLong:
                continue
        raise TooLarge(f"body: longer than the limit of {body.limit_bytes} bytes")


class _ParserLane:
    """One child process and the bodies that wait for it. The smallest body goes first."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._is_busy = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._idle_timer: asyncio.TimerHandle | None = None

    async def run(self, body: LargeBody, call: Call) -> object:
        *_, limit_bytes = call
        # The length of decompressed content is not known, so the greatest is assumed.
        await self._enter(max(len(body), limit_bytes))
        try:
            answer = await self._ask(body, call)
        finally:
            self._leave()
        body.rest_s += answer.rest_s
        if not answer.is_done:
            raise cast(Exception, answer.result)
        if isinstance(body, CompressedBody) and answer.payloads is not body:
            body.count(len(answer.payloads))
        await _give_payloads(jobs_of(answer.result), answer.payloads, answer.spans)
        return answer.result

    @property
    def has_process(self) -> bool:
        return self._process is not None

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

    async def _ask(self, body: LargeBody, call: Call) -> _ParserReply:
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
        except (asyncio.CancelledError, MemoryError):
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
                limit=_READ_BYTES,
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


class _ParserReply(Struct, frozen=True):
    """An answer of the process: the result or the error, and the spans of the jobs' payloads in `payloads`.

    rest_s is the time that the sender of the body is to wait.
    """

    is_done: bool
    result: object
    spans: list[Span]
    payloads: LargeBody
    rest_s: float


async def _converse(process: Process, body: LargeBody, call: Call) -> _ParserReply:
    """Send a call and return its answer. Raise EOFError if the process has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(packed(call) + LENGTH.pack(len(body)))
    for piece in body.pieces:
        process.stdin.write(piece)
        await process.stdin.drain()
    head = await process.stdout.readexactly(LENGTH.size)
    content = await process.stdout.readexactly(*LENGTH.unpack(head))
    is_done, result, spans, slices, rest_s = cast(Reply, pickle.loads(content))
    if slices:
        result = await _joined(slices)
    (payload_bytes,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    payloads = LargeBody(await _read_pieces(process.stdout, payload_bytes)) if payload_bytes else body
    return _ParserReply(is_done, result, spans, payloads, rest_s)


async def _joined(slices: Sequence[bytes]) -> list[object]:
    """Return the list that consists of pickled slices, and yield to the event loop after each."""
    items: list[object] = []
    for content in slices:
        items += pickle.loads(content)
        await asyncio.sleep(0)
    return items


async def _read_pieces(stream: asyncio.StreamReader, size_bytes: int) -> list[bytes]:
    """Return the next size_bytes of a stream, in pieces. Raise EOFError if it ends before."""
    pieces: list[bytes] = []
    while size_bytes:
        piece = await stream.read(min(size_bytes, _READ_BYTES))
        if not piece:
            raise EOFError("the process has ended")
        pieces.append(piece)
        size_bytes -= len(piece)
    return pieces


async def _give_payloads(jobs: Sequence[NewJob], body: LargeBody, spans: Sequence[Span]) -> None:
    """Copy the jobs' payloads out of the body, and yield to the event loop now and then."""
    copied_bytes = 0
    for job, (start, length) in zip(jobs, spans, strict=True):
        force_setattr(job, "payload", body.part(start, length))
        copied_bytes += length
        if copied_bytes > _COPIED_BYTES:
            copied_bytes = 0
            await asyncio.sleep(0)
