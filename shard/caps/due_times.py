"""Keeps the due times of many things, the earliest first."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT")

SPARE = 64
"""Outdated entries that the heap may hold beside as many as there are things."""


class DueTimes(Generic[KeyT]):
    """Times in µs by key. Cost of a change: O(log n), on average."""

    def __init__(self) -> None:
        self._times: dict[KeyT, int] = {}
        self._heap: list[tuple[int, KeyT]] = []

    def __len__(self) -> int:
        """Return the number of keys with a time."""
        return len(self._times)

    def put(self, key: KeyT, at_us: int | None) -> None:
        """Set the time of a key; None removes it."""
        if at_us is None:
            self._times.pop(key, None)
        elif self._times.get(key) != at_us:
            self._times[key] = at_us
            heapq.heappush(self._heap, (at_us, key))
        if len(self._heap) > 2 * len(self._times) + SPARE:
            self._heap = [(at, other) for other, at in self._times.items()]
            heapq.heapify(self._heap)

    def first_us(self) -> int | None:
        """Return the earliest time; None without keys."""
        self._drop_outdated()
        return self._heap[0][0] if self._heap else None

    def due(self, now_us: int, limit: int) -> list[KeyT]:
        """Return up to `limit` keys whose time has come, earliest first."""
        popped: dict[KeyT, int] = {}
        while len(popped) < limit:
            self._drop_outdated()
            if not self._heap or self._heap[0][0] > now_us:
                break
            at_us, key = heapq.heappop(self._heap)
            popped[key] = at_us
        for key, at_us in popped.items():
            heapq.heappush(self._heap, (at_us, key))
        return list(popped)

    def _drop_outdated(self) -> None:
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
