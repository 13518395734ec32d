"""Handles the console's stream: server-sent events with the snapshots, and with the queue or type that the page shows.

The page reads the stream with fetch, so that it can send its token. A client that reads slowly misses snapshots; it
never makes the router keep them.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec
from aiohttp.hdrs import METH_HEAD
from msgspec import UNSET

from router.access.token import Token
from router.api.console_shapes import StreamQuery, WatchedQueue, WatchedTypeState
from router.api.decoding import Decoder
from router.console.assets import SECURITY_HEADERS
from router.console.snapshots import Snapshots
from router.console.summary import Summary
from router.handlers.caps.reasons import CapReasons
from router.handlers.queues import queue_answer
from router.handlers.types import type_answer
from router.http.errors import failed
from router.http.request import Request
from router.http.response import Response
from router.http.streamed_response import StreamedAnswer
from router.shards.dispatch import Dispatch
from sharq_core.errors import InvalidRequest, Overloaded, SharqError, Unavailable
from sharq_core.link.control_calls import GetTypeStats
from sharq_core.models import QueueKey
from sharq_core.partitions import is_gathered, partition_of

MAX_WATCHERS = 100
"""Most streams of one router; each costs it about 0.2 ms for each snapshot."""

HEARTBEAT_S = 10.0
"""The longest silence of a stream. A comment then shows the client that the router is there."""

_HEARTBEAT = b": no news yet\n\n"
_OPENING = b"retry: 2000\n\n"
_HEADERS = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), *SECURITY_HEADERS)
_QUERY = Decoder(StreamQuery)

_encode = msgspec.json.Encoder().encode


class StreamHandlers:
    """The handler of the stream.

    Args:
        is_valid: returns True while the rights of a token are the same.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        snapshots: Snapshots,
        is_valid: Callable[[Token], bool],
        reasons: CapReasons,
    ) -> None:
        self._dispatch = dispatch
        self._reasons = reasons
        self._snapshots = snapshots
        self._is_valid = is_valid

    async def stream(self, request: Request) -> Response:
        """Begin a stream, which lasts until the client leaves, its token changes or the router drains.

        Raises:
            Forbidden: the token may not see the type.
            Overloaded: too many streams are open.
            Unavailable: the router drains.
        """
        query = _QUERY.from_query(request.query)
        queue_type = None if query.queue_type is UNSET else query.queue_type
        queue_id = None if query.queue_id is UNSET else query.queue_id
        if queue_id is not None and queue_type is None:
            raise InvalidRequest("queue_type: required together with queue_id")
        token = request.token
        if token is not None and queue_type is not None:
            token.check_type(queue_type)
        if self._snapshots.is_ended:
            raise Unavailable("draining")
        if self._snapshots.watchers >= MAX_WATCHERS:
            raise Overloaded(f"{self._snapshots.watchers} consoles are watching this router already")
        if request.method == METH_HEAD:
            return Response(b"", headers=_HEADERS)
        leave = self._snapshots.watch()
        request.when_gone(leave)
        events = self.events(token, queue_type, queue_id)
        return StreamedAnswer(_OPENING, _until_end(events, leave), _HEADERS)

    async def events(
        self, token: Token | None, queue_type: str | None, queue_id: str | None
    ) -> AsyncGenerator[bytes]:
        """Yield the events of a stream. None follows once the token has lost its rights."""
        number = 0
        while not self._snapshots.is_ended and (token is None or self._is_valid(token)):
            summary = await self._snapshots.news(number, HEARTBEAT_S)
            if summary is None:
                yield _HEARTBEAT
                continue
            if token is not None and not self._is_valid(token):
                return
            number = self._snapshots.number
            yield _event("snapshot", _seen_by(token, summary))
            if queue_type is not None:
                watched = await self._watched(queue_type, queue_id, summary)
                if token is not None and not self._is_valid(token):
                    return
                yield watched

    async def _watched(self, queue_type: str, queue_id: str | None, summary: Summary) -> bytes:
        """Return the event about the queue or type of a stream, or about the failure to read it."""
        try:
            if queue_id is not None:
                return _event("queue", _encode(await self._queue(queue_type, queue_id)))
            return _event("type", _encode(await self._type(queue_type, summary)))
        except SharqError as error:
            return _event("trouble", _encode(failed(error)))

    async def _queue(self, queue_type: str, queue_id: str) -> WatchedQueue:
        stats = await self._dispatch.queue(QueueKey(queue_type, queue_id))
        reason = await self._reasons.of_queue(stats)
        minute, enqueued = stats.enqueue_counts[-1]
        return WatchedQueue(
            queue_type=queue_type,
            queue_id=queue_id,
            at=_now_ms(),
            queue=queue_answer(stats, reason) if stats.is_known else None,
            minute=minute,
            enqueued=enqueued,
            delivered=stats.dequeue_counts[-1][1],
        )

    async def _type(self, queue_type: str, summary: Summary) -> WatchedTypeState:
        state = None
        if is_gathered(queue_type):
            partition = partition_of(queue_type, "", self._dispatch.partitions)
            stats = await self._dispatch.route(GetTypeStats(queue_type, partition))
            state = type_answer(stats, await self._reasons.of_type(stats))
        return WatchedTypeState(
            queue_type=queue_type, at=_now_ms(), numbers=summary.type_numbers(queue_type), state=state
        )


async def _until_end(events: AsyncGenerator[bytes], leave: Callable[[], None]) -> AsyncGenerator[bytes]:
    """Yield events, and end the watch with them. The end of the connection ends the watch earlier."""
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    finally:
        leave()


def _seen_by(token: Token | None, summary: Summary) -> bytes:
    """Return the snapshot of a caller. All who see the same types share it."""
    if token is None or token.types is None:
        return summary.whole()
    return summary.part(str(token.types), token.sees)


def _event(name: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _now_ms() -> int:
    return round(time.time() * 1000)
