"""Tells routers that have waiting polls when the next job of a type becomes due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from sharq_core.link.messages import OnDue


class DueSubscribers:
    """Who wants to know of which type. `next_due` is the ready index's, by time.monotonic."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._by_type: dict[str, list[OnDue]] = {}
        self.next_due: Callable[[str], float | None] = lambda queue_type: None

    def __len__(self) -> int:
        """How many want to know, each type of each router once."""
        return sum(map(len, self._by_type.values()))

    def __bool__(self) -> bool:
        """Whether anybody wants to know anything."""
        return bool(self._by_type)

    def is_watched(self, queue_type: str) -> bool:
        """Whether anybody wants to know of the type."""
        return queue_type in self._by_type

    def add(self, queue_type: str, on_due: OnDue) -> None:
        """Tell on_due the current time soon, and every earlier one from now on."""
        self._by_type.setdefault(queue_type, []).append(on_due)
        self._loop.call_soon(self._tell, queue_type, on_due)

    def remove(self, queue_type: str, on_due: OnDue) -> None:
        """Stop telling it; one that is unknown is ignored."""
        known = self._by_type.get(queue_type, [])
        if on_due in known:
            known.remove(on_due)
        if not known:
            self._by_type.pop(queue_type, None)

    def on_earlier(self, queue_type: str, due_at: float) -> None:
        """The type's earliest time is due_at now (time.monotonic)."""
        for on_due in self._by_type.get(queue_type, ()):
            on_due(int((due_at - monotonic()) * 1e6))

    def due_in_us(self, queue_type: str) -> int | None:
        """Time in µs until the type's next job is due, negative for how long one is; None when none waits."""
        due_at = self.next_due(queue_type)
        return None if due_at is None else int((due_at - monotonic()) * 1e6)

    def _tell(self, queue_type: str, on_due: OnDue) -> None:
        if on_due in self._by_type.get(queue_type, ()):
            on_due(self.due_in_us(queue_type))
