"""Divides a list of tests among processes: each has a run of it, and one that has ended takes the end of another's."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class Runs:
    """The tests that no process has taken yet, by their place in the list.

    Args:
        tests: how many there are.
        processes: how many processes take them; their runs are of equal length.
    """

    def __init__(self, tests: int, processes: int) -> None:
        self._runs: list[deque[int]] = []
        begin = 0
        for number in range(processes):
            end = begin + (tests - begin) // (processes - number)
            self._runs.append(deque(range(begin, end)))
            begin = end

    def take(self, number: int) -> int | None:
        """Return the next test of a process; None if no tests are left.

        If its run is empty, it gets the second half of the longest one: neighbours share fixtures.
        """
        own = self._runs[number]
        if not own:
            longest = max(self._runs, key=len)
            own.extendleft(longest.pop() for _ in range((len(longest) + 1) // 2))
        return own.popleft() if own else None

    def put_back(self, number: int, tests: Sequence[int]) -> None:
        """Put tests at the beginning of the run of the process that took them."""
        self._runs[number].extendleft(reversed(tests))

    def clear(self) -> None:
        """Let no more tests be taken."""
        for run in self._runs:
            run.clear()
