"""Bounds the memory for received bodies over all connections. Bytes that a client only declares are not counted.

The first bytes of each body (`free_body_bytes`) are free, since a connection's own buffers hold as much anyway and
`max_connections` bounds them. A small request is therefore never rejected because of others. All other bytes share one
room. When it is full, slow bodies give way to faster ones.
"""

from __future__ import annotations

import asyncio

from sharq_core.errors import Overloaded

SLOW_S = 1.0
"""The time for STEP_BYTES of a body after which it gives way to others."""

STEP_BYTES = 1 << 20


class Arrival:
    """One body that takes room.

    Attributes:
        counted_bytes: the bytes of the room that it takes now.
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
        """Count a received piece.

        Raises:
            Overloaded: there is no room for it, or its room was given to others. Nothing was done.
        """
        self.check()
        self._total_bytes += piece_bytes
        if self._total_bytes >= self._step_bytes:
            self._step_bytes = self._total_bytes + STEP_BYTES
            self._step_since_s = self._room.now_s()
        self._room.count(self, max(0, self._total_bytes - self._room.free_bytes))

    def check(self) -> None:
        """Raise Overloaded if the body had to give way."""
        if self._is_refused:
            raise Overloaded(
                "body: received too slowly while other requests needed the memory; try again in a moment"
            )

    def slow_s(self, now_s: float) -> float:
        """Return the time since its last step of STEP_BYTES was complete."""
        return now_s - self._step_since_s

    def settle(self) -> None:
        """Note that the body is complete or has failed. It no longer has to give way."""
        self._room.settle(self)

    def close(self) -> None:
        """Free the room of the body."""
        self._room.close(self)

    def refuse(self) -> None:
        """Wake the reader of the body. `check` raises from now on."""
        self._is_refused = True
        self._deadline.reschedule(self._room.now_s())


class BodyRoom:
    """The room for all bodies.

    Args:
        room_bytes: the most counted bytes of all bodies together.
        free_bytes: the first bytes of each body, which are not counted.

    Attributes:
        used_bytes: the counted bytes now.
        given_way: the number of bodies so far that had to give way.
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
        """Start counting a body. Call `settle` when it is complete, and `close` when it is no longer needed.

        Args:
            deadline: the timeout of its reading. It expires early if the body has to give way.
        """
        arrival = Arrival(self, deadline)
        self._coming.add(arrival)
        return arrival

    def settle(self, arrival: Arrival) -> None:
        """Note that a body is complete or has failed. It no longer has to give way."""
        self._coming.discard(arrival)

    def close(self, arrival: Arrival) -> None:
        """Free the room of a body."""
        self._coming.discard(arrival)
        self.used_bytes -= arrival.counted_bytes
        arrival.counted_bytes = 0

    def count(self, arrival: Arrival, counted_bytes: int) -> None:
        """Set the bytes that a body takes in all.

        Raises:
            Overloaded: the room is full of bodies that are complete, or arrive faster than this one.
        """
        added_bytes = counted_bytes - arrival.counted_bytes
        while self.used_bytes + added_bytes > self.room_bytes:
            self._make_room(arrival)
        self.used_bytes += added_bytes
        arrival.counted_bytes = counted_bytes

    def _make_room(self, wanting: Arrival) -> None:
        """Reject the slowest incomplete body. Cost: O(incomplete bodies)."""
        # Only incomplete bodies that take room can free any. If the newcomer is the slowest itself, or all others make
        # progress, the newcomer is the one to reject.
        now_s = self.now_s()
        counted = (coming for coming in self._coming if coming.counted_bytes)
        slowest = max(counted, key=lambda coming: coming.slow_s(now_s), default=wanting)
        if slowest is wanting or slowest.slow_s(now_s) < SLOW_S:
            raise Overloaded(f"{self.used_bytes} bytes of requests are in flight already")
        self.given_way += 1
        slowest.refuse()
        self.close(slowest)
