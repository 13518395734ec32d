"""A walk through the model of permits: late, lost and repeated calls, extends, failovers, and clocks that lose time.

It takes the worst moments often: the last one at which a dequeue or an extend may run, and the last one of a lease.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random

from msgspec import Struct

from tests.caps.model import permits
from tests.caps.model.ledger import MIN_GRACE_US
from tests.caps.model.permits import Ledger
from tests.caps.model.world import Clock

AHEAD_US = 25_000
LEASES_US = (300_000, 3_000_000, 40_000_000)
MOST = (1, 2, 5)
LOST_US = (500_000, 9_500_000)
BETWEEN_LOSSES_US = 60_000_000

LATEST_US = 2 * (AHEAD_US + MIN_GRACE_US)
"""No lease begins later after its permit was made."""


class Call(Struct):
    """A dequeue or an extend on its way: until when the queue's server may run it, by its clock, and at which shift.

    Attributes:
        token: the lease that it extends; None for a dequeue.
    """

    serial: int
    lease_us: int
    not_after_us: int
    shifts: int
    token: int | None = None


class PermitWalk:
    """One walk, from a seed. The node's clock is real time; the two servers' clocks are not."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.real_us = 100_000_000
        self.server, self.ledger_clock = Clock(7_000_000), Clock(-3_000_000)
        self.ledger = Ledger(self._random.choice(MOST))
        self._most = [(0, self.ledger.max_leased)]
        self._replicas: list[Ledger] = []
        self._calls: list[Call] = []
        self._settles: list[int] = []
        self._live: dict[int, tuple[int, int]] = {}
        self._tokens = 0
        self._lost_at_us = 0
        self._steps: dict[Callable[[], object], int] = {
            self._take: 20,
            self._run: 25,
            self._finish: 12,
            self._settle: 10,
            self._extend: 12,
            self._wait: 10,
            self._wait_for_the_worst: 10,
            self._copy: 3,
            self._fail_over: 1,
            self._change: 2,
            self._lose: 2,
            self._forget: 4,
        }

    def go(self, steps: int) -> None:
        """Take a number of steps.

        Raises:
            AssertionError: more leases are live than the cap allows.
        """
        for step in self._random.choices([*self._steps], [*self._steps.values()], k=steps):
            step()

    @property
    def _server_us(self) -> int:
        return self.server.told_us(self.real_us)

    @property
    def _ledger_us(self) -> int:
        return self.ledger_clock.told_us(self.real_us)

    def _take(self) -> None:
        lease_us = self._random.choice(LEASES_US)
        until_us = self._server_us + AHEAD_US + MIN_GRACE_US
        self.real_us += self._random.choice([0, 300, 5_000])
        for serial in self.ledger.take(self._ledger_us, self._random.randint(1, 3), AHEAD_US, lease_us):
            self._calls.append(Call(serial, lease_us, until_us, self.server.shifts))

    def _run(self) -> None:
        """Let the queue's server carry out a call that is on its way."""
        if not self._calls:
            return
        call = self._calls.pop(self._random.randrange(len(self._calls)))
        if self._server_us > call.not_after_us or self.server.shifts != call.shifts:
            return
        if call.token is None:
            self._tokens += 1
            self._live[self._tokens] = (call.serial, self._server_us + call.lease_us)
            self._judge()
        elif call.token in self._live or self._may_revive():
            self._live[call.token] = (call.serial, self._server_us + call.lease_us)

    def _may_revive(self) -> bool:
        """Return True if an extend takes a job again whose lease was reaped. Its permit is settled, or will be."""
        return False

    def _finish(self) -> None:
        """End a lease in the queue's partition. The ledger hears of it later, perhaps."""
        if self._live:
            serial, _ = self._live.pop(self._random.choice([*self._live]))
            self._settles.append(serial)

    def _settle(self) -> None:
        """Reap leases that have ended by time, and let the ledger hear of ended leases, perhaps again."""
        ended = [token for token, (_, end_us) in self._live.items() if end_us <= self._server_us]
        self._settles += [self._live.pop(token)[0] for token in ended]
        if self._settles:
            self.ledger.settle(self._ledger_us, [self._random.choice(self._settles)])

    def _extend(self) -> None:
        """Renew the permit of a lease, and send the extend."""
        if not self._live:
            return
        token = self._random.choice([*self._live])
        serial, lease_us = self._live[token][0], self._random.choice(LEASES_US)
        until_us, shifts = self._server_us + permits.EXTEND_WITHIN_US, self.server.shifts
        self.real_us += self._random.choice([0, 300, 1_000_000])
        if self._renew(serial, lease_us):
            self._calls.append(Call(serial, lease_us, until_us, shifts, token))

    def _renew(self, serial: int, lease_us: int) -> bool:
        return self.ledger.renew(self._ledger_us, serial, lease_us)

    def _wait(self) -> None:
        self.real_us += self._random.choice([1_000, 100_000, 3_000_000, 30_000_000])

    def _wait_for_the_worst(self) -> None:
        """Let time pass to the last moment of a call or a lease."""
        moments = [call.not_after_us for call in self._calls]
        moments += [end_us - 1 for _, end_us in self._live.values()]
        ahead = [moment_us for moment_us in moments if moment_us > self._server_us]
        if ahead:
            self.real_us += self._random.choice(ahead) - self._server_us

    def _copy(self) -> None:
        self._replicas.append(copy.deepcopy(self.ledger))

    def _fail_over(self) -> None:
        """Go on with a replica that lacks takes, settles and renewals, but no change of the cap."""
        if self._replicas:
            replica = self._random.choice(self._replicas[-3:])
            self._replicas = []
            replica.max_leased, replica.longest_us = self.ledger.max_leased, self.ledger.longest_us
            replica.blocked_until_us = max(replica.blocked_until_us, self.ledger.blocked_until_us)
            self.ledger = replica
            self.ledger.fail_over(self._ledger_us)

    def _change(self) -> None:
        self.ledger.max_leased = self._random.choice(MOST)
        self._most.append((self.real_us, self.ledger.max_leased))

    def _lose(self) -> None:
        """Let the clock of the queue's server step back, which a call notices: its time stood still."""
        if self.real_us - self._lost_at_us > BETWEEN_LOSSES_US:
            self._lost_at_us = self.real_us
            self.server.lose(self._random.choice(LOST_US))
        self.ledger_clock.lose(self._random.choice([0, 500_000]))

    def _forget(self) -> None:
        """Lose a call, as when its node dies."""
        if self._calls:
            self._calls.pop(self._random.randrange(len(self._calls)))

    def _judge(self) -> None:
        """Raise AssertionError if more leases are live than was allowed when the last of them got its permit."""
        live = sum(end_us > self._server_us for _, end_us in self._live.values())
        replaced_us = [real_us for real_us, _ in self._most[1:]] + [self.real_us]
        since_us = self.real_us - LATEST_US
        values = [
            most for (_, most), end_us in zip(self._most, replaced_us, strict=True) if end_us >= since_us
        ]
        assert live <= max(values), f"{live} leases, at most {max(values)}"
