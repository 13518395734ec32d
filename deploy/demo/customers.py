"""Defines the scenario: the customers, their rates and loads, the SMS payload, and the times of all events."""

from __future__ import annotations

import random

import msgspec

from sharq_client import RetryPolicy

SEND_S = 18.0
"""Time for which the customers send. Over it, the delivered jobs are compared with the promised ones."""

DRAIN_S = 3.0
"""The longest time for which the workers go on after that."""

KILL_AT_S = 6.0
RATE_CHANGE_AT_S = 9.0

KILLS_AT_S = {"shard": 11.0, "router": 14.5}
"""The process of a cluster → when it is killed: over three seconds before the end, so that the effect is seen."""

LEASE_MS = 2_500
"""Short, so that the jobs of a killed worker are seen to return within the run."""

BURST_FROM_PER_S = 8.0
"""Customers at this rate and above have burst 2: one late lease is caught up, and the rate over time is
exact."""

SPIKE_EVERY_S = 4.0
SPIKE_FOR_S = 0.5


class Customer(msgspec.Struct, frozen=True):
    """One customer, which is one queue.

    Attributes:
        rate_per_s: what it was promised.
        load: what it sends, as a multiple of its rate. Above 1 its queue grows.
        spike_load: over 0: it sends nothing but spikes of this multiple, SPIKE_FOR_S long, every
            SPIKE_EVERY_S.
        carrier: the carrier whose cap it shares with others; empty for none.
        account: the named cap that it shares with queues of other types; empty for none.
        channel: the type of its queue if that is not the one of messages, such as `calls`.
        share: the part of its rate that the cap leaves it while the others under the cap send, too.
        unreachable: the share of its messages whose receiver does not exist: they fail at each attempt.
        requeue_limit: how often a message may come back; past it, it is a dead letter.
        expires_ms: its messages are worthless after this time and are dead letters then; None for never.
        urgent: the share of its messages with the first priority.
    """

    name: str
    rate_per_s: float
    load: float = 1.25
    spike_load: float = 0.0
    carrier: str = ""
    account: str = ""
    channel: str = ""
    share: float = 1.0
    unreachable: float = 0.0
    requeue_limit: int = 10
    expires_ms: int | None = None
    urgent: float = 0.0

    @property
    def interval_ms(self) -> float:
        """The least time between two leases."""
        return 1000 / self.rate_per_s

    @property
    def burst(self) -> int:
        """Leases that may go back to back when late."""
        return 2 if self.rate_per_s >= BURST_FROM_PER_S else 1

    @property
    def has_backlog(self) -> bool:
        """It sends more than its rate over time, so that its queue grows."""
        mean_load = self.spike_load * SPIKE_FOR_S / SPIKE_EVERY_S if self.spike_load else self.load
        return mean_load > self.share

    def type_in(self, queue_type: str) -> str:
        """Return the type of its queue: all customers of a carrier are in one gathered type."""
        if self.channel:
            return f"{queue_type}.{self.channel}"
        return f"{queue_type}~{self.carrier}" if self.carrier else queue_type

    def caps_in(self, queue_type: str) -> list[str] | None:
        """Return the named caps of its queue; None for none."""
        return [f"{queue_type}.{self.account}"] if self.account else None

    def sends_per_s(self, at_s: float) -> float:
        """Return the jobs a second that it sends, at_s seconds after the start."""
        if self.spike_load:
            return self.spike_load * self.rate_per_s if at_s % SPIKE_EVERY_S < SPIKE_FOR_S else 0.0
        return self.load * self.rate_per_s


class RateChange(msgspec.Struct, frozen=True):
    """An operator changes a customer's rate while it runs."""

    name: str
    rate_per_s: float


CUSTOMERS = (
    Customer("night-pharmacy", 1, load=1.5),
    Customer("corner-bakery", 1, load=1.5),
    Customer("city-library", 2),
    Customer("yoga-studio", 2),
    Customer("dental-care", 3),
    Customer("harbor-pizza", 3, load=2.5),
    Customer("school-board", 4),
    Customer("ticket-rush", 5, spike_load=15),
    Customer("river-hotel", 5, load=0.6),
    Customer("blue-taxi", 6),
    Customer("fit-club", 8),
    Customer("garden-shop", 8, load=0.7),
    Customer("metro-gas", 10),
    Customer("book-world", 10),
    Customer("city-clinic", 12),
    Customer("parcel-post", 15),
    Customer("sun-airlines", 20),
    Customer("home-bank", 25),
    Customer("fast-shop", 30),
    Customer("one-time-codes", 40),
)

CARRIER = Customer("all of skytel", 15)
"""The cap of a carrier, as if it were one customer: together its customers get 15 a second, however many send."""

CARRIER_NAME = "skytel"

CARRIER_CUSTOMERS = tuple(
    Customer(name, CARRIER.rate_per_s, load=2 / 3, carrier=CARRIER_NAME, share=1 / 3)
    for name in ("opera-house", "zoo-tickets", "ferry-line")
)
"""Each may take all of the cap if the others are silent. Together they send twice what the carrier takes."""

ACCOUNT = Customer("all of acct17", 12, share=0.97)
"""A named cap, with the rate that its queues may have together, also those of different types."""

ACCOUNT_NAME = "acct17"
CALLS = "calls"

ACCOUNT_CUSTOMERS = tuple(
    Customer(name, ACCOUNT.rate_per_s, load=2 / 3, account=ACCOUNT_NAME, channel=channel, share=0.27)
    for name, channel in (("acct17-codes", ""), ("acct17-news", ""), ("acct17-calls", CALLS))
)
"""Each may do all that the account may if the others are silent. Together they send twice of it."""

LIFE_CUSTOMERS = (
    Customer("order-alerts", 6, load=1.25, unreachable=0.1, requeue_limit=2),
    Customer("flash-sale", 5, load=2, expires_ms=1_500),
    Customer("union-bank", 5, load=1.5, urgent=0.2),
)
"""Customers whose messages fail, expire, or overtake others."""

ALL_CUSTOMERS = (*CUSTOMERS, *LIFE_CUSTOMERS, *CARRIER_CUSTOMERS, *ACCOUNT_CUSTOMERS)

RETRY = RetryPolicy(delay=400, factor=2, jitter=0.2)
"""A message that fails is tried again about 0.4 s later, and then 0.8 s after that."""

URGENT, USUAL = 1, 5
"""Priorities: a bank's codes overtake its newsletter."""

NOBODY = "+15550000000"
"""The number that nobody has."""

RATE_CHANGE = RateChange("harbor-pizza", 6)


class Sms(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """The payload of a job."""

    sender: str
    to: str
    text: str


_TEXTS = (
    "Your order {n} is on its way and arrives today.",
    "{n} is your code. Do not share it with anyone.",
    "Reminder: your appointment {n} is tomorrow at 10:30. Reply 1 to confirm.",
    "Thank you! We have received your payment {n}.",
)


def an_sms(customer: Customer) -> Sms:
    """Return a message of this customer to somebody, or to nobody."""
    text = random.choice(_TEXTS).format(n=random.randrange(100_000, 1_000_000))
    number = NOBODY if random.random() < customer.unreachable else f"+1555{random.randrange(1, 10**7):07d}"
    return Sms(customer.name, number, text)
