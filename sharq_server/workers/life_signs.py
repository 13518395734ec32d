"""Measures for how long a worker has given no sign of life, by the time for which it and its parent could run."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

LOOK_S = 0.25
"""The time between two looks of the parent at its workers, in seconds."""

_MOST_A_LOOK_S = 2 * LOOK_S
"""The most that one look adds, in seconds. After a longer time the parent was late itself: the machine was suspended or
had no processor for it, so the workers' signs may be late for the same reason.
"""

START_TIMES = 12
"""A worker may be silent for this many times the limit until it has started. On a busy machine imports take seconds."""

_RUNNABLE = b"R"


class ProcessorUse(Struct, frozen=True):
    """The use that the main thread of a process, which runs the event loop, has made of the processors so far.

    Attributes:
        ran_s: the time for which it ran, in seconds.
        waited_s: the time for which it waited for a processor, in seconds, without a wait that has not ended.
        is_runnable: it runs, or waits for a processor.
    """

    ran_s: float
    waited_s: float
    is_runnable: bool


def processor_use(pid: int) -> ProcessorUse | None:
    """Return the use of the processors by a process; None if it has ended, or if the system does not tell."""
    directory = Path("/proc", str(pid))
    try:
        ran, waited, _ = directory.joinpath("schedstat").read_bytes().split()
        # The name of the program stands in parentheses before the state, and may hold any character.
        state = directory.joinpath("stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, ValueError, IndexError):
        return None
    return ProcessorUse(int(ran) / 1e9, int(waited) / 1e9, state == _RUNNABLE)


class LifeSigns:
    """The signs of life of one process of a worker.

    Args:
        limit_s: the silence after which the process hangs, in seconds; 0 for no limit.

    Attributes:
        silent_s: the silence so far, in seconds for which the parent ran.
        idle_s: the part of it for which the process did not wait for a processor, in seconds; a busy machine alone
            does not make it grow.
    """

    def __init__(self, limit_s: float) -> None:
        self.silent_s = self.idle_s = 0.0
        self._limit_s = limit_s
        self._has_started = False
        self._use: ProcessorUse | None = None

    def hear(self, *, has_started: bool = False) -> None:
        """Begin anew with a sign of life; with has_started, the worker takes connections from now on."""
        self.silent_s = self.idle_s = 0.0
        self._has_started = self._has_started or has_started

    def look(self, elapsed_s: float, use: ProcessorUse | None = None) -> None:
        """Add the time since the last look.

        Args:
            elapsed_s: that time, in seconds.
            use: that of the process, None if it is not known: then all of the time counts.
        """
        added_s = min(elapsed_s, _MOST_A_LOOK_S)
        self.silent_s += added_s
        self.idle_s += max(min(added_s, elapsed_s - self._waited_s(elapsed_s, use)), 0.0)
        self._use = use

    @property
    def is_too_long(self) -> bool:
        """The process hangs."""
        limit_s = self._limit_s if self._has_started else START_TIMES * self._limit_s
        return self._limit_s > 0 and self.idle_s >= limit_s

    def _waited_s(self, elapsed_s: float, use: ProcessorUse | None) -> float:
        """Return for how long the process waited for a processor since the last look, in seconds."""
        if use is None or self._use is None:
            return 0.0
        if use.is_runnable:
            # A wait that has not ended is not told yet: a runnable process waits whenever it does not run.
            return elapsed_s - (use.ran_s - self._use.ran_s)
        return use.waited_s - self._use.waited_s
