"""The customers of the rate benchmark: 1,000 queues of mixed rates and ten fast ones, and their jobs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from sharq_client import EnqueueJob

QUEUE_TYPE = "sms"

_MIXED = 1_000
_FAST = 10
_FAST_RATE = 100.0
_SLOWEST, _FASTEST = 0.5, 20.0
_SKEW = 6.8
"""Makes the mixed rates' mean 3: the mean of u**k over 0..1 is 1 / (k + 1), and 0.5 + 19.5 / 7.8 = 3."""

_PAYLOAD = msgspec.Raw(b'{"message":"hello, world","to":"4912345678"}')


class Customer(msgspec.Struct, frozen=True):
    """One queue and its promise; interval_us: whole µs, as the server keeps it."""

    queue_id: str
    interval_us: int
    is_fast: bool

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return 1e6 / self.interval_us


def customers(pace: float) -> list[Customer]:
    """Return all customers: many slow ones, few near 20/s, and ten at 100/s; 4,000/s in all.

    Args:
        pace: factor on every rate, over 0.
    """
    mixed = [_SLOWEST + (_FASTEST - _SLOWEST) * ((i + 0.5) / _MIXED) ** _SKEW for i in range(_MIXED)]
    return [_customer(i, rate * pace, is_fast=False) for i, rate in enumerate(mixed)] + [
        _customer(_MIXED + i, _FAST_RATE * pace, is_fast=True) for i in range(_FAST)
    ]


def evenly(rate: int, count: int) -> list[Customer]:
    """Return customers of one rate; "fast" ones are none of them."""
    return [_customer(number, rate, is_fast=False, prefix=f"at-{rate}-") for number in range(count)]


def jobs_for(group: list[Customer], burst: float, duration_s: float) -> Iterator[EnqueueJob]:
    """Return as many jobs as every queue may give in the time, the queues in turn."""
    depths = [math.ceil(customer.rate * duration_s + burst) for customer in group]
    for depth in range(max(depths)):
        for customer, deepest in zip(group, depths, strict=True):
            if depth < deepest:
                yield EnqueueJob(
                    queue_type=QUEUE_TYPE,
                    queue_id=customer.queue_id,
                    job_id=f"job-{depth}",
                    payload=_PAYLOAD,
                    interval=customer.interval_us / 1000,
                    burst=burst,
                    requeue_limit=None,
                    retry=None,
                )


def _customer(number: int, rate: float, *, is_fast: bool, prefix: str = "q") -> Customer:
    return Customer(f"{prefix}{number}", math.ceil(1e6 / rate), is_fast)
