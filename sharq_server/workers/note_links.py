"""Lets the workers of one `sharq-server` tell each other what becomes due, and gathers their metrics.

A worker listens, at each other one, to the types that its own polls wait for. If a call there makes a job due, a note
comes, so that the polls here wake up; all notes of one tick are one frame. Each link is a Unix socket in a directory
that is private to this server; its client proves the server's secret first.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from shard.index.due_notes import DueNotes
from shard.index.ready_index import OnNote
from sharq_server.workers.exposition import Family

log = logging.getLogger("sharq.server")

SCRAPE_S = 2.0
"""The longest wait in seconds for the metrics of another worker."""

_RETRY_S = 0.05
_MAX_UNREAD_BYTES = 8 << 20
"""Unread bytes above which a link is closed: the other worker hangs. It begins again with what is due then."""

_MAX_FRAME_BYTES = 64 << 20
_LENGTH = struct.Struct("!I")


class Listen(Struct, frozen=True, tag=True, array_like=True):
    """The client wants the notes of a type."""

    queue_type: str


class Unlisten(Struct, frozen=True, tag=True, array_like=True):
    """The client wants no more notes of a type."""

    queue_type: str


class Scrape(Struct, frozen=True, tag=True, array_like=True):
    """The client wants the metrics."""


class Notes(Struct, frozen=True, tag=True, array_like=True):
    """The partitions in which types became due: by type, (partition, due time by time.monotonic)."""

    by_type: dict[str, list[tuple[int, float]]]


class Scraped(Struct, frozen=True, tag=True, array_like=True):
    """The metrics of the worker."""

    families: list[Family]


_ToServer: TypeAlias = Listen | Unlisten | Scrape
_ToClient: TypeAlias = Notes | Scraped
_encode = msgspec.msgpack.Encoder().encode
_decode_at_server = msgspec.msgpack.Decoder(_ToServer).decode
_decode_at_client = msgspec.msgpack.Decoder(_ToClient).decode


class NoteServer:
    """The end of the links at which this worker tells others.

    Args:
        secret: what a client sends first.
        measure: returns the metrics of this worker.
    """

    def __init__(self, notes: DueNotes, secret: str, measure: Callable[[], list[Family]]) -> None:
        self._notes = notes
        self._secret = secret.encode()
        self._measure = measure
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, path: Path) -> None:
        """Listen at a path; a socket of a worker that has ended, or of an earlier start, is replaced."""
        await asyncio.to_thread(path.unlink, missing_ok=True)
        earlier, self._server = self._server, await asyncio.start_unix_server(self._serve, path)
        if earlier is not None:
            earlier.close()

    async def close(self) -> None:
        """End all links."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        listeners = _Listeners(self._notes, writer)
        try:
            if not hmac.compare_digest(await _read_frame(reader), self._secret):
                log.warning("note_link_refused: a process without this server's secret asked for notes")
                return
            while True:
                self._answer(_decode_at_server(await _read_frame(reader)), listeners, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            listeners.end()
            self._writers.discard(writer)
            writer.close()

    def _answer(self, asked: _ToServer, listeners: _Listeners, writer: asyncio.StreamWriter) -> None:
        match asked:
            case Listen():
                listeners.add(asked.queue_type)
            case Unlisten():
                listeners.drop(asked.queue_type)
            case Scrape():
                writer.write(_frame(_encode(Scraped(self._measure()))))


class _Listeners:
    """The types that the client of one link hears of: the notes of one tick leave as one frame."""

    def __init__(self, notes: DueNotes, writer: asyncio.StreamWriter) -> None:
        self._notes = notes
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._listeners: dict[str, OnNote] = {}
        self._waiting: dict[str, dict[int, float]] = {}

    def add(self, queue_type: str) -> None:
        """Tell the notes of a type from now on, and first where it is due already."""
        self.drop(queue_type)
        on_note = self._listeners[queue_type] = partial(self._note, queue_type)
        self._notes.listen(queue_type, on_note)

    def drop(self, queue_type: str) -> None:
        """Tell no more notes of a type."""
        on_note = self._listeners.pop(queue_type, None)
        if on_note is not None:
            self._notes.unlisten(queue_type, on_note)

    def end(self) -> None:
        """Tell nothing more."""
        for queue_type in list(self._listeners):
            self.drop(queue_type)

    def _note(self, queue_type: str, partition: int, due_at: float) -> None:
        if not self._waiting:
            self._loop.call_soon(self._send)
        places = self._waiting.setdefault(queue_type, {})
        places[partition] = min(due_at, places.get(partition, due_at))

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        by_type = {queue_type: list(places.items()) for queue_type, places in waiting.items()}
        if self._writer.is_closing():
            return
        self._writer.write(_frame(_encode(Notes(by_type))))
        if self._writer.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            log.warning("note_link_unread: another worker does not read what is due; its link is closed")
            self._writer.transport.abort()


class NoteLink:
    """The end of the link at which another worker tells this one. It connects again after each break.

    Args:
        path: the socket of the other worker.
        heard: takes the notes.
    """

    def __init__(self, path: Path, secret: str, heard: DueNotes) -> None:
        self._path = path
        self._secret = secret.encode()
        self._heard = heard
        self._types: dict[str, int] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._scrapes: list[asyncio.Future[list[Family]]] = []
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End the link."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def listen(self, queue_type: str) -> None:
        """Hear the notes of a type until `unlisten` was called as often as this."""
        self._types[queue_type] = self._types.get(queue_type, 0) + 1
        if self._types[queue_type] == 1:
            self._say(Listen(queue_type))

    def unlisten(self, queue_type: str) -> None:
        """End one `listen`."""
        listens = self._types.get(queue_type, 0) - 1
        if listens > 0:
            self._types[queue_type] = listens
        elif self._types.pop(queue_type, None) is not None:
            self._say(Unlisten(queue_type))

    async def scrape(self) -> Sequence[Family] | None:
        """Return the metrics of the other worker; None if it does not answer in time."""
        if self._writer is None:
            return None
        answer: asyncio.Future[list[Family]] = asyncio.get_running_loop().create_future()
        self._scrapes.append(answer)
        self._say(Scrape())
        try:
            async with asyncio.timeout(SCRAPE_S):
                return await answer
        except (TimeoutError, ConnectionError):
            return None

    def _say(self, message: _ToServer) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(_frame(_encode(message)))

    async def _run(self) -> None:
        while True:
            try:
                await self._connect_once()
            except (OSError, asyncio.IncompleteReadError) as error:
                log.debug("note_link_down path=%s error=%r", self._path.name, str(error))
            except Exception:
                log.exception("note_link_failed path=%s", self._path.name)
            await asyncio.sleep(_RETRY_S)

    async def _connect_once(self) -> None:
        """Connect, ask for the notes of all types, and hear them until the link breaks."""
        reader, writer = await asyncio.open_unix_connection(self._path)
        writer.write(_frame(self._secret))
        self._writer = writer
        for queue_type in self._types:
            self._say(Listen(queue_type))
        try:
            while True:
                self._hear(_decode_at_client(await _read_frame(reader)))
        finally:
            self._writer = None
            writer.close()
            # The requests for metrics that wait for this worker get no answer any more.
            scrapes, self._scrapes = self._scrapes, []
            for answer in scrapes:
                if not answer.done():
                    answer.set_exception(ConnectionError("the worker has ended"))

    def _hear(self, message: _ToClient) -> None:
        match message:
            case Notes():
                for queue_type, notes in message.by_type.items():
                    self._heard.hear(queue_type, notes)
            case Scraped():
                answer = self._scrapes.pop(0)
                if not answer.done():
                    answer.set_result(message.families)


def _frame(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame; raise IncompleteReadError at the end, and ConnectionError for one that is too long."""
    (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if size > _MAX_FRAME_BYTES:
        raise ConnectionError(f"a frame of {size} bytes")
    return await reader.readexactly(size)
