"""The model of a cap's ledger: it reserves future slots of one cap and takes unused ones back.

Times are integer µs by the clock of the ledger's server. A slot is reserved once and counts as used from then on, so
nothing can overshoot afterwards. A slot may be used from its time s until its grace is over; the nodes see to that
(tests/caps/model/node.py).
"""

from __future__ import annotations

from msgspec import Struct, field

MIN_GRACE_US, MOST_GRACE_US, GRACE_PART = 10_000, 250_000, 20
"""A slot may be used this part of the interval after its time (g), within two bounds."""

MIN_HORIZON_US, MOST_HORIZON_US, HORIZON_SLOTS = 20_000, 100_000, 64
"""Slots are reserved for one interval ahead (H), or for so many if they are short, within two bounds."""

SERIALS_OF_A_SERVER = 1 << 32
"""More reservations than a replica can lack."""

ACTIVE_HORIZONS = 3
"""A node competes for slots until it has not asked for so many horizons."""

PASSED_PART = 4
"""A slot that is nearer than this part of a horizon is for any node: those whose turn it is have let it pass."""

AHEAD_PART = 8
"""A node may be ahead of the others by the slots of this part of a horizon, and by one. With one alone, a node whose
weight is large could not take its share at high rates, because it asks only twice in a horizon."""


class Limit(Struct, frozen=True):
    """The limit of a cap: at most `burst` + t / `interval_us` leases in any time t."""

    interval_us: int
    burst: float = 1.0

    @property
    def horizon_us(self) -> int:
        """The time for which slots are reserved ahead."""
        several_us = min(HORIZON_SLOTS * self.interval_us, MOST_HORIZON_US)
        return max(self.interval_us, several_us, MIN_HORIZON_US)

    @property
    def grace_us(self) -> int:
        """The time after its due time within which a slot of the limit may be used."""
        return max(MIN_GRACE_US, min(self.interval_us // GRACE_PART, MOST_GRACE_US))


class Slot(Struct, frozen=True, order=True):
    """A reserved slot.

    Attributes:
        due_us: the time from which it may be used.
        serial: the number of the reservation. No two reservations have the same one, also of a slot that came back.
    """

    due_us: int
    serial: int


class Reply(Struct, frozen=True):
    """The answer to a reservation.

    Attributes:
        now_us: the time at which the ledger carried it out.
        slots: the reserved slots, earliest first.
        ask_at_us: the time at which the next slot may be had, also if it is the turn of others.
        grace_us: how long after its time each of the slots may be used.
    """

    now_us: int
    slots: tuple[Slot, ...]
    ask_at_us: int
    grace_us: int


class _Turn(Struct):
    """The account of a node: how much of the cap it has had (per unit of its weight), and when it last asked."""

    virtual_time: float = 0.0
    asked_at_us: int = 0


class Ledger(Struct):
    """The reservations of one cap.

    Attributes:
        next_us: the time of the next slot that has never been reserved, as in a queue's rate (GCRA).
        free: the times of slots that came back or were skipped, earliest first; all of them lie ahead.
        open: the slots that are reserved and not yet due. Only these may come back.
        serial: the number of the latest reservation.
        turns: the accounts of the nodes that asked lately, by name.
        latest_us: the latest time by the server's clock, which never goes back.
        last_us: the time of the latest reserved slot.
        reach_us: no slot is due later that was reserved under a former limit.
    """

    limit: Limit
    next_us: int = 0
    free: list[int] = field(default_factory=list)
    open: set[Slot] = field(default_factory=set)
    serial: int = 0
    turns: dict[str, _Turn] = field(default_factory=dict)
    latest_us: int = 0
    last_us: int = 0
    reach_us: int = 0

    def take(self, told_us: int, node: str, want: int, weight: float = 1.0, after_us: int = 0) -> Reply:
        """Reserve up to `want` slots that are due within the horizon.

        Args:
            told_us: the time by the server's clock. If it is behind an earlier one, time stands still until it is not.
            weight: the node's share of the cap beside other nodes that ask, such as its number of waiting queues.
            after_us: the least time from now until the slots are due.
        """
        now_us = self._now(told_us)
        limit = self.limit
        turn = self._turn(node, now_us)
        slots: list[Slot] = []
        start_us = now_us + after_us
        end_us = start_us + limit.horizon_us
        ahead_us = limit.horizon_us
        while len(slots) < want:
            due_us = self._next_due(now_us, start_us)
            if due_us > end_us:
                break
            if not self._may_have(node, turn, weight, due_us - now_us):
                ahead_us = limit.horizon_us // PASSED_PART
                break
            self._reserve(now_us, start_us, due_us)
            turn.virtual_time += 1 / weight
            self.serial += 1
            slot = Slot(due_us, self.serial)
            slots.append(slot)
            if due_us > now_us:
                self.open.add(slot)
        ask_at_us = max(now_us, self._next_due(now_us, start_us) - ahead_us)
        return Reply(now_us, tuple(slots), ask_at_us, limit.grace_us)

    def give_back(self, told_us: int, slots: tuple[Slot, ...]) -> int:
        """Take slots back that were not used and are not due yet. Return how many; the others stay reserved.

        The serial makes it safe to repeat: a slot that came back once may have been reserved anew since.
        """
        now_us = self._now(told_us)
        returned = [slot for slot in slots if slot in self.open and slot.due_us > now_us]
        self.open.difference_update(returned)
        self.free = sorted([*self.free, *(slot.due_us for slot in returned)])
        return len(returned)

    def change(self, told_us: int, limit: Limit) -> None:
        """Change the limit. Slots ahead that nobody has reserved follow the new one at once.

        What the sequence reaches beyond the last slot is scaled, as at the rate of a queue. Slots that were reserved
        before may still be used, but do not come back: their distance is that of the old limit. If their grace is
        longer than the new one, they count as due later by the difference.
        """
        now_us = self._now(told_us)
        later_us = self._lost_grace_us(limit)
        self.reach_us = max(self.reach_us, now_us + self.limit.horizon_us) + later_us
        beyond_us = max(self.next_us - self.last_us, 0)
        self.last_us += later_us
        self.next_us = self.last_us + beyond_us * limit.interval_us // self.limit.interval_us
        self.free = []
        self.open = set()
        self.limit = limit

    def _lost_grace_us(self, limit: Limit) -> int:
        """Return how much shorter the grace of slots of a new limit is than that of the reserved ones."""
        return max(self.limit.grace_us - limit.grace_us, 0)

    def fail_over(self, told_us: int) -> None:
        """Begin anew on a server that may lack the last reservations.

        Every reservation that it does not know is due within a horizon from now, so the slots up to there are left out,
        and the burst is not given anew. The serials begin where no lost reservation can have come: a late return of
        one must not free a slot of a new one.
        """
        now_us = self._now(told_us)
        self.serial += SERIALS_OF_A_SERVER
        self.free = []
        self.open = set()
        reach_us = max(self.reach_us, now_us + self.limit.horizon_us)
        self.last_us = max(self.last_us, reach_us)
        self.next_us = max(self.next_us, reach_us + self.limit.interval_us)

    def _now(self, told_us: int) -> int:
        now_us = self.latest_us = max(self.latest_us, told_us)
        self.free = [due_us for due_us in self.free if due_us > now_us]
        self.open = {slot for slot in self.open if slot.due_us > now_us}
        return now_us

    def _next_due(self, now_us: int, start_us: int) -> int:
        """Return the time of the first slot from start_us on that is not reserved."""
        came_back = next((due_us for due_us in self.free if due_us >= start_us), None)
        place_us = self._place(now_us)
        new_us = max(place_us + self._skipped(place_us, start_us) * self.limit.interval_us, now_us)
        return new_us if came_back is None else min(came_back, new_us)

    def _place(self, now_us: int) -> int:
        """Return the place of the next new slot in the sequence; with a burst it may lie behind."""
        credit_us = int((self.limit.burst - 1) * self.limit.interval_us)
        return max(self.next_us, now_us - credit_us)

    def _skipped(self, place_us: int, start_us: int) -> int:
        """Return the number of new slots whose place is before start_us, if they may not be used later instead."""
        is_at_once = start_us == self.latest_us
        return 0 if is_at_once else max(0, -(-(start_us - place_us) // self.limit.interval_us))

    def _reserve(self, now_us: int, start_us: int, due_us: int) -> None:
        """Mark the slot as reserved. The slots that it skips are free for others."""
        if due_us in self.free:
            self.free.remove(due_us)
            return
        interval_us = self.limit.interval_us
        place_us = self._place(now_us)
        skipped = self._skipped(place_us, start_us)
        passed = (place_us + number * interval_us for number in range(skipped))
        self.free = sorted([*self.free, *(skipped_us for skipped_us in passed if skipped_us > now_us)])
        self.next_us = place_us + (skipped + 1) * interval_us
        self.last_us = max(self.last_us, due_us)

    def _turn(self, node: str, now_us: int) -> _Turn:
        """Return the account of a node that asks now. Who has been away gets no credit for that time."""
        oldest_us = now_us - ACTIVE_HORIZONS * self.limit.horizon_us
        self.turns = {name: turn for name, turn in self.turns.items() if turn.asked_at_us >= oldest_us}
        turn = self.turns.setdefault(node, _Turn(self._least_virtual_time(node)))
        turn.asked_at_us = now_us
        return turn

    def _may_have(self, node: str, turn: _Turn, weight: float, ahead_us: int) -> bool:
        """Return True if it is the node's turn, or if the slot is so near that the others have let it pass."""
        limit = self.limit
        slots_ahead = max(1.0, limit.horizon_us / AHEAD_PART / limit.interval_us)
        is_its_turn = turn.virtual_time <= self._least_virtual_time(node) + slots_ahead / weight
        return is_its_turn or ahead_us <= limit.horizon_us // PASSED_PART

    def _least_virtual_time(self, node: str) -> float:
        others = [turn.virtual_time for name, turn in self.turns.items() if name != node]
        own = self.turns.get(node)
        return min(others, default=0.0 if own is None else own.virtual_time)
