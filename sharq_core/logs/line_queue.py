"""Lines of a log that a thread of its own writes: nobody who has something to say waits for the log's reader or disk.

A queue holds a bounded number of bytes. A line that finds no room, or that cannot be written, is lost and counted; the
loss is said as soon as something can be written again. Not here: what the lines say (setup.py,
router/http/access_log.py).
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
"""Most bytes that wait to be written, of one log."""

FLUSH_S = 1.0
"""Longest wait at the end of a process for all of its logs together."""

_LINE_COST_BYTES = 64
"""Memory that a waiting line takes besides its own bytes."""

_PIECE_BYTES = 4096
"""Bytes written at once, of whole lines: a pipe takes so many undivided, whoever else writes to it."""

_TRY_AGAIN_S = 1.0
"""After lines were lost and none has come since."""

_FULL = "its reader stands still, or its disk is too slow"


class Target(Protocol):
    """The place that the lines of one log go to. Its methods are called on the queue's thread, but for `on_loss`."""

    def write(self, data: bytes) -> None:
        """Write whole lines, however long that takes; raises OSError."""

    def on_loss(self, reason: str) -> None:
        """Lines are being lost from now on; the reason is in words."""

    def on_room(self, lost: int) -> bytes:
        """Lines can perhaps be written again after so many were lost; returns the line that says so, empty for none."""

    def said(self, lost: int) -> None:
        """That line was written, and what comes will be, too."""


class LineQueue:
    """The lines of one log that wait to be written.

    Args:
        name: the log's name in metrics.

    Attributes:
        lost: lines that were not written, so far.
    """

    def __init__(self, name: str, target: Target, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self.name = name
        self.lost = 0
        self._target = target
        self._max_waiting_bytes = max_waiting_bytes
        # Reentrant: an object that is freed while a line is put may have something to say itself.
        self._changed = threading.Condition(threading.RLock())
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._unsaid = 0
        self._is_writing = False
        self._is_failing = False
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> None:
        """Have the line written, or lose it when there is no room for it; never waits.

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
        """Wait until everything is written, at most so long; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._is_writing, timeout_s)

    def _wake_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"log-{self.name}", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _note_lost(self, count: int) -> bool:
        """Count lost lines; returns whether these are the first ones since the loss was said last."""
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
        """Wait for lines, or for the time to say that some were lost; returns all lines that there are, and how many
        were lost until now: those came after these.
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
        """Write lines; returns how many of them were lost."""
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
        """Say how many lines were lost, if that can be written now."""
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
    """Whole lines together, up to so many bytes as are written at once, with what each of them costs."""
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
        on_loss: told the reason when lines begin to be lost.
        on_room: makes the line that says how many were lost.
    """

    def __init__(
        self, number: int, on_loss: Callable[[str], None], on_room: Callable[[int], bytes] = lambda lost: b""
    ) -> None:
        self._number = number
        self.on_loss = on_loss
        self.on_room = on_room
        self._is_torn = False

    def said(self, lost: int) -> None:
        """As Target.said: nothing more to say."""

    def write(self, data: bytes) -> None:
        """As Target.write. A line that was cut off in its middle is ended before the next one."""
        rest = memoryview(b"\n" + data if self._is_torn else data)
        try:
            while rest:
                written = self._write_some(rest)
                rest = rest[written:]
                self._is_torn = True
        finally:
            self._is_torn = self._is_torn and bool(rest)

    def _write_some(self, data: memoryview) -> int:
        """Write what fits. A descriptor that somebody else has made non-blocking is waited for here."""
        while True:
            try:
                return os.write(self._number, data)
            except BlockingIOError:
                select.select([], [self._number], [])


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
    """Wait until all logs are written, at most so long in all; returns whether they are."""
    deadline_s = time.monotonic() + timeout_s
    for queue in _queues:
        queue.flush(max(deadline_s - time.monotonic(), 0.0))
    return all(queue.flush(0.0) for queue in _queues)


def end_at_once(exit_status: int) -> None:
    """End the process in the middle of what it does, with its last words written if they can be."""
    flush_queues()
    os._exit(exit_status)
