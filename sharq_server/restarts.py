"""Decides when a worker that has ended is started again, and when the server gives up."""

from __future__ import annotations

QUICK_S = 10.0
"""A worker that ends within this time of its start has ended quickly, in seconds."""

PAUSES_S = (0.0, 0.5, 1.0, 2.0, 4.0)
"""The pause before each start after a quick end, in seconds: after the first one of a row, after the second, ..."""


class Restarts:
    """The ends of one worker.

    Attributes:
        count: the number of times that the worker was started again.
        quick: the number of quick ends in a row.
    """

    def __init__(self) -> None:
        self.count = 0
        self.quick = 0

    def pause_s(self, lived_s: float) -> float | None:
        """Return the pause before the next start in seconds; None if the worker ended quickly too often in a row.

        Args:
            lived_s: the time from the worker's start to its end.
        """
        self.quick = self.quick + 1 if lived_s < QUICK_S else 0
        if self.quick > len(PAUSES_S):
            return None
        self.count += 1
        return PAUSES_S[max(self.quick - 1, 0)]
