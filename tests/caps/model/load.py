"""A cap under load: nodes with endless work take slots and use them, and their leases are counted.

Every call takes a drawn time there and back. A node has one call to the ledger on its way at a time, as a shard has.
"""

from __future__ import annotations

import functools
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random

from msgspec import Struct

from tests.caps.model.ledger import Limit
from tests.caps.model.node import Grant
from tests.caps.model.world import Dequeue, World

CAP = "account"
MOST_AT_ONCE = 100
"""Most slots of a call."""

SLOWEST_US = 1_000_000
"""A node asks again at the latest after this time."""

MEETS_EVERY_US = 500_000
"""The interval at which a node reads the queue's partition."""


class Worker(Struct, frozen=True):
    """A node with endless work from one time to another one.

    Attributes:
        weight: its number of waiting queues.
        most_late_us: its event loop wakes up this late at most.
    """

    weight: float = 1.0
    from_us: int = 0
    until_us: int = 1 << 60
    most_late_us: int = 1_000


class Load:
    """A run of nodes under one cap.

    A node pauses for at least half a horizon between two takes. Without that it asks for each slot alone; with a whole
    horizon it comes too late for some.

    Args:
        workers: name → node.
        trips_us: the least and the most time of a call there, and of its reply back.
        world_of: makes the world; another one may have ledgers that are not the model's.

    Attributes:
        takes, used: calls to the ledger and leases, by node.
        seconds: the time for which the nodes have worked.
    """

    def __init__(
        self,
        limit: Limit,
        workers: Mapping[str, Worker],
        *,
        seed: int = 0,
        trips_us: tuple[int, int] = (100, 600),
        world_of: Callable[[dict[str, Limit], Sequence[str]], World] = World,
    ) -> None:
        self.world = world_of({CAP: limit}, list(workers))
        self.limit = limit
        self.takes: Counter[str] = Counter()
        self.used: Counter[str] = Counter()
        self.seconds = 0.0
        self.began_us = self.world.real_us
        self._workers = workers
        self._random = Random(seed)
        self._trips_us = trips_us
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        for name, worker in workers.items():
            self._at(self.began_us + worker.from_us, functools.partial(self._begin, name))

    def run(self, seconds: float) -> None:
        """Let the nodes work until this time after the beginning."""
        self.seconds = seconds
        until_us = self.began_us + round(seconds * 1e6)
        while self._events and self._events[0][0] <= until_us:
            self.world.real_us, _, happen = heapq.heappop(self._events)
            happen()
        self.world.real_us = until_us

    def share(self, from_s: float, until_s: float) -> float:
        """Return the leases over those that the limit promises, between two times after the beginning."""
        from_us, until_us = (self.began_us + round(second * 1e6) for second in (from_s, until_s))
        leases = sum(from_us < lease.real_us <= until_us for lease in self.world.leases)
        return leases * self.limit.interval_us / (until_us - from_us)

    def assert_bound(self) -> None:
        """Raise AssertionError if there were too many leases in any time.

        Source: the generic cell rate algorithm (ITU-T I.371), which finds each stretch that breaks the bound.
        """
        ready_us = 0.0
        slack_us = (self.limit.burst - 1) * self.limit.interval_us + self.limit.grace_us
        for lease in self.world.leases:
            assert lease.real_us >= ready_us - 1e-6, f"{ready_us - lease.real_us:.0f} µs too early"
            ready_us = max(ready_us, lease.real_us - slack_us) + self.limit.interval_us

    def _begin(self, name: str) -> None:
        self._meet(name)
        self._ask(name)

    def _meet(self, name: str) -> None:
        self.world.meet(name, 2 * self._trips_us[0], self._trips_us[0])
        self._after(MEETS_EVERY_US, lambda: self._meet(name))

    def _ask(self, name: str) -> None:
        if self.world.real_us - self.began_us >= self._workers[name].until_us:
            return
        self.takes[name] += 1
        take = self.world.ask(name, CAP, MOST_AT_ONCE, self._workers[name].weight)

        def arrive() -> None:
            self.world.run_take(take)
            self._after(self._trip(), hear)

        def hear() -> None:
            reply = take.reply
            assert reply is not None
            self.world.deliver(take)
            for grant in self.world.nodes[name].grants[CAP][-len(reply.slots) :] if reply.slots else ():
                self._use_at(name, grant)
            least_us = self.limit.horizon_us // 2
            wait_us = min(max(reply.ask_at_us - reply.now_us, least_us), SLOWEST_US)
            self._after(wait_us + self._late(name), lambda: self._ask(name))

        self._after(self._trip(), arrive)

    def _use_at(self, name: str, grant: Grant) -> None:
        wait_us = max(grant.from_us - self.world.node_us(name), 0)
        self._after(wait_us + self._late(name), lambda: self._use(name))

    def _use(self, name: str) -> None:
        """Send a dequeue with a slot that may be used now, the oldest first; forget those whose time is over."""
        node = self.world.nodes[name]
        node.grants[CAP] = [one for one in node.grants[CAP] if one.until_us >= self.world.node_us(name)]
        dequeue = self.world.send(name, (CAP,))
        if dequeue is not None:
            self._after(self._trip(), lambda: self._run(name, dequeue))

    def _run(self, name: str, dequeue: Dequeue) -> None:
        self.used[name] += self.world.run_dequeue(dequeue)

    def _trip(self) -> int:
        return self._random.randint(*self._trips_us)

    def _late(self, name: str) -> int:
        return self._random.randint(0, self._workers[name].most_late_us)

    def _after(self, wait_us: int, happen: Callable[[], None]) -> None:
        self._at(self.world.real_us + wait_us, happen)

    def _at(self, real_us: int, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (real_us, next(self._numbers), happen))
