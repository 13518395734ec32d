"""Which partition has the earliest ready job of a type, in memory: a hint for the dequeue and for waiting polls.

Times here are this machine's (time.monotonic, which the event loop's time is too, only cut to ms), so that nothing
compares the clocks of two machines. The store decides what is ready; the index only says where to ask, and that there
is nothing to ask for. So an entry may be early, but not late: news that may be newer than an exact view survives it.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import msgspec

from sharq_core.scheduler.replies import Hint


class _Entry(msgspec.Struct):
    """due_at: when the partition's next queue of the type is due; queues: how many are due, about, at least 1;
    noted_at: when the last news came that a function call changed something.
    """

    due_at: float
    queues: int
    noted_at: float


class _Type:
    """The partitions of a type, at least one; remembers the earliest due time until that one changes."""

    def __init__(self) -> None:
        self.entries: dict[int, _Entry] = {}
        self._earliest: float | None = None

    @property
    def earliest(self) -> float:
        """When the next queue is due. Cost: O(partitions) after the earliest has changed."""
        if self._earliest is None:
            self._earliest = min(entry.due_at for entry in self.entries.values())
        return self._earliest

    def put(self, partition: int, entry: _Entry) -> None:
        self.drop(partition)
        self.entries[partition] = entry
        self.lower(entry.due_at)

    def lower(self, due_at: float) -> None:
        """An entry is due at due_at now, not later than it was."""
        if self._earliest is not None and due_at < self._earliest:
            self._earliest = due_at

    def drop(self, partition: int) -> None:
        old = self.entries.pop(partition, None)
        if old is not None and old.due_at == self._earliest:
            self._earliest = None


class ReadyIndex:
    """Per type and partition, when the next queue is due.

    Args:
        on_earlier: told (queue_type, due_at) when a type's earliest time became earlier.
        store_now_us: given a partition, the time of its server now or a little before; None when that is not known. A
            reply's own time is older by as long as the reply took, and what is due would be noticed so much later.
    """

    def __init__(
        self, on_earlier: Callable[[str, float], None], store_now_us: Callable[[int], int | None]
    ) -> None:
        self._on_earlier = on_earlier
        self._store_now_us = store_now_us
        self._types: dict[str, _Type] = {}

    def note(self, partition: int, queue_type: str, hint: Hint) -> None:
        """A call made a queue due at hint.ready_us that may not have been due before."""
        if hint.ready_us is None:
            return
        now = monotonic()
        due_at = now + self._left_s(partition, hint.ready_us, hint.now_us)
        earliest = self.next_due(queue_type)
        known = self._type(queue_type)
        entry = known.entries.get(partition)
        if entry is None:
            known.put(partition, _Entry(due_at, 1, now))
        else:
            entry.noted_at = now
            if due_at <= now:
                entry.queues += 1
            self._bring_forward(known, entry, due_at)
        if earliest is None or due_at < earliest:
            self._on_earlier(queue_type, due_at)

    def settle(
        self, partition: int, queue_type: str, now_us: int, head_us: int | None, queues: int, sent_at: float
    ) -> None:
        """A call that was sent at sent_at saw the type's whole state: head_us is when its next queue is due.

        News that came after sent_at may be of later calls, so they are kept.
        """
        known = self._types.get(queue_type)
        entry = known.entries.get(partition) if known else None
        due_at = None if head_us is None else monotonic() + self._left_s(partition, head_us, now_us)
        if known is not None and entry is not None and entry.noted_at >= sent_at:
            if due_at is not None:
                self._bring_forward(known, entry, due_at)
            entry.queues = max(queues, 1)
        elif due_at is None:
            self._forget(queue_type, partition)
        else:
            earliest = self.next_due(queue_type)
            self._type(queue_type).put(partition, _Entry(due_at, max(queues, 1), monotonic()))
            if earliest is None or due_at < earliest:
                self._on_earlier(queue_type, due_at)

    def refresh(self, partition: int, now_us: int, ready_us: dict[str, int], sent_at: float) -> None:
        """The partition's agenda as a call sent at sent_at read it: every type that has a ready time, early perhaps."""
        gone = [
            kind for kind, known in self._types.items() if partition in known.entries and kind not in ready_us
        ]
        for queue_type in gone:
            self.settle(partition, queue_type, now_us, None, 0, sent_at)
        for queue_type, head_us in ready_us.items():
            known = self._types.get(queue_type)
            entry = known.entries.get(partition) if known else None
            self.settle(partition, queue_type, now_us, head_us, entry.queues if entry else 1, sent_at)

    def overdue_s(self) -> dict[str, float]:
        """By type, how long its longest due queue has been due; 0 when none is. Cost: O(types)."""
        now = monotonic()
        return {queue_type: max(now - known.earliest, 0.0) for queue_type, known in self._types.items()}

    def next_due(self, queue_type: str) -> float | None:
        """When the type's next queue is due, in any partition; None when none waits."""
        known = self._types.get(queue_type)
        return known.earliest if known else None

    def due(self, queue_type: str, now: float) -> list[tuple[int, int]]:
        """(partition, queues due, about) of the partitions that are due, longest due first. Cost: O(partitions)."""
        known = self._types.get(queue_type)
        if known is None:
            return []
        found = [(entry.due_at, p, entry.queues) for p, entry in known.entries.items() if entry.due_at <= now]
        return [(partition, queues) for _, partition, queues in sorted(found)]

    def keep(self, covers: Callable[[int], bool]) -> None:
        """Forget the partitions that this node answers for no longer."""
        for queue_type, known in list(self._types.items()):
            for partition in [partition for partition in known.entries if not covers(partition)]:
                self._forget(queue_type, partition)

    def _left_s(self, partition: int, at_us: int, said_us: int) -> float:
        """Until a time of the store that a reply spoke of, which it gave at said_us."""
        return (at_us - max(said_us, self._store_now_us(partition) or said_us)) / 1e6

    def _type(self, queue_type: str) -> _Type:
        """To put an entry into."""
        known = self._types.get(queue_type)
        if known is None:
            known = self._types[queue_type] = _Type()
        return known

    def _bring_forward(self, known: _Type, entry: _Entry, due_at: float) -> None:
        if due_at < entry.due_at:
            entry.due_at = due_at
            known.lower(due_at)

    def _forget(self, queue_type: str, partition: int) -> None:
        known = self._types.get(queue_type)
        if known is not None:
            known.drop(partition)
            if not known.entries:
                del self._types[queue_type]
