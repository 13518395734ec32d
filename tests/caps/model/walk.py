"""A walk through the model: two nodes that use every slot at the worst moment, and everything that may go wrong.

The steps are drawn from a seed, so a walk that finds a breach can be walked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.caps.model.ledger import Ledger, Limit, Slot
from tests.caps.model.world import World

NODES = ("north", "south")
CAPS = ("account", "brand")
QUEUES = (("account",), ("brand",), ("account", "brand"))
"""The caps of the queues, in fixed order."""

INTERVALS_US = (1_000, 3_000, 25_000, 70_000)
LONG_INTERVALS_US = (400_000, 6_000_000)
"""The grace of these is longer than the least one."""

BURSTS = (1.0, 1.5, 2.0, 5.0)

UNNOTICED_GAINS_US = (5_000, 60_000, 450_000)
"""Steps ahead of less than half a second count as time that has passed (docs/decisions/store-clock.md)."""

UNNOTICED_LOSSES_US = (5_000, 60_000, 190_000)
"""Steps back within the time for which a server does not read the partition's time again (clock.lua: GRAIN_US)."""


class Walk:
    """One walk, from a seed.

    Args:
        has_unnoticed_steps: clocks of servers step by so little that nobody notices, too.
        slow_part: the part of the limits that have a long interval.
        world_of: makes the world; another one may have ledgers that are not the model's.
    """

    def __init__(
        self,
        seed: int,
        *,
        has_unnoticed_steps: bool = False,
        slow_part: float = 0.1,
        world_of: Callable[[dict[str, Limit], Sequence[str]], World] = World,
    ) -> None:
        self._random = Random(seed)
        self._slow_part = slow_part
        self.world = world_of({cap: self._limit() for cap in CAPS}, NODES)
        self._returns: list[tuple[str, tuple[Slot, ...]]] = []
        self._replicas: list[tuple[str, Ledger]] = []
        self._steps: dict[Callable[[], object], int] = {
            self._lease: 30,
            self._ask: 12,
            self._ask_unheard: 4,
            self._hear: 8,
            self._send: 10,
            self._run: 6,
            self._give_back: 6,
            self._run_return: 6,
            self._meet: 4,
            self._wait: 4,
            self._copy: 4,
            self._fail_over: 3,
            self._change: 2,
            self._kill: 1,
            self._lose_time: 5,
        }
        if self.world.serves_on:
            self._steps |= {self._hear_of_failover: 10, self._fail_over: 10, self._copy: 10}
        if has_unnoticed_steps:
            self._steps |= {self._gain: 1, self._slip: 1, self._slip_of_ledger: 2}

    def go(self, steps: int) -> None:
        """Take a number of steps, and judge all leases.

        Raises:
            AssertionError: a cap gave more than its bound allows.
        """
        for step in self._random.choices([*self._steps], [*self._steps.values()], k=steps):
            step()
        self.world.judge()

    def _lease(self) -> None:
        """Use a slot of each cap of a queue at the first or the last moment; the dequeue may be late."""
        node, caps, late_us = self._node(), self._random.choice(QUEUES), self._delay()
        self.world.meet(node, 2 * late_us, late_us)
        for cap in caps:
            if not self.world.nodes[node].grants.get(cap):
                self._ask_for(node, cap)
        if self.world.wait_for_slots(node, caps, is_last_moment=self._random.random() < 0.5):
            dequeue = self.world.send(node, caps)
            assert dequeue is not None
            self.world.real_us += late_us
            self.world.run_dequeue(dequeue)

    def _ask(self) -> None:
        self._ask_for(self._node(), self._cap())

    def _ask_for(self, node: str, cap: str) -> None:
        take = self.world.ask(node, cap, self._random.randint(1, 8))
        self.world.real_us += self._delay()
        self.world.run_take(take)
        self.world.real_us += self._delay()
        self.world.deliver(take)

    def _ask_unheard(self) -> None:
        self.world.ask(self._node(), self._cap(), self._random.randint(1, 8))

    def _hear(self) -> None:
        """Carry out a call that is on its way, deliver its reply, or lose it."""
        if not self.world.takes:
            return
        take = self._random.choice(self.world.takes)
        if self._random.random() < 0.2:
            self.world.takes.remove(take)
        elif take.reply is None:
            self.world.run_take(take)
        else:
            self.world.deliver(take)

    def _send(self) -> None:
        self.world.send(self._node(), self._random.choice(QUEUES))

    def _run(self) -> None:
        if self.world.dequeues:
            self.world.run_dequeue(self._random.choice(self.world.dequeues))

    def _give_back(self) -> None:
        cap = self._cap()
        slots = self.world.give_back(self._node(), cap)
        if slots:
            self._returns.append((cap, slots))

    def _run_return(self) -> None:
        """Carry a return out, which may have been carried out before."""
        if self._returns:
            cap, slots = self._random.choice(self._returns[-3:])
            self.world.ledgers[cap].give_back(self.world.ledger_us(cap), slots)

    def _meet(self) -> None:
        there_us, back_us = self._delay(), self._delay()
        self.world.meet(self._node(), there_us + back_us, back_us)

    def _wait(self) -> None:
        self.world.real_us += self._random.randint(0, 100_000)

    def _copy(self) -> None:
        cap = self._cap()
        self._replicas.append((cap, self.world.copy_ledger(cap)))

    def _fail_over(self) -> None:
        """Go on with a replica, which may lack any number of reservations. Older copies are never promoted later."""
        if self._replicas:
            cap, replica = self._random.choice(self._replicas[-3:])
            self._replicas = [one for one in self._replicas if one[0] != cap]
            self.world.fail_over(cap, replica, self._random.choice([0, 300_000, 2_000_000]))

    def _hear_of_failover(self) -> None:
        self.world.hear_of_failover(self._node(), self._cap())

    def _change(self) -> None:
        self.world.change(self._cap(), self._limit())

    def _kill(self) -> None:
        self.world.kill(self._node())

    def _lose_time(self) -> None:
        """Let the clock of a server step back, which its first call notices."""
        lost_us = self._random.choice([500, 20_000, 500_000])
        clock = self._random.choice([self.world.server, self.world.ledger_clocks[self._cap()]])
        clock.lose(lost_us)

    def _gain(self) -> None:
        self.world.gain(self._cap(), self._random.choice(UNNOTICED_GAINS_US))

    def _slip(self) -> None:
        self.world.slip(self._random.choice(UNNOTICED_LOSSES_US))

    def _slip_of_ledger(self) -> None:
        """Let a ledger's clock step back unnoticed: it stands still, so that slots come later."""
        self.world.ledger_clocks[self._cap()].offset_us -= self._random.choice(UNNOTICED_LOSSES_US)

    def _node(self) -> str:
        return self._random.choice(NODES)

    def _cap(self) -> str:
        return self._random.choice(CAPS)

    def _limit(self) -> Limit:
        intervals_us = INTERVALS_US if self._random.random() >= self._slow_part else LONG_INTERVALS_US
        return Limit(self._random.choice(intervals_us), self._random.choice(BURSTS))

    def _delay(self) -> int:
        return self._random.choice([0, 0, 0, 300, 300, 2_000, self._random.randint(0, 40_000)])
