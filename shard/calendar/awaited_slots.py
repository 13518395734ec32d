"""Keeps the next slots of a node's schedules in the order of their times, and notes those that are overdue."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container
from typing import NamedTuple

SPARE_ENTRIES = 1_000
"""Entries of schedules that have changed since, which the heap may keep besides as many as it needs."""


class AwaitedSlot(NamedTuple):
    """The next slot of a schedule, as it was when it began to be awaited.

    Attributes:
        due_at: the time to fire, in seconds by the loop's clock.
        version: of the schedule.
        slot_us: the slot, in µs.
    """

    due_at: float
    partition: int
    name: str
    version: int
    slot_us: int

    @property
    def place(self) -> tuple[int, str]:
        """The partition and the name of the schedule."""
        return self.partition, self.name

    def is_slot_of(self, other: AwaitedSlot | None) -> bool:
        """Return True if the other one is the same slot of the same schedule, whatever the time to fire."""
        return other is not None and self[1:] == other[1:]


class AwaitedSlots:
    """The slots of one node, at most one of each schedule.

    Args:
        is_next: returns True if a slot is the next one of its schedule as it is now. Others are dropped.
    """

    def __init__(self, is_next: Callable[[AwaitedSlot], bool]) -> None:
        self._is_next = is_next
        self._heap: list[AwaitedSlot] = []
        self._awaited: dict[tuple[int, str], AwaitedSlot] = {}
        self._overdue: dict[tuple[int, str], AwaitedSlot] = {}

    def __len__(self) -> int:
        """Return the number of awaited slots."""
        return len(self._awaited)

    @property
    def overdue(self) -> int:
        """The number of slots whose time has come, and that were not fired."""
        return len(self._overdue)

    @property
    def first_at(self) -> float | None:
        """The time at which the first slot is to be fired; None for none."""
        self._drop_moved()
        return self._heap[0].due_at if self._heap else None

    @property
    def overdue_since(self) -> float | None:
        """The time of the earliest slot that was not fired, which may be to come; None for none."""
        # A firing that failed is awaited anew, so that its entry in the heap says when it is tried again.
        since = [slot.due_at for slot in self._overdue.values() if self._is_next(slot)]
        first_at = self.first_at
        return min(since if first_at is None else [*since, first_at], default=None)

    def get(self, partition: int, name: str) -> AwaitedSlot | None:
        """Return the awaited slot of a schedule; None for none."""
        return self._awaited.get((partition, name))

    def push(self, slot: AwaitedSlot) -> bool:
        """Await a slot in place of the one before; return True if it is the first of all."""
        self._awaited[slot.place] = slot
        heapq.heappush(self._heap, slot)
        if len(self._heap) > 2 * len(self._awaited) + SPARE_ENTRIES:
            self._heap = list(self._awaited.values())
            heapq.heapify(self._heap)
        return self._heap[0] is slot

    def pop_due(self, now: float) -> AwaitedSlot | None:
        """Take the first slot if its time has come. It is overdue until `end` is called."""
        self._drop_moved()
        if not self._heap or self._heap[0].due_at > now:
            return None
        slot = heapq.heappop(self._heap)
        del self._awaited[slot.place]
        # A further try of a firing changes nothing.
        if not slot.is_slot_of(self._overdue.get(slot.place)):
            self._overdue[slot.place] = slot
        return slot

    def end(self, partition: int, name: str) -> None:
        """Note that the overdue slot of a schedule was fired."""
        self._overdue.pop((partition, name), None)

    def hurry(self, partition: int) -> None:
        """Let the overdue slots of a partition that are awaited again be due now."""
        for slot in self._overdue.values():
            if slot.partition == partition and slot.is_slot_of(self._awaited.get(slot.place)):
                self.push(slot)

    def drop(self, partition: int, name: str) -> None:
        """Forget a schedule."""
        self._awaited.pop((partition, name), None)
        self.end(partition, name)

    def keep(self, partitions: Container[int]) -> None:
        """Forget the schedules of all other partitions."""
        self._awaited = {place: slot for place, slot in self._awaited.items() if slot.partition in partitions}
        self._overdue = {place: slot for place, slot in self._overdue.items() if slot.partition in partitions}

    def _drop_moved(self) -> None:
        """Drop the first slots whose schedules have changed since; the heap keeps them until then."""
        while self._heap:
            slot = self._heap[0]
            is_awaited = self._awaited.get(slot.place) is slot
            if is_awaited and self._is_next(slot):
                return
            heapq.heappop(self._heap)
            if is_awaited:
                del self._awaited[slot.place]
