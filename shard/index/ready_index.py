"""Remembers when each queue type is due next in each partition: a hint for the dequeue and for waiting polls.

Times are this machine's (time.monotonic, the clock of the event loop too), so that the clocks of two machines are never
compared. The store decides which jobs are ready. The index only says which partitions to ask, or that none needs to be
asked. An entry may therefore be early, but never late: a hint that may be newer than an exact reading survives it.
Routers with waiting polls subscribe to a type and are told when its next job becomes due earlier. Other workers of one
`sharq-server` listen to the notes themselves (shard/index/due_notes.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable
from itertools import islice
from time import monotonic
from typing import TypeAlias

import msgspec

from shard.index.aim import Aim
from sharq_core.link.messages import OnDue
from sharq_core.scheduler.replies import Hint

HEAD_START_S = 0.1
"""The time in seconds for which the owner of a partition is first to ask it, while there are other due partitions. Two
nodes that serve every partition would otherwise ask the same ones at the same time, and one of them would get nothing.
"""

MOST_SLACK_S = 0.1
"""The most by which a queue that has time stands behind one that has none: it bounds how long one is passed over.
"""

OnNote: TypeAlias = Callable[[int, float], None]
"""A function that takes the partition and the due time (time.monotonic) of a note."""


class _Entry(msgspec.Struct, gc=False):
    """The state of a type in one partition; times are time.monotonic, in seconds.

    Attributes:
        due_at: the time at which the partition's next queue of the type is due.
        queues: the approximate number of due queues, at least 1.
        noted_at: the time of the last reply whose call changed something.
        slack_s: the time until the queue after the next one is due, as far as is known. A queue at a high rate has a
            short one, and each moment that it waits costs it more of its rate.
    """

    due_at: float
    queues: int
    noted_at: float
    slack_s: float = MOST_SLACK_S


class _Type(msgspec.Struct, gc=False):
    """The partitions of a type, or only capped_at, with the earliest due time cached until it changes.

    There may be 100,000 types. They are exempt from the cycle collector (gc=False), whose pauses they would lengthen.

    Attributes:
        capped_at: the time at which one of its queues with caps may be leased from; None if no such time is known.
    """

    entries: dict[int, _Entry] = {}
    known_earliest: float | None = None
    capped_at: float | None = None

    @property
    def earliest(self) -> float:
        """The time at which the next queue is due. Cost: O(partitions) after the earliest entry has changed."""
        if self.known_earliest is None:
            earliest = min((entry.due_at for entry in self.entries.values()), default=self.capped_at)
            assert earliest is not None, "a type has an entry or capped_at"
            self.known_earliest = earliest if self.capped_at is None else min(earliest, self.capped_at)
        return self.known_earliest

    def put(self, partition: int, entry: _Entry) -> None:
        self.drop(partition)
        self.entries[partition] = entry
        self.lower(entry.due_at)

    def lower(self, due_at: float) -> None:
        """Lower the cached earliest time after an entry was moved to an earlier due_at."""
        if self.known_earliest is not None and due_at < self.known_earliest:
            self.known_earliest = due_at

    def drop(self, partition: int) -> None:
        old = self.entries.pop(partition, None)
        if old is not None and old.due_at == self.known_earliest:
            self.known_earliest = None


class ReadyIndex:
    """The due times of all types, by partition.

    Args:
        arrival_us: returns the time of a partition's server, in µs, at which a call that leaves now arrives at the
            earliest; None if it is unknown. With the time in a reply, entries would be late by the ways of the reply
            and of the next call.

    Attributes:
        aim: the lead of dequeues over that call; entries are earlier by it.
        subscribers: the subscribers of each type that has any.
        others: partitions that are asked later than they are due, because another node that serves every partition asks
            them first; empty if this node serves its own partitions only.
        listeners: by type, the listeners that get the partition and the due time of each note.
        on_subscribed: called with a type after its subscribers have changed.
    """

    def __init__(self, arrival_us: Callable[[int], int | None]) -> None:
        self.aim = Aim()
        self.on_subscribed: Callable[[str], None] = lambda _: None
        self.subscribers: dict[str, list[OnDue]] = {}
        self.others: frozenset[int] = frozenset()
        self.listeners: dict[str, list[OnNote]] = {}
        self._loop = asyncio.get_running_loop()
        self._arrival_us = arrival_us
        self._types: dict[str, _Type] = {}
        self._by_partition: dict[int, set[str]] = {}
        self._put_off: dict[tuple[int, str], float] = {}
        self._to_rank: list[str] = []
        self._earliest_so_far: float | None = None
        self._earliest_of_rest: float | None = None

    def note(self, partition: int, queue_type: str, hint: Hint) -> None:
        """Record from a reply that a queue is due at hint.ready_us, perhaps earlier than before."""
        if hint.ready_us is None:
            return
        due_at = monotonic() + self._until_s(partition, hint.ready_us, hint.now_us)
        self.hear(partition, queue_type, due_at)
        if queue_type in self.listeners:
            for on_note in self.listeners[queue_type]:
                on_note(partition, due_at)

    def hear(self, partition: int, queue_type: str, due_at: float) -> None:
        """Record that a queue is due at due_at (time.monotonic), perhaps earlier than before."""
        now = monotonic()
        if self._put_off:
            due_at = max(due_at, self._put_off.get((partition, queue_type), due_at))
        known_type = self._types.get(queue_type)
        earliest = known_type.earliest if known_type else None
        entry = known_type.entries.get(partition) if known_type else None
        if known_type is None or entry is None:
            self._put(partition, queue_type, _Entry(due_at, 1, now))
        else:
            entry.noted_at = now
            if due_at <= now:
                entry.queues += 1
            self._bring_forward(known_type, entry, due_at)
        if (earliest is None or due_at < earliest) and queue_type in self.subscribers:
            self._tell_earlier(queue_type, due_at)

    def settle(
        self, partition: int, queue_type: str, now_us: int, head_us: int | None, queues: int, sent_at: float
    ) -> None:
        """Record the exact state of a type from a call sent at sent_at: its next queue is due at head_us.

        A hint that arrived after sent_at may come from a later call, so it is kept.
        """
        due_at = None if head_us is None else monotonic() + self._until_s(partition, head_us, now_us)
        gap_s = MOST_SLACK_S if head_us is None else max(head_us - now_us, 0) / 1e6
        self._settle(partition, queue_type, due_at, queues, sent_at, min(gap_s, MOST_SLACK_S))

    def read(
        self, partition: int, now_us: int, heads_us: Iterable[tuple[str, int | None]], sent_at: float
    ) -> None:
        """Record the due times of some types, perhaps early, from a call sent at sent_at; None if a type is not due."""
        offset_s = monotonic() + self._until_s(partition, 0, now_us)
        types = self._types
        for queue_type, head_us in heads_us:
            if head_us is None:
                if queue_type in types:
                    self._settle(partition, queue_type, None, 0, sent_at)
                continue
            entry = types[queue_type].entries.get(partition) if queue_type in types else None
            self._settle(
                partition, queue_type, head_us / 1e6 + offset_s, entry.queues if entry else 1, sent_at
            )

    def types_in(self, partition: int) -> list[str]:
        """Return the types that have an entry for a partition."""
        return list(self._by_partition.get(partition, ()))

    def forget(self, partition: int, limit: int) -> bool:
        """Forget up to `limit` types of a partition that this node no longer serves; return False if none is left."""
        for queue_type in list(islice(self._by_partition.get(partition, ()), limit)):
            self._forget(queue_type, partition)
        return partition in self._by_partition

    def partitions(self) -> list[int]:
        """Return the partitions that have an entry."""
        return list(self._by_partition)

    def overdue_s(self, queue_type: str) -> float:
        """Return the time in seconds for which the type's longest-due queue has been due; 0 if none is."""
        entries = self._types.get(queue_type)
        return max(monotonic() - entries.earliest, 0.0) if entries else 0.0

    def rank(self, limit: int, beside: Container[str]) -> bool:
        """Continue the search for the longest-due type outside `beside` with the next `limit` types.

        Returns:
            True if types of this search are left.
        """
        # With 100,000 types a search for the earliest would hold the event loop for milliseconds, so it goes on in
        # slices; its result counts once every type has been seen.
        for _ in range(min(limit, len(self._to_rank))):
            queue_type = self._to_rank.pop()
            entries = self._types.get(queue_type)
            if entries is not None and queue_type not in beside:
                earliest = self._earliest_so_far
                self._earliest_so_far = (
                    entries.earliest if earliest is None else min(entries.earliest, earliest)
                )
        if self._to_rank:
            return True
        self._earliest_of_rest, self._earliest_so_far = self._earliest_so_far, None
        self._to_rank = list(self._types)
        return False

    @property
    def longest_overdue_s(self) -> float:
        """The time in seconds for which the longest-due queue among the types of `rank` has been due; 0 if none is.

        The value dates from the last time that `rank` had seen all of them.
        """
        earliest = self._earliest_of_rest
        return 0.0 if earliest is None else max(monotonic() - earliest, 0.0)

    @property
    def subscriptions(self) -> int:
        """The number of subscriptions; each type of each router counts once."""
        return sum(map(len, self.subscribers.values()))

    def subscribe(self, queue_type: str, on_due: OnDue) -> None:
        """Call on_due with the current due time soon, and with every earlier one from now on."""
        self.subscribers.setdefault(queue_type, []).append(on_due)
        self._loop.call_soon(self._tell_first, queue_type, on_due)
        self.on_subscribed(queue_type)

    def unsubscribe(self, queue_type: str, on_due: OnDue) -> None:
        """Remove a subscriber; an unknown one is ignored."""
        subscribers = self.subscribers.get(queue_type, [])
        if on_due in subscribers:
            subscribers.remove(on_due)
        if not subscribers:
            self.subscribers.pop(queue_type, None)
        self.on_subscribed(queue_type)

    def due_in_us(self, queue_type: str) -> int | None:
        """Return the time in µs until the type's next job is due, negative if overdue; None if no job waits."""
        known_type = self._types.get(queue_type)
        return None if known_type is None else int((known_type.earliest - monotonic()) * 1e6)

    def next_due(self, queue_type: str) -> float | None:
        """Return the time at which the type's next queue is due in any partition; None if none waits."""
        entries = self._types.get(queue_type)
        return entries.earliest if entries else None

    def due(self, queue_type: str, now: float) -> list[tuple[int, int]]:
        """Return (partition, approximate number of due queues) of the due partitions, the earliest deadline first.

        A deadline is the due time and the slack. The partitions of `others` are as if they had become due HEAD_START_S
        later, and had time.

        Cost: O(partitions).
        """
        known_type = self._types.get(queue_type)
        if known_type is None:
            return []
        late_s, others = HEAD_START_S + MOST_SLACK_S, self.others
        until = now + self.aim.beside_s - self.aim.lead_s
        due = [
            (entry.due_at > now, entry.due_at + (late_s if p in others else entry.slack_s), p, entry.queues)
            for p, entry in known_type.entries.items()
            if entry.due_at <= until
        ]
        due.sort()
        return [(partition, queues) for _, _, partition, queues in due] if due and not due[0][0] else []

    def entries(self, queue_type: str) -> list[tuple[int, float]]:
        """Return (partition, due time by time.monotonic) of each partition in which a type waits."""
        known_type = self._types.get(queue_type)
        return [] if known_type is None else [(p, entry.due_at) for p, entry in known_type.entries.items()]

    def set_capped(self, queue_type: str, due_at: float | None) -> None:
        """Set the time at which a queue with caps may be leased from, as shard/caps knows it; None for no such time."""
        known_type = self._types.get(queue_type)
        if known_type is None:
            if due_at is None:
                return
            known_type = self._types[queue_type] = _Type(capped_at=due_at)
            earliest = None
        else:
            earliest = known_type.earliest
            known_type.capped_at, known_type.known_earliest = due_at, None
            if due_at is None and not known_type.entries:
                del self._types[queue_type]
        if due_at is not None and (earliest is None or due_at < earliest) and queue_type in self.subscribers:
            self._tell_earlier(queue_type, due_at)

    def next_uncapped(self, queue_type: str) -> float | None:
        """Return the time at which the type's next queue without caps is due; None if none waits."""
        return min((due_at for _, due_at in self.entries(queue_type)), default=None)

    def put_off(self, partition: int, queue_type: str, until: float) -> None:
        """Ignore the type in the partition until `until` (time.monotonic), whatever is due there."""
        now = monotonic()
        self._put_off = {place: end for place, end in self._put_off.items() if end > now}
        self._put_off[partition, queue_type] = until
        self._put(partition, queue_type, _Entry(until, 1, now))

    def _settle(
        self,
        partition: int,
        queue_type: str,
        due_at: float | None,
        queues: int,
        sent_at: float,
        slack_s: float | None = None,
    ) -> None:
        known_type = self._types.get(queue_type)
        entry = known_type.entries.get(partition) if known_type else None
        if self._put_off and due_at is not None:
            due_at = max(due_at, self._put_off.get((partition, queue_type), due_at))
        # A hint newer than the reading may be of a later call: it can make the entry earlier, but the reading must
        # not make it later or remove it.
        if known_type is not None and entry is not None and entry.noted_at >= sent_at:
            if due_at is not None:
                self._bring_forward(known_type, entry, due_at)
            entry.queues = max(queues, 1)
            entry.slack_s = entry.slack_s if slack_s is None else slack_s
        elif due_at is None:
            self._forget(queue_type, partition)
        else:
            earliest = known_type.earliest if known_type else None
            if slack_s is None:
                slack_s = entry.slack_s if entry else MOST_SLACK_S
            self._put(partition, queue_type, _Entry(due_at, max(queues, 1), monotonic(), slack_s))
            if (earliest is None or due_at < earliest) and queue_type in self.subscribers:
                self._tell_earlier(queue_type, due_at)

    def _tell_first(self, queue_type: str, on_due: OnDue) -> None:
        if on_due in self.subscribers.get(queue_type, ()):
            on_due(self.due_in_us(queue_type))

    def _tell_earlier(self, queue_type: str, due_at: float) -> None:
        for on_due in self.subscribers[queue_type]:
            on_due(int((due_at - monotonic()) * 1e6))

    def _until_s(self, partition: int, at_us: int, said_us: int) -> float:
        """Return the time in seconds until a call should leave to arrive at the store's time at_us.

        Args:
            said_us: the store's time in the reply that says at_us.
        """
        return (at_us - max(said_us, self._arrival_us(partition) or said_us)) / 1e6 - self.aim.lead_s

    def learn(self, partition: int, now_us: int, planned_at: float) -> None:
        """Improve the aim by a call that was planned at planned_at and ran at now_us of the store's time."""
        arrival_us = self._arrival_us(partition)
        if arrival_us is not None:
            self.aim.learn(monotonic() - planned_at - (arrival_us - now_us) / 1e6)

    def _put(self, partition: int, queue_type: str, entry: _Entry) -> None:
        known_type = self._types.get(queue_type)
        if known_type is None:
            known_type = self._types[queue_type] = _Type()
        if partition not in known_type.entries:
            self._by_partition.setdefault(partition, set()).add(queue_type)
        known_type.put(partition, entry)

    def _bring_forward(self, known_type: _Type, entry: _Entry, due_at: float) -> None:
        if due_at < entry.due_at:
            entry.due_at = due_at
            known_type.lower(due_at)

    def _forget(self, queue_type: str, partition: int) -> None:
        known_type = self._types.get(queue_type)
        if known_type is None or partition not in known_type.entries:
            return
        known_type.drop(partition)
        if not known_type.entries and known_type.capped_at is None:
            del self._types[queue_type]
        types = self._by_partition[partition]
        types.discard(queue_type)
        if not types:
            del self._by_partition[partition]
