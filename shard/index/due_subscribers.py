"""Notifies routers with waiting polls when the next job of a type becomes due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from sharq_core.link.messages import OnDue


class DueSubscribers:
    """The subscribers of each type.

    Attributes:
        next_due: the ready index's function for a type's next due time (time.monotonic).
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._by_type: dict[str, list[OnDue]] = {}
        self.next_due: Callable[[str], float | None] = lambda _: None

    def __len__(self) -> int:
        """Return the number of subscriptions; each type of each router counts once."""
        return sum(map(len, self._by_type.values()))

    def __bool__(self) -> bool:
        """Return True if there is any subscription."""
        return bool(self._by_type)

    def is_watched(self, queue_type: str) -> bool:
        """Return True if the type has a subscriber."""
        return queue_type in self._by_type

    def add(self, queue_type: str, on_due: OnDue) -> None:
        """Call on_due with the current due time soon, and with every earlier one from now on."""
        self._by_type.setdefault(queue_type, []).append(on_due)
        self._loop.call_soon(self._tell, queue_type, on_due)

    def remove(self, queue_type: str, on_due: OnDue) -> None:
        """Remove a subscriber; an unknown one is ignored."""
        subscribers = self._by_type.get(queue_type, [])
        if on_due in subscribers:
            subscribers.remove(on_due)
        if not subscribers:
            self._by_type.pop(queue_type, None)

    def on_earlier(self, queue_type: str, due_at: float) -> None:
        """Tell the subscribers of a type that its earliest due time is due_at now (time.monotonic)."""
        for on_due in self._by_type.get(queue_type, ()):
            on_due(int((due_at - monotonic()) * 1e6))

    def due_in_us(self, queue_type: str) -> int | None:
        """Return the time in µs until the type's next job is due, negative if overdue; None if no job waits."""
        due_at = self.next_due(queue_type)
        return None if due_at is None else int((due_at - monotonic()) * 1e6)

    def _tell(self, queue_type: str, on_due: OnDue) -> None:
        if on_due in self._by_type.get(queue_type, ()):
            on_due(self.due_in_us(queue_type))
