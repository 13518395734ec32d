"""Writes the lines of a log in a thread, so that no caller waits for the log's reader or disk.

A queue holds a bounded number of bytes. A line that finds no room, or that cannot be written, is lost and counted. The
loss is reported as soon as lines can be written again.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

MAX_WAITING_BYTES = 4 << 20
"""The most bytes of one log that wait to be written."""

FLUSH_S = 1.0
"""The longest wait in seconds for all logs together at the end of a process."""

_LINE_COST_BYTES = 64
"""The memory of a waiting line besides its own bytes."""

_PIECE_BYTES = 4096
"""The bytes of whole lines written at once: a pipe takes 4,096 undivided, even with other writers."""

_TRY_AGAIN_S = 1.0
"""Seconds until the next try after lines were lost, if no new line comes."""

_FULL = "its reader is stalled, or its disk is too slow"


class Target(Protocol):
    """The destination of a log's lines. The queue's thread calls all methods but `on_loss`."""

    def write(self, data: bytes) -> None:
        """Write whole lines, however long that takes; raise OSError if they cannot be written."""

    def on_loss(self, reason: str) -> None:
        """Note that lines are being lost from now on; the reason is in words."""

    def on_room(self, lost: int, /) -> bytes:
        """Return the line that reports lost lines, empty for none. Writing is perhaps possible again."""

    def said(self, lost: int) -> None:
        """Note that the report was written and that new lines are written again."""


class LineQueue:
    """The lines of one log that wait to be written.

    Args:
        name: the log's name in metrics.

    Attributes:
        lost: the number of lines not written, so far.
    """

    def __init__(self, name: str, target: Target, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self.name = name
        self.lost = 0
        self._target = target
        self._max_waiting_bytes = max_waiting_bytes
        # Reentrant: the finalizer of an object that is freed during put may log a line itself.
        self._changed = threading.Condition(threading.RLock())
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._unsaid = 0
        self._is_writing = False
        self._is_failing = False
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> None:
        """Queue a line for writing, or lose it if there is no room; never wait.

        Args:
            line: ends with a newline, and may hold more of them.
        """
        with self._changed:
            cost = len(line) + _LINE_COST_BYTES
            has_room = self._waiting_bytes + cost <= self._max_waiting_bytes or not self._waiting_bytes
            is_news = not has_room and self._note_lost(1)
            if has_room:
                self._waiting_bytes += cost
                self._lines.append(line)
                self._wake_thread()
        if is_news:
            self._target.on_loss(_FULL)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is written, at most timeout_s seconds; return True if it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._is_writing, timeout_s)

    def _wake_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"log-{self.name}", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _note_lost(self, count: int) -> bool:
        """Count lost lines; return True if these are the first since the last report."""
        is_news = count > 0 and self._unsaid == 0
        self.lost += count
        self._unsaid += count
        return is_news

    def _run(self) -> None:
        while True:
            lines, unsaid = self._take()
            for piece, costs in _pieces(lines):
                unsaid += self._write(piece, costs)
            self._say_lost(unsaid)
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()

    def _take(self) -> tuple[list[bytes], int]:
        """Wait for lines, or for the time to report a loss.

        Return all waiting lines and the number of lines lost until now. The lost lines came after the returned ones.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._lines or (self._unsaid and not self._is_failing),
                _TRY_AGAIN_S if self._is_failing else None,
            )
            lines = list(self._lines)
            self._lines.clear()
            self._is_writing = True
            return lines, self._unsaid

    def _write(self, piece: bytes, costs: list[int]) -> int:
        """Write lines; return the number of lost ones."""
        failure = _failure_of(self._target.write, piece)
        self._is_failing = failure is not None
        with self._changed:
            self._waiting_bytes -= sum(costs)
            is_news = failure is not None and self._note_lost(len(costs))
        if failure is None:
            return 0
        if is_news:
            self._target.on_loss(failure.strerror or str(failure))
        return len(costs)

    def _say_lost(self, unsaid: int) -> None:
        """Report lost lines if they can be written now."""
        if not unsaid:
            return
        probe = self._target.on_room(unsaid)
        if self._is_failing and not probe:
            return
        self._is_failing = _failure_of(self._target.write, probe) is not None
        if not self._is_failing:
            with self._changed:
                self._unsaid -= unsaid
            self._target.said(unsaid)


def _pieces(lines: Iterable[bytes]) -> Iterator[tuple[bytes, list[int]]]:
    """Yield joined whole lines of at most _PIECE_BYTES (or one longer line), with the cost of each line."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > _PIECE_BYTES:
            yield _piece(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield _piece(piece)


def _piece(lines: list[bytes]) -> tuple[bytes, list[int]]:
    return b"".join(lines), [len(line) + _LINE_COST_BYTES for line in lines]


def _failure_of(write: Callable[[bytes], None], data: bytes) -> OSError | None:
    try:
        write(data)
    except OSError as error:
        return error
    return None


class Descriptor:
    """An open file, pipe or terminal as the target of a log, named by its number.

    Args:
        on_loss: gets the reason when lines begin to be lost.
        on_room: makes the line that reports lost lines.
    """

    def __init__(
        self, number: int, on_loss: Callable[[str], None], on_room: Callable[[int], bytes] = lambda _: b""
    ) -> None:
        self._number = number
        self.on_loss = on_loss
        self.on_room = on_room
        self._is_torn = False

    def said(self, lost: int) -> None:
        """Do nothing: the report is the written line."""

    def write(self, data: bytes) -> None:
        """Write as Target.write does, and first end a line that was cut off in its middle."""
        rest = memoryview(b"\n" + data if self._is_torn else data)
        try:
            while rest:
                written = self._write_some(rest)
                rest = rest[written:]
                self._is_torn = True
        finally:
            self._is_torn = self._is_torn and bool(rest)

    def _write_some(self, data: memoryview) -> int:
        """Write as many bytes as fit; wait if another process has made the descriptor non-blocking."""
        while True:
            try:
                return os.write(self._number, data)
            except BlockingIOError:
                room = select.poll()  # select.select takes no descriptor above 1023
                room.register(self._number, select.POLLOUT)
                room.poll()


_queues: list[LineQueue] = []


def open_queue(name: str, target: Target) -> LineQueue:
    """Make a queue that the process flushes at its end and counts in its metrics."""
    queue = LineQueue(name, target)
    _queues.append(queue)
    return queue


def open_queues() -> tuple[LineQueue, ...]:
    """Return every queue of this process."""
    return tuple(_queues)


def flush_queues(timeout_s: float = FLUSH_S) -> bool:
    """Wait until all logs are written, at most timeout_s seconds in all; return True if they are."""
    deadline_s = time.monotonic() + timeout_s
    for queue in _queues:
        queue.flush(max(deadline_s - time.monotonic(), 0.0))
    return all(queue.flush(0.0) for queue in _queues)


def end_at_once(exit_status: int) -> None:
    """End the process at once, after writing the waiting log lines if that is possible."""
    flush_queues()
    os._exit(exit_status)
