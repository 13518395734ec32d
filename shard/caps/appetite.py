"""Decides how many slots a node holds for a set of caps: as many as its workers use in time."""

from __future__ import annotations

from sharq_core.caps import MAX_TAKE


class Appetite:
    """The number of slots to hold at one time, from the fate of the earlier ones.

    The number doubles while all slots are used, and falls to the number of used ones if some are lost: slots that
    nobody here uses in time are lost for the other nodes, too.

    Attributes:
        target: the number, 1 to MAX_TAKE.
    """

    def __init__(self) -> None:
        self.target = 1
        self._used = 0
        self._lost = 0

    def begin(self, queues: int) -> None:
        """Begin with one slot for each due queue."""
        self.target = min(max(queues, 1), MAX_TAKE)
        self._used = self._lost = 0

    def note(self, used: int, lost: int) -> None:
        """Note the fate of some slots."""
        self._used += used
        self._lost += lost
        if self._used + self._lost >= self.target:
            self.target = min(2 * self.target, MAX_TAKE) if not self._lost else max(self._used, 1)
            self._used = self._lost = 0

    def room(self, held: int) -> int:
        """Return how many slots to reserve beside those that are held; 0 until half of them are gone."""
        room = self.target - held
        return room if 2 * room >= self.target else 0
