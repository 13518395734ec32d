"""The memory for bodies that have come, bounded over all connections: what a client only announces takes none of it.

The first bytes of each body are free (`free_body_bytes`), since as much lies in a connection's own buffers anyway and
`max_connections` bounds them; so a small request is never refused for what others send. For the rest there is one room.
When it is full, the bodies that do not come along give way to those that do.
"""

from __future__ import annotations

import asyncio

from sharq_core.errors import Overloaded

SLOW_S = 1.0
"""A body of which STEP_BYTES take longer than this gives way when others need its room."""

STEP_BYTES = 1 << 20


class Arrival:
    """One body that takes room.

    Attributes:
        counted_bytes: what it takes of the room now.
    """

    def __init__(self, room: BodyRoom, deadline: asyncio.Timeout) -> None:
        self.counted_bytes = 0
        self._room = room
        self._deadline = deadline
        self._total_bytes = 0
        self._step_bytes = STEP_BYTES
        self._step_since_s = room.now_s()
        self._is_refused = False

    def take(self, piece_bytes: int) -> None:
        """Count a piece that has come.

        Raises:
            Overloaded: there is no room for it, or its room was needed for others. Nothing was done.
        """
        self.check()
        self._total_bytes += piece_bytes
        if self._total_bytes >= self._step_bytes:
            self._step_bytes = self._total_bytes + STEP_BYTES
            self._step_since_s = self._room.now_s()
        self._room.count(self, max(0, self._total_bytes - self._room.free_bytes))

    def check(self) -> None:
        """Raise Overloaded when the body had to give way."""
        if self._is_refused:
            raise Overloaded("body: it came too slowly while others needed its room; try again in a moment")

    def slow_s(self, now_s: float) -> float:
        """Return for how long it has been at its last megabyte."""
        return now_s - self._step_since_s

    def settle(self) -> None:
        """Note that it has come whole, or will not: from now on nobody takes its room."""
        self._room.settle(self)

    def close(self) -> None:
        """Give its room back."""
        self._room.close(self)

    def refuse(self) -> None:
        """Wake whoever waits for the rest of it; `check` raises from now on."""
        self._is_refused = True
        self._deadline.reschedule(self._room.now_s())


class BodyRoom:
    """The room for all bodies.

    Args:
        room_bytes: beyond the free bytes of each.
        free_bytes: of each body, not counted.

    Attributes:
        used_bytes: counted now.
        given_way: bodies that were refused while they came, so far.
    """

    def __init__(self, room_bytes: int, free_bytes: int) -> None:
        self.room_bytes = room_bytes
        self.free_bytes = free_bytes
        self.used_bytes = 0
        self.given_way = 0
        self._coming: set[Arrival] = set()

    def now_s(self) -> float:
        """Return the event loop's time."""
        return asyncio.get_running_loop().time()

    def open(self, deadline: asyncio.Timeout) -> Arrival:
        """Begin to count a body; call `settle` when it has come, and `close` when it is done with.

        Args:
            deadline: the timeout within which it is read; it ends early when the body has to give way.
        """
        arrival = Arrival(self, deadline)
        self._coming.add(arrival)
        return arrival

    def settle(self, arrival: Arrival) -> None:
        """Note that a body has come whole, or will not: nobody takes its room any more."""
        self._coming.discard(arrival)

    def close(self, arrival: Arrival) -> None:
        """Give a body's room back."""
        self._coming.discard(arrival)
        self.used_bytes -= arrival.counted_bytes
        arrival.counted_bytes = 0

    def count(self, arrival: Arrival, counted_bytes: int) -> None:
        """Let a body take so much in all.

        Raises:
            Overloaded: the room is full of bodies that are here, or come faster than this one.
        """
        more = counted_bytes - arrival.counted_bytes
        while self.used_bytes + more > self.room_bytes:
            self._make_room(arrival)
        self.used_bytes += more
        arrival.counted_bytes = counted_bytes

    def _make_room(self, wanting: Arrival) -> None:
        """Refuse the slowest of the bodies that still come. Cost: O(bodies that come)."""
        now_s = self.now_s()
        counted = (coming for coming in self._coming if coming.counted_bytes)
        slowest = max(counted, key=lambda coming: coming.slow_s(now_s), default=wanting)
        if slowest is wanting or slowest.slow_s(now_s) < SLOW_S:
            raise Overloaded(f"{self.used_bytes} bytes of requests are in flight already")
        self.given_way += 1
        slowest.refuse()
        self.close(slowest)
