"""Measures for how long a worker has given no sign of life, by the time for which the parent itself has run."""

from __future__ import annotations

LOOK_S = 0.25
"""The time between two looks of the parent at its workers, in seconds."""

_MOST_A_LOOK_S = 2 * LOOK_S
"""The most that one look adds, in seconds. After a longer time the parent was late itself: the machine was suspended or
had no processor for it, so the workers' signs may be late for the same reason.
"""

START_TIMES = 12
"""A worker may take this many times the limit to its first sign. On a busy machine imports take seconds."""


class LifeSigns:
    """The signs of life of one process of a worker.

    Args:
        limit_s: the silence after which the process hangs, in seconds; 0 for no limit.

    Attributes:
        silent_s: the silence so far, in seconds for which the parent ran.
    """

    def __init__(self, limit_s: float) -> None:
        self.silent_s = 0.0
        self._limit_s = limit_s
        self._was_heard = False

    def hear(self) -> None:
        """Begin anew with a sign of life."""
        self.silent_s = 0.0
        self._was_heard = True

    def look(self, elapsed_s: float) -> None:
        """Add the time since the last look, in seconds."""
        self.silent_s += min(elapsed_s, _MOST_A_LOOK_S)

    @property
    def is_too_long(self) -> bool:
        """The process hangs."""
        limit_s = self._limit_s if self._was_heard else START_TIMES * self._limit_s
        return self._limit_s > 0 and self.silent_s >= limit_s
