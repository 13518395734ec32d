"""Which partition has the earliest ready job of a type, in memory: a hint for the dequeue and for waiting polls.

Times here are the event loop's, in seconds, so that nothing compares the clocks of two machines. The store decides what
is ready; the index only says where to ask, and that there is nothing to ask for. So an entry may be early, but not
late: news that may be newer than an exact view survives it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from sharq_core.scheduler.replies import Hint


class _Entry(msgspec.Struct):
    """due_at: when the partition's next queue of the type is due; queues: how many are due, about, at least 1;
    noted_at: when the last news came that a function call changed something.
    """

    due_at: float
    queues: int
    noted_at: float


class ReadyIndex:
    """Per type and partition, when the next queue is due.

    Args:
        on_earlier: told (queue_type, due_at) when a type's earliest time became earlier.
    """

    def __init__(self, on_earlier: Callable[[str, float], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_earlier = on_earlier
        self._types: dict[str, dict[int, _Entry]] = {}

    def note(self, partition: int, queue_type: str, hint: Hint) -> None:
        """A call made a queue due at hint.ready_us that may not have been due before."""
        if hint.ready_us is None:
            return
        now = self._loop.time()
        due_at = now + (hint.ready_us - hint.now_us) / 1e6
        entry = self._entries(queue_type).get(partition)
        earliest = self.next_due(queue_type)
        if entry is None:
            self._types[queue_type][partition] = _Entry(due_at, 1, now)
        else:
            entry.noted_at = now
            if due_at <= now:
                entry.queues += 1
            entry.due_at = min(entry.due_at, due_at)
        if earliest is None or due_at < earliest:
            self._on_earlier(queue_type, due_at)

    def settle(
        self, partition: int, queue_type: str, now_us: int, head_us: int | None, queues: int, sent_at: float
    ) -> None:
        """A call that was sent at sent_at saw the type's whole state: head_us is when its next queue is due.

        News that came after sent_at may be of later calls, so they are kept.
        """
        entries = self._entries(queue_type)
        entry = entries.get(partition)
        now = self._loop.time()
        due_at = None if head_us is None else now + (head_us - now_us) / 1e6
        if entry is not None and entry.noted_at >= sent_at:
            if due_at is not None:
                entry.due_at = min(entry.due_at, due_at)
            entry.queues = max(queues, 1)
        elif due_at is None:
            entries.pop(partition, None)
            if not entries:
                del self._types[queue_type]
        else:
            earliest = self.next_due(queue_type)
            entries[partition] = _Entry(due_at, max(queues, 1), entry.noted_at if entry else 0.0)
            if earliest is None or due_at < earliest:
                self._on_earlier(queue_type, due_at)

    def refresh(self, partition: int, now_us: int, ready_us: dict[str, int], sent_at: float) -> None:
        """The partition's agenda as a call sent at sent_at read it: every type that has a ready time, early perhaps."""
        gone = [
            kind for kind, entries in self._types.items() if partition in entries and kind not in ready_us
        ]
        for queue_type in gone:
            self.settle(partition, queue_type, now_us, None, 0, sent_at)
        for queue_type, head_us in ready_us.items():
            entry = self._types.get(queue_type, {}).get(partition)
            self.settle(partition, queue_type, now_us, head_us, entry.queues if entry else 1, sent_at)

    def next_due(self, queue_type: str) -> float | None:
        """When the type's next queue is due, in any partition; None when none waits. Cost: O(partitions)."""
        entries = self._types.get(queue_type)
        return min(entry.due_at for entry in entries.values()) if entries else None

    def due(self, queue_type: str, now: float) -> list[tuple[int, int]]:
        """(partition, queues due, about) of the partitions that are due, longest due first. Cost: O(partitions)."""
        entries = self._types.get(queue_type, {})
        found = [(entry.due_at, p, entry.queues) for p, entry in entries.items() if entry.due_at <= now]
        return [(partition, queues) for _, partition, queues in sorted(found)]

    def keep(self, covers: Callable[[int], bool]) -> None:
        """Forget the partitions that this node answers for no longer."""
        for queue_type, entries in list(self._types.items()):
            for partition in [partition for partition in entries if not covers(partition)]:
                del entries[partition]
            if not entries:
                del self._types[queue_type]

    def _entries(self, queue_type: str) -> dict[int, _Entry]:
        return self._types.setdefault(queue_type, {})
