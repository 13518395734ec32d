"""Records acknowledged, leased and finished jobs by customer; checks.py judges them."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from deploy.demo.customers import Customer

RATE_WINDOW_S = 3.0
"""Over how long the live rates are taken."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """A report that a worker is about to lease."""


class Leased(msgspec.Struct, frozen=True, tag=True):
    """A report that a worker has a job.

    Attributes:
        leased_at_ms: the time of the lease by the store's clock.
        attempt: 1 for the first delivery.
        waited_ms: the time from the enqueue to the lease.
        expires_at_ms: the time from which on it may not be leased; None for never.
    """

    customer: str
    job_id: str
    leased_at_ms: int
    attempt: int
    priority: int = 5
    waited_ms: int = 0
    expires_at_ms: int | None = None


class Finished(msgspec.Struct, frozen=True, tag=True):
    """A report that the server accepted a finish."""

    customer: str
    job_id: str


class Rate(msgspec.Struct, frozen=True):
    """A rate, and the times between which it came into force.

    The times are given on the demo's clock, and as ms since the epoch.
    """

    interval_ms: float
    since_s: float
    from_ms: float
    until_ms: float


class Account:
    """All that is known of one customer. Times in s are of the monotonic clock.

    Attributes:
        waiting, dead: its queued jobs and its dead letters, by the server's latest count.
    """

    def __init__(self, customer: Customer) -> None:
        now_ms = time.time() * 1000
        self.customer = customer
        self.rates = [Rate(customer.interval_ms, 0.0, now_ms, now_ms)]
        self.sent_s: list[float] = []
        self.acknowledged: set[str] = set()
        self.heard_s: list[float] = []
        self.leases: list[Leased] = []
        self.finished: set[str] = set()
        self.waiting = 0
        self.dead = 0

    @property
    def interval_ms(self) -> float:
        """The interval in force now."""
        return self.rates[-1].interval_ms

    @property
    def requeued(self) -> int:
        """Leases of jobs that had been leased before."""
        return sum(lease.attempt > 1 for lease in self.leases)

    @property
    def has_ended(self) -> bool:
        """True if every job is finished or a dead letter."""
        return len(self.finished) + self.dead >= len(self.acknowledged)

    def allowed(self, until_s: float) -> float:
        """Return the number of leases due to the customer from the first acknowledged job until then."""
        if not self.sent_s:
            return 0.0
        ends_s = [rate.since_s for rate in self.rates[1:]] + [until_s]
        return self.customer.share * sum(
            max(0.0, end_s - max(rate.since_s, self.sent_s[0])) * 1000 / rate.interval_ms
            for rate, end_s in zip(self.rates, ends_s, strict=True)
        )

    def sent_per_s(self, now_s: float) -> float:
        """Return the recent rate of acknowledged jobs per second."""
        return _per_s(self.sent_s, now_s)

    def delivered_per_s(self, now_s: float) -> float:
        """Return the recent rate of leases per second."""
        return _per_s(self.heard_s, now_s)


class Ledger:
    """The accounts of all customers.

    Attributes:
        shared: name of a carrier or of a named cap → the leases of all its customers together.
    """

    def __init__(self, customers: tuple[Customer, ...], shared: Mapping[str, Customer]) -> None:
        self.accounts = {customer.name: Account(customer) for customer in customers}
        self.shared = {name: Account(cap) for name, cap in shared.items()}

    def rows(self) -> list[Account]:
        """Return the accounts in the order of the tables; those of caps stand after their customers'."""
        return [*self.accounts.values(), *self.shared.values()]

    def under(self, name: str) -> list[Account]:
        """Return the accounts of the customers of a carrier or of a named cap."""
        accounts = self.accounts.values()
        return [
            account for account in accounts if name in {account.customer.carrier, account.customer.account}
        ]

    def acknowledge(self, customer: str, job_id: str) -> None:
        """Record that the server has acknowledged a job."""
        for account in self._accounts_of(customer):
            account.acknowledged.add(job_id)
            account.sent_s.append(time.monotonic())

    def hear(self, record: Leased | Finished) -> None:
        """Record a worker's report."""
        for account in self._accounts_of(record.customer):
            if isinstance(record, Finished):
                account.finished.add(record.job_id)
            else:
                account.leases.append(record)
                account.heard_s.append(time.monotonic())

    def _accounts_of(self, customer: str) -> list[Account]:
        account = self.accounts[customer]
        name = account.customer.carrier or account.customer.account
        return [account, self.shared[name]] if name else [account]


def _per_s(events_s: list[float], now_s: float) -> float:
    """Return the events a second over the last RATE_WINDOW_S. Cost: O(those events)."""
    count = 0
    for event_s in reversed(events_s):
        if event_s < now_s - RATE_WINDOW_S:
            break
        count += 1
    return count / RATE_WINDOW_S
