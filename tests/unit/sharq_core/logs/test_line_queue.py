"""The lines of a log that a thread writes: in order, bounded, counted when they are lost, and never waited for."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import threading
from collections.abc import Iterator

import pytest

from sharq_core.logs.line_queue import Descriptor, LineQueue
from tests.support.stopwatch import Stopwatch
from tests.support.waits import wait_until

DEADLINE_S = 10.0
LINE = b"x" * 99 + b"\n"


class Place:
    """A target whose reader stands still while `goes_on` is not set, and that is full while `is_full`."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.is_full = False
        self.written = b""
        self.reasons: list[str] = []
        self.said_lost: list[int] = []

    def write(self, data: bytes) -> None:
        self.goes_on.wait(DEADLINE_S)
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.written += data

    def on_loss(self, reason: str) -> None:
        self.reasons.append(reason)

    def on_room(self, lost: int) -> bytes:
        return b"lost %d\n" % lost

    def said(self, lost: int) -> None:
        self.said_lost.append(lost)


def test_lines_are_written_in_order_and_none_is_lost() -> None:
    place = Place()
    queue = LineQueue("test", place)
    lines = [b"%d\n" % number for number in range(20_000)]
    for line in lines:
        queue.put(line)
    assert queue.flush(DEADLINE_S)
    assert place.written == b"".join(lines)
    assert (queue.lost, place.reasons) == (0, [])


def test_a_line_that_finds_no_room_is_counted_and_said_in_its_place(stopwatch: Stopwatch) -> None:
    place = Place()
    place.goes_on.clear()
    queue = LineQueue("test", place, max_waiting_bytes=10_000)
    stopwatch.start()
    for _ in range(1000):
        queue.put(LINE)
    stopwatch.assert_within(1.0, "the last line, though nobody reads")
    kept = 1000 - queue.lost
    assert 0 < kept <= 10_000 // len(LINE)
    assert len(place.reasons) == 1
    assert not queue.flush(0.05)
    place.goes_on.set()
    assert queue.flush(DEADLINE_S)
    wait_until(lambda: sum(place.said_lost) == queue.lost)
    queue.put(b"after\n")
    assert queue.flush(DEADLINE_S)
    said = b"".join(b"lost %d\n" % lost for lost in place.said_lost)
    assert place.written == LINE * kept + said + b"after\n"


def test_what_a_full_disk_does_not_take_is_said_when_there_is_room_again() -> None:
    place = Place()
    place.is_full = True
    queue = LineQueue("test", place)
    for _ in range(3):
        queue.put(LINE)
        assert queue.flush(DEADLINE_S)
    assert (queue.lost, place.reasons) == (3, ["No space left on device"])
    place.is_full = False
    wait_until(lambda: place.written == b"lost 3\n", what="it is said though no other line comes")
    queue.put(LINE)
    assert queue.flush(DEADLINE_S)
    assert place.written == b"lost 3\n" + LINE
    assert place.said_lost == [3]


HIGH = 1100
"""Above the numbers that select() takes: a log that is opened again while a thousand clients are connected has one."""


@pytest.fixture(params=[0, HIGH], ids=["low", "high"])
def pipe(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """The two ends of a pipe; the writer's number is at least that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * HIGH)), hard))
    reader, made = os.pipe()
    writer = fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, request.param)
    os.close(made)
    yield reader, writer
    os.close(reader)
    os.close(writer)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_pipe_that_somebody_made_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    queue = LineQueue("test", Descriptor(writer, lambda reason: None))
    for _ in range(5000):
        queue.put(LINE)
    got = 0
    while got < 5000 * len(LINE):
        got += len(os.read(reader, 1 << 16))
    assert queue.flush(DEADLINE_S)
    assert queue.lost == 0


def test_a_line_longer_than_the_whole_queue_is_written() -> None:
    place = Place()
    queue = LineQueue("test", place, max_waiting_bytes=1000)
    line = b"y" * 5000 + b"\n"
    queue.put(line)
    assert queue.flush(DEADLINE_S)
    assert place.written == line
