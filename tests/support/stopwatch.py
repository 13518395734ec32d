"""Holds times against the product's promises, whatever else the machine does.

A promise of a time holds for a process that runs. A stopwatch adds the time for which the test's processes were ready
to run and got no processor, instead of a constant that some busy machine exceeds.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROC = Path("/proc")
SAMPLE_S = 0.2
"""The interval of the samples. What a process waits between the last one and its end is not known."""


class Stopwatch:
    """The time since its start, and what the machine has added to it.

    It looks at the threads of this process and of all its descendants, among them those that end meanwhile. On
    other systems than Linux it knows of no waits.
    """

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="stopwatch")
        self._first_ns: dict[int, int] = {}
        self._last_ns: dict[int, int] = {}
        self._begun_s = time.monotonic()

    def start(self) -> None:
        """Begin anew. The first start begins the samples, which `end` ends."""
        self._first_ns = _waits_ns()
        self._last_ns.clear()
        self._begun_s = time.monotonic()
        if not self._sampler.is_alive():
            self._sampler.start()

    def end(self) -> None:
        """End the samples."""
        self._is_over.set()
        if self._sampler.is_alive():
            self._sampler.join()

    @property
    def waited_s(self) -> float:
        """The waits of all threads for a processor in seconds; those at the same time count several times."""
        self._last_ns |= _waits_ns()
        waited_ns = (last - self._first_ns.get(thread, 0) for thread, last in self._last_ns.copy().items())
        return sum(max(each, 0) for each in waited_ns) / 1e9

    @property
    def elapsed_s(self) -> float:
        """The time since the start in seconds, by the clock."""
        return time.monotonic() - self._begun_s

    def assert_within(self, bound_s: float, what: str = "it is done") -> None:
        """Hold the time against a promise.

        Raises:
            AssertionError: it is longer than the bound and the waits together; with `what`, which names the end.
        """
        elapsed_s = self.elapsed_s
        if elapsed_s >= bound_s:
            waited_s = self.waited_s
            text = f"{elapsed_s:.2f} s until {what}, of which its threads waited {waited_s:.2f} s at most"
            assert elapsed_s < bound_s + waited_s, f"{text}; {bound_s:g} s are promised"

    def _sample(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            self._last_ns |= _waits_ns()


@contextmanager
def running_stopwatch() -> Iterator[Stopwatch]:
    """A stopwatch that starts with the block, and whose samples end with it."""
    stopwatch = Stopwatch()
    stopwatch.start()
    try:
        yield stopwatch
    finally:
        stopwatch.end()


def _waits_ns() -> dict[int, int]:
    """Return thread → the time for which it has waited for a processor, of this process and its descendants."""
    found: dict[int, int] = {}
    for pid in _family(os.getpid()):
        for task in (PROC / str(pid) / "task").glob("*"):
            try:
                found[int(task.name)] = int((task / "schedstat").read_text().split()[1])
            except (FileNotFoundError, ProcessLookupError):  # it has ended
                continue
    return found


def _family(pid: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    children: dict[int, list[int]] = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    while found:
        here = found.pop()
        yield here
        found += children.get(here, [])
