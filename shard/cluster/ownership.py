"""Tracks the partitions that this node serves, and those it must read before it may report that nothing is ready there.

The node serves the partitions that the ring gives it, except those that it leaves to others for a while because it does
not reach their store server. After it has lost a partition, or was asked about another node's, it serves the partition
for a grace period, because routers learn of a change one after the other. Correctness does not depend on this module:
all state is in the store. A worker of `sharq-server` serves every partition, because the calls of its clients are done
where they arrive; the ring only says which partitions' timers and schedules are its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from sharq_core.partitions import Ring
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.library import DEQUEUE, ENQUEUE, EXTEND, FINISH, FINISH_WITH_RESULTS, REAP, RELEASE
from sharq_core.scheduler.surveys import SurveyCalls

GRACE_S = 5.0
"""The grace period: the time for which a partition of another node is served after its loss or after a call for it."""


LOOKED_AT_ONCE = 200
"""Partitions that one look reads concurrently; with thousands unread, a look would otherwise delay all other calls."""


_WITHOUT_NOTES = frozenset({ENQUEUE, DEQUEUE, FINISH, FINISH_WITH_RESULTS, EXTEND, RELEASE, REAP})
"""The functions after which a node that serves every partition leaves no note: it runs the timers that they set, and
tells those who wait for the jobs that they make ready (shard/index/due_notes.py).
"""


class Ownership:
    """The partitions of one node.

    Args:
        serves_all: True if the node serves every partition, whoever owns it.

    Attributes:
        node_id: the name of this node.
        ring: the current ring, which maps partitions to owners.
        owned: this node's partitions, ascending.
        mine: the same as a set.
        changed: set when partitions must be read; the refresher clears it.
        taken, given_up: the number of partitions that this node took over and gave up since its start.
    """

    def __init__(self, node_id: str, ring: Ring, *, serves_all: bool = False) -> None:
        self.ring = ring
        self.serves_all = serves_all
        self.owned: list[int] = ring.owned_by(node_id)
        self.changed = asyncio.Event()
        self.taken = 0
        self.given_up = 0
        self.node_id = node_id
        self._loop = asyncio.get_running_loop()
        self.mine = frozenset(self.owned)
        self._unread = set(self.known)
        self._in_grace: dict[int, float] = {}
        self._asides: dict[int, float] = {}
        self._looks: dict[str, _Looks] = {}

    @property
    def known(self) -> Sequence[int]:
        """The partitions that this node knows completely, as far as they are read: its own, or all."""
        return range(len(self.ring.owners)) if self.serves_all else self.owned

    @property
    def others(self) -> frozenset[int]:
        """The partitions of other nodes that this node serves all the time."""
        return frozenset(self.known) - self.mine

    def owns(self, partition: int) -> bool:
        """Return True if the ring gives the partition to this node."""
        return partition in self.mine

    def serves(self, partition: int) -> bool:
        """Return True if this node serves the partition, as its owner or in the grace period."""
        is_here = self.serves_all or partition in self.mine or partition in self._in_grace
        return is_here and partition not in self._asides

    def served(self) -> list[int]:
        """Return the partitions that this node serves, its own first."""
        return [partition for partition in (*self.known, *self._in_grace) if partition not in self._asides]

    @property
    def unread(self) -> frozenset[int]:
        """The partitions of `known` whose content is not fully known yet."""
        return frozenset(self._unread)

    def change(self, ring: Ring) -> list[int]:
        """Switch to another ring and return the partitions that were given up."""
        # What was taken over is unread: its jobs are unknown here. What was given up is served on for a while, because
        # routers learn of the new ring one after the other.
        before, previous = self.mine, self.ring
        self.ring, self.owned = ring, ring.owned_by(self.node_id)
        self.mine = frozenset(self.owned)
        if self.serves_all:
            # A node that has gone may have changed any partition, and have been the only one to know of it.
            is_one_lost = bool(set(previous.owners) - set(ring.owners))
            unread = set(self.known) if is_one_lost else self._unread | (self.mine - before)
        else:
            unread = (self._unread | (self.mine - before)) & self.mine
        self._unread = unread - self._asides.keys()
        given_up = sorted(before - self.mine)
        self.taken += len(self.mine - before)
        self.given_up += len(given_up)
        if not self.serves_all:
            self._in_grace.update(dict.fromkeys(given_up, self._loop.time() + GRACE_S))
        for partition in self.mine & self._in_grace.keys():
            del self._in_grace[partition]
        self.changed.set()
        return given_up

    def extend_grace(self, partition: int) -> None:
        """Begin or extend the grace period of another node's partition, after a call for it was done."""
        if not self.serves_all and partition not in self.mine and partition not in self._asides:
            self._in_grace[partition] = self._loop.time() + GRACE_S

    def expire_grace(self) -> None:
        """Stop serving partitions whose grace period is over."""
        now = self._loop.time()
        for partition in [partition for partition, until in self._in_grace.items() if until <= now]:
            del self._in_grace[partition]

    @property
    def stands_aside(self) -> bool:
        """Return True if this node leaves some partitions to others."""
        return bool(self._asides)

    def stand_aside(self, partitions: Iterable[int], until: float) -> bool:
        """Leave partitions to others until a time of the loop, in seconds; return True if one of them is new."""
        before = len(self._asides)
        for partition in partitions:
            self._asides[partition] = until
            self._unread.discard(partition)
            self._in_grace.pop(partition, None)
        return len(self._asides) > before

    def come_back(self, partitions: Iterable[int]) -> None:
        """Serve partitions again; the owned ones must be read first."""
        for partition in partitions:
            if self._asides.pop(partition, None) is not None and (self.serves_all or partition in self.mine):
                self._unread.add(partition)
                self.changed.set()

    def end_asides(self, now: float) -> None:
        """Serve partitions again whose time aside is over."""
        if self._asides:
            self.come_back([partition for partition, until in self._asides.items() if until <= now])

    def was_read(self, partition: int) -> None:
        """Note that the index knows the partition's content."""
        self._unread.discard(partition)

    @property
    def is_complete(self) -> bool:
        """Return True if the index is complete for all served partitions; its times may be early."""
        return not self._unread and not self._in_grace

    async def read_unknown(self, queue_type: str, find: Callable[[int, str], Awaitable[None]]) -> None:
        """Read a type in the partitions that are not fully known; return once their state at the call is known.

        Concurrent calls for one type share one look, and its failure.

        Raises:
            SharqError: a partition could not be read, so it is unknown whether a job is ready.
        """
        looks = self._looks.setdefault(queue_type, _Looks())
        looks.callers += 1
        begun_before = looks.begun
        try:
            async with looks.lock:
                # A look that began after this call answers it; one that was already running may have missed a job.
                if looks.last[0] <= begun_before:
                    looks.begun += 1
                    places = (*self._unread, *self._in_grace)
                    failure: BaseException | None = None
                    for at in range(0, len(places), LOOKED_AT_ONCE):
                        finds = [find(place, queue_type) for place in places[at : at + LOOKED_AT_ONCE]]
                        results = await asyncio.gather(*finds, return_exceptions=True)
                        failure = failure or next((error for error in results if error is not None), None)
                    looks.last = (looks.begun, failure)
                _, failure = looks.last
        finally:
            looks.callers -= 1
            if not looks.callers:
                del self._looks[queue_type]
        if failure is not None:
            raise failure


class OwnerNotes:
    """The notes that this node leaves in other nodes' partitions, so that their owners read what it changed there."""

    def __init__(self, ownership: Ownership, surveys: SurveyCalls) -> None:
        self.ownership = ownership
        self._surveys = surveys

    def after(self, calls: Sequence[FunctionCall[Any]]) -> list[FunctionCall[None]]:
        """Return the calls that leave notes about what some calls change, one per partition and type.

        They go in the pipeline of those calls, so that no owner reads a note before the change.

        Args:
            calls: calls about partitions that this node does not own.
        """
        serves_all = self.ownership.serves_all
        changed = {
            (call.partition, call.queue_type): None
            for call in calls
            # Partition -1 holds the deployment's own keys, and a call without a type changes no queue.
            if call.partition >= 0
            and not call.function.is_read
            and call.queue_type
            and not (serves_all and call.function in _WITHOUT_NOTES)
        }
        return [self._surveys.touch(partition, queue_type) for partition, queue_type in changed]


class _Looks:
    """The looks for one type while a caller waits for one.

    Attributes:
        callers: the number of waiting callers.
        begun: the number of looks begun so far.
        last: the number of the last look that ended, and its failure.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.callers = 0
        self.begun = 0
        self.last: tuple[int, BaseException | None] = (0, None)
