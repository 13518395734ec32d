"""Judges the run.

It compares promised with delivered rates, checks the spacing by the store's clock, and accounts for every acknowledged
job.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence

import msgspec

from deploy.demo.ledger import Account, Leased, Ledger, Rate
from sharq_client import SharqClient
from sharq_client.answers import JobState

DELIVERED_AT_LEAST = 0.95
"""The share of its promise that a customer with a backlog gets at the least."""

ROUNDING_MS = 1.0
"""Times on the wire are whole milliseconds."""

CLOCK_SLACK_MS = 500.0
"""Around a rate change both rates are allowed for this long: the demo's clock is not the store's."""

LOOKUPS_AT_ONCE = 16


class Finding(msgspec.Struct, frozen=True):
    """The result for one customer.

    Attributes:
        allowed: leases that its rate allowed while it sent.
        promised: `allowed`, or all that it sent when that is less.
        delivered: leases while it sent, those of returned jobs too: each took a slot of the rate.
        over_s: how long it sent.
        spacing_ms: smallest time from a lease to the burst-th after it; None with too few leases.
        spacing_allowed_ms: the shortest interval that was in force.
        waiting: its jobs at the end, by the server's count.
        lost: acknowledged jobs of which the server knows nothing.
        problems: broken promises, in words.
    """

    name: str
    burst: int
    sent: int
    allowed: float
    promised: float
    delivered: int
    over_s: float
    spacing_ms: float | None
    spacing_allowed_ms: float
    requeued: int
    waiting: int
    lost: int
    problems: list[str]


async def findings(client: SharqClient, queue_type: str, ledger: Ledger, ended_s: float) -> list[Finding]:
    """Judge every customer, after all workers have ended.

    Args:
        ended_s: when sending ended, on the monotonic clock.

    Cost: one request for each customer and for each job that no worker finished.
    """
    found = [await _judge(client, queue_type, account, ended_s) for account in ledger.accounts.values()]
    return [*found, _judge_carrier(ledger.carrier, ended_s)]


async def _judge(client: SharqClient, queue_type: str, account: Account, ended_s: float) -> Finding:
    own_type = account.customer.type_in(queue_type)
    stats = await client.queue(own_type, account.customer.name)
    waiting = 0 if stats is None else stats.queued + stats.delayed + stats.leased
    states = await _states(client, own_type, account)
    return _finding(account, ended_s, waiting, states[None], _loss_problems(states, waiting))


def _judge_carrier(account: Account, ended_s: float) -> Finding:
    """Judge the cap of a carrier: the leases of all its customers. Their jobs are accounted for with each of them."""
    return _finding(account, ended_s, len(account.acknowledged - account.finished), 0, [])


def _finding(account: Account, ended_s: float, waiting: int, lost: int, loss_problems: list[str]) -> Finding:
    allowed = account.allowed(ended_s)
    delivered = sum(heard_s <= ended_s for heard_s in account.heard_s)
    leases = sorted(account.leases, key=lambda lease: lease.leased_at_ms)
    spacing_ms = smallest_spacing_ms(leases, account.customer.burst)
    problems = [
        *loss_problems,
        *spacing_problems(leases, account),
        *rate_problems(allowed, len(account.acknowledged), delivered),
    ]
    return Finding(
        account.customer.name,
        account.customer.burst,
        len(account.acknowledged),
        allowed,
        min(allowed, len(account.acknowledged)),
        delivered,
        ended_s - account.sent_s[0] if account.sent_s else 0.0,
        spacing_ms,
        min(rate.interval_ms for rate in account.rates),
        account.requeued,
        waiting,
        lost,
        problems,
    )


async def _states(client: SharqClient, queue_type: str, account: Account) -> Counter[JobState | None]:
    """Count the states of acknowledged jobs that no worker reported as finished; None counts unknown jobs."""
    turns = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def ask(job_id: str) -> JobState | None:
        async with turns:
            status = await client.job(queue_type, account.customer.name, job_id)
            return None if status is None else status.state

    return Counter(await asyncio.gather(*map(ask, account.acknowledged - account.finished)))


def _loss_problems(states: Counter[JobState | None], waiting: int) -> list[str]:
    """Return lost, uncounted and dead jobs as text. The server's state counts for jobs of a killed worker."""
    problems = [f"{states[None]} acknowledged jobs are lost"] if states[None] else []
    still_there = states[JobState.QUEUED] + states[JobState.DELAYED] + states[JobState.LEASED]
    if still_there != waiting:
        problems.append(f"{still_there} jobs are not finished, but the server counts {waiting}")
    if states[JobState.DEAD]:
        problems.append(f"{states[JobState.DEAD]} jobs are dead letters")
    return problems


def smallest_spacing_ms(leases: Sequence[Leased], burst: int) -> float | None:
    """Return the smallest time from a lease to the burst-th after it, None if there are too few; leases by time."""
    pairs = zip(leases, leases[burst:], strict=False)
    return min((later.leased_at_ms - earlier.leased_at_ms for earlier, later in pairs), default=None)


def spacing_problems(leases: Sequence[Leased], account: Account) -> list[str]:
    """Follow the leaky bucket lease by lease, and return the leases that came too early as text."""
    slot_ms = -math.inf
    early: list[float] = []
    for lease in leases:
        interval_ms = interval_in_force_ms(account.rates, lease.leased_at_ms)
        ready_at_ms = slot_ms + interval_ms
        if lease.leased_at_ms < ready_at_ms - ROUNDING_MS:
            early.append(ready_at_ms - lease.leased_at_ms)
        slot_ms = max(ready_at_ms, lease.leased_at_ms - (account.customer.burst - 1) * interval_ms)
    return [f"{len(early)} leases came too early, by up to {max(early):.0f} ms"] if early else []


def interval_in_force_ms(rates: Sequence[Rate], at_ms: float) -> float:
    """Return the interval in force at a time; while a change may have been under way, the shorter of the two."""
    possible = [rates[0].interval_ms]
    for rate in rates[1:]:
        if at_ms > rate.until_ms + CLOCK_SLACK_MS:
            possible = []
        if at_ms >= rate.from_ms - CLOCK_SLACK_MS:
            possible.append(rate.interval_ms)
    return min(possible)


def is_behind(finding: Finding) -> bool:
    """Return True if the customer got less than its rate allowed."""
    return bool(rate_problems(finding.allowed, finding.sent, finding.delivered))


def rate_problems(allowed: float, sent: int, delivered: int) -> list[str]:
    """Return a sentence for each way in which a customer's rate was not kept."""
    has_backlog = sent > allowed
    if has_backlog and delivered < DELIVERED_AT_LEAST * allowed:
        return [f"delivered {delivered} of {allowed:.0f} promised ({delivered / allowed:.0%})"]
    return []
