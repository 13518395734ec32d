"""Which partitions this node answers for, and what it must still read before it may say that nothing is ready in them.

It owns those that the ring gives it, but stands aside for a while where it does not reach their store server and others
answer. For a while it also answers for those that it had or was asked about as another's:
routers learn of a change one after the other. Nothing here is needed for correctness: truth is in the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from sharq_core.partitions import Ring

GUEST_S = 5.0
"""How long a partition is answered for after it was given up, or after a call for it as another's."""


LOOKED_AT_ONCE = 200
"""Partitions that one look asks side by side; with thousands unread it would else hold up everything else."""


class Ownership:
    """The partitions of one node.

    Attributes:
        ring: who owns what.
        owned: this node's partitions, ascending.
        changed: set when `owned` has changed; whoever reads them clears it.
        taken, given_up: how many partitions came to this node and left it, since it began.
    """

    def __init__(self, node_id: str, ring: Ring) -> None:
        self.ring = ring
        self.owned: list[int] = ring.owned_by(node_id)
        self.changed = asyncio.Event()
        self.taken = 0
        self.given_up = 0
        self._node_id = node_id
        self._loop = asyncio.get_running_loop()
        self._mine = frozenset(self.owned)
        self._unread = set(self.owned)
        self._guests: dict[int, float] = {}
        self._asides: dict[int, float] = {}
        self._looks: dict[str, _Looks] = {}

    def owns(self, partition: int) -> bool:
        """The ring gives the partition to this node."""
        return partition in self._mine

    def covers(self, partition: int) -> bool:
        """This node answers for the partition, as its own or as a guest."""
        is_here = partition in self._mine or partition in self._guests
        return is_here and partition not in self._asides

    def covered(self) -> list[int]:
        """The partitions that this node answers for, its own first."""
        return [partition for partition in (*self.owned, *self._guests) if partition not in self._asides]

    @property
    def unread(self) -> frozenset[int]:
        """Its own partitions of which it does not know everything yet."""
        return frozenset(self._unread)

    def change(self, ring: Ring) -> list[int]:
        """Go by another ring; returns the partitions that were given up."""
        before = self._mine
        self.ring, self.owned = ring, ring.owned_by(self._node_id)
        self._mine = frozenset(self.owned)
        self._unread = ((self._unread | (self._mine - before)) & self._mine) - self._asides.keys()
        given_up = sorted(before - self._mine)
        self.taken += len(self._mine - before)
        self.given_up += len(given_up)
        self._guests.update(dict.fromkeys(given_up, self._loop.time() + GUEST_S))
        for partition in self._mine & self._guests.keys():
            del self._guests[partition]
        self.changed.set()
        return given_up

    def host(self, partition: int) -> None:
        """A call for the partition was done; when it is another's it is a guest from now on."""
        if partition not in self._mine and partition not in self._asides:
            self._guests[partition] = self._loop.time() + GUEST_S

    def send_off(self) -> None:
        """Guests whose time is over are covered no longer."""
        now = self._loop.time()
        for partition in [partition for partition, until in self._guests.items() if until <= now]:
            del self._guests[partition]

    @property
    def stands_aside(self) -> bool:
        """It answers not even for all that it owns."""
        return bool(self._asides)

    def stand_aside(self, partitions: Iterable[int], until: float) -> bool:
        """Answer for these no longer, up to a time by the loop, in seconds; True when one of them is new."""
        before = len(self._asides)
        for partition in partitions:
            self._asides[partition] = until
            self._unread.discard(partition)
            self._guests.pop(partition, None)
        return len(self._asides) > before

    def come_back(self, partitions: Iterable[int]) -> None:
        """Answer for these again; what was in them meanwhile is to be read."""
        for partition in partitions:
            if self._asides.pop(partition, None) is not None and partition in self._mine:
                self._unread.add(partition)
                self.changed.set()

    def end_asides(self, now: float) -> None:
        """Come back to those whose time is over."""
        if self._asides:
            self.come_back([partition for partition, until in self._asides.items() if until <= now])

    def was_read(self, partition: int) -> None:
        """The index knows what was in the partition when it came to this node."""
        self._unread.discard(partition)

    @property
    def is_sure(self) -> bool:
        """What the index says of all covered partitions is the whole truth, early at the most."""
        return not self._unread and not self._guests

    async def look(self, queue_type: str, find: Callable[[int, str], Awaitable[None]]) -> None:
        """Find a type in the partitions that this node is not sure of, and return when what was there on the call is
        known.

        Calls for one type that come together share one look, and its failure.

        Raises:
            SharqError: one could not be read, so nothing can be said.
        """
        looks = self._looks.setdefault(queue_type, _Looks())
        looks.callers += 1
        begun_before = looks.begun
        try:
            async with looks.lock:
                if looks.last[0] <= begun_before:
                    looks.begun += 1
                    places = (*self._unread, *self._guests)
                    failure: BaseException | None = None
                    for at in range(0, len(places), LOOKED_AT_ONCE):
                        finds = [find(place, queue_type) for place in places[at : at + LOOKED_AT_ONCE]]
                        results = await asyncio.gather(*finds, return_exceptions=True)
                        failure = failure or next((found for found in results if found is not None), None)
                    looks.last = (looks.begun, failure)
                _, failure = looks.last
        finally:
            looks.callers -= 1
            if not looks.callers:
                del self._looks[queue_type]
        if failure is not None:
            raise failure


class _Looks:
    """The looks for one type, while somebody waits for one.

    Attributes:
        callers: who waits.
        begun: looks so far.
        last: the number of the last one that ended, and its failure.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.callers = 0
        self.begun = 0
        self.last: tuple[int, BaseException | None] = (0, None)
