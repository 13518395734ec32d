"""Which partition has the earliest ready job of a type, in memory: a hint for the dequeue and for waiting polls.

Times here are this machine's (time.monotonic, which the event loop's time is too, only cut to ms), so that nothing
compares the clocks of two machines. The store decides what is ready; the index only says where to ask, and that there
is nothing to ask for. So an entry may be early, but not late: news that may be newer than an exact view survives it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from itertools import islice
from time import monotonic

import msgspec

from sharq_core.scheduler.replies import Hint


class _Entry(msgspec.Struct, gc=False):
    """due_at: when the partition's next queue of the type is due; queues: how many are due, about, at least 1;
    noted_at: when the last news came that a function call changed something.
    """

    due_at: float
    queues: int
    noted_at: float


class _Type(msgspec.Struct, gc=False):
    """The partitions of a type, at least one; remembers the earliest due time until that one changes.

    There may be 100,000, and each that the cycle collector had to look at would make it stop the process for longer.
    """

    entries: dict[int, _Entry] = {}
    known_earliest: float | None = None

    @property
    def earliest(self) -> float:
        """When the next queue is due. Cost: O(partitions) after the earliest has changed."""
        if self.known_earliest is None:
            self.known_earliest = min(entry.due_at for entry in self.entries.values())
        return self.known_earliest

    def put(self, partition: int, entry: _Entry) -> None:
        self.drop(partition)
        self.entries[partition] = entry
        self.lower(entry.due_at)

    def lower(self, due_at: float) -> None:
        """An entry is due at due_at now, not later than it was."""
        if self.known_earliest is not None and due_at < self.known_earliest:
            self.known_earliest = due_at

    def drop(self, partition: int) -> None:
        old = self.entries.pop(partition, None)
        if old is not None and old.due_at == self.known_earliest:
            self.known_earliest = None


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
        self._by_partition: dict[int, set[str]] = {}
        self._put_off: dict[tuple[int, str], float] = {}
        self._to_rank: list[str] = []
        self._earliest_so_far: float | None = None
        self._earliest_of_rest: float | None = None

    def note(self, partition: int, queue_type: str, hint: Hint) -> None:
        """A call made a queue due at hint.ready_us that may not have been due before."""
        if hint.ready_us is None:
            return
        now = monotonic()
        due_at = now + self._left_s(partition, hint.ready_us, hint.now_us)
        if self._put_off:
            due_at = max(due_at, self._put_off.get((partition, queue_type), due_at))
        known = self._types.get(queue_type)
        earliest = known.earliest if known else None
        entry = known.entries.get(partition) if known else None
        if known is None or entry is None:
            self._put(partition, queue_type, _Entry(due_at, 1, now))
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
        due_at = None if head_us is None else monotonic() + self._left_s(partition, head_us, now_us)
        self._settle(partition, queue_type, due_at, queues, sent_at)

    def read(
        self, partition: int, now_us: int, heads_us: Iterable[tuple[str, int | None]], sent_at: float
    ) -> None:
        """A call that was sent at sent_at read when the next queue of some types is due, early perhaps; None: never."""
        offset_s = monotonic() - max(now_us, self._store_now_us(partition) or now_us) / 1e6
        known = self._types
        for queue_type, head_us in heads_us:
            if head_us is None:
                if queue_type in known:
                    self._settle(partition, queue_type, None, 0, sent_at)
                continue
            entry = known[queue_type].entries.get(partition) if queue_type in known else None
            self._settle(
                partition, queue_type, head_us / 1e6 + offset_s, entry.queues if entry else 1, sent_at
            )

    def types_in(self, partition: int) -> list[str]:
        """The types that have an entry for a partition."""
        return list(self._by_partition.get(partition, ()))

    def forget(self, partition: int, limit: int) -> bool:
        """Forget up to `limit` types of a partition that this node answers for no longer; False when none is left."""
        for queue_type in list(islice(self._by_partition.get(partition, ()), limit)):
            self._forget(queue_type, partition)
        return partition in self._by_partition

    def partitions(self) -> list[int]:
        """The partitions that have an entry."""
        return list(self._by_partition)

    def overdue_s(self, queue_type: str) -> float:
        """How long the type's longest due queue has been due; 0 when none is."""
        known = self._types.get(queue_type)
        return max(monotonic() - known.earliest, 0.0) if known else 0.0

    def rank(self, limit: int, beside: Container[str]) -> None:
        """Go on looking for the longest due of all types but those in `beside`, at up to `limit` types at once."""
        for _ in range(min(limit, len(self._to_rank))):
            queue_type = self._to_rank.pop()
            known = self._types.get(queue_type)
            if known is not None and queue_type not in beside:
                earliest = self._earliest_so_far
                self._earliest_so_far = known.earliest if earliest is None else min(known.earliest, earliest)
        if not self._to_rank:
            self._earliest_of_rest, self._earliest_so_far = self._earliest_so_far, None
            self._to_rank = list(self._types)

    @property
    def longest_overdue_s(self) -> float:
        """How long the longest due queue had been due of the types that `rank` looks at, when it had last seen all of
        them; 0 when none was.
        """
        earliest = self._earliest_of_rest
        return 0.0 if earliest is None else max(monotonic() - earliest, 0.0)

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

    def put_off(self, partition: int, queue_type: str, until: float) -> None:
        """Nothing of the type can be had from the partition before `until` (time.monotonic), whatever is due there."""
        now = monotonic()
        self._put_off = {place: end for place, end in self._put_off.items() if end > now}
        self._put_off[partition, queue_type] = until
        self._put(partition, queue_type, _Entry(until, 1, now))

    def _settle(
        self, partition: int, queue_type: str, due_at: float | None, queues: int, sent_at: float
    ) -> None:
        known = self._types.get(queue_type)
        entry = known.entries.get(partition) if known else None
        if self._put_off and due_at is not None:
            due_at = max(due_at, self._put_off.get((partition, queue_type), due_at))
        if known is not None and entry is not None and entry.noted_at >= sent_at:
            if due_at is not None:
                self._bring_forward(known, entry, due_at)
            entry.queues = max(queues, 1)
        elif due_at is None:
            self._forget(queue_type, partition)
        else:
            earliest = known.earliest if known else None
            self._put(partition, queue_type, _Entry(due_at, max(queues, 1), monotonic()))
            if earliest is None or due_at < earliest:
                self._on_earlier(queue_type, due_at)

    def _left_s(self, partition: int, at_us: int, said_us: int) -> float:
        """Until a time of the store that a reply spoke of, which it gave at said_us."""
        return (at_us - max(said_us, self._store_now_us(partition) or said_us)) / 1e6

    def _put(self, partition: int, queue_type: str, entry: _Entry) -> None:
        known = self._types.get(queue_type)
        if known is None:
            known = self._types[queue_type] = _Type()
        if partition not in known.entries:
            self._by_partition.setdefault(partition, set()).add(queue_type)
        known.put(partition, entry)

    def _bring_forward(self, known: _Type, entry: _Entry, due_at: float) -> None:
        if due_at < entry.due_at:
            entry.due_at = due_at
            known.lower(due_at)

    def _forget(self, queue_type: str, partition: int) -> None:
        known = self._types.get(queue_type)
        if known is None or partition not in known.entries:
            return
        known.drop(partition)
        if not known.entries:
            del self._types[queue_type]
        types = self._by_partition[partition]
        types.discard(queue_type)
        if not types:
            del self._by_partition[partition]
