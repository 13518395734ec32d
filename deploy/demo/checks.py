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

from deploy.demo.customers import ACCOUNT, URGENT, Customer
from deploy.demo.ledger import Account, Leased, Ledger, Rate
from sharq_client import AsyncClient, DeadLetter, DeadReason, JobState

DELIVERED_AT_LEAST = 0.95
"""The share of its promise that a customer with a backlog gets at the least."""

NAMED_CAP_SLACK_MS = 10.0
"""The most by which a lease under a named cap may begin before its slot (docs/limits.md, What a cap promises)."""

ROUNDING_MS = 1.0
"""Times on the wire are whole milliseconds."""

CLOCK_SLACK_MS = 500.0
"""Around a rate change both rates are allowed for this long: the demo's clock is not the store's."""

LOOKUPS_AT_ONCE = 16


class DeadRow(msgspec.Struct, frozen=True):
    """The dead letters of one customer that have the same reason.

    Attributes:
        error: the error of one of them; None for none.
    """

    reason: DeadReason
    count: int
    error: str | None


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
        dead: its dead letters by reason.
        waits_s: the longest waits of an urgent and of another message from enqueue to lease; None without urgent ones.
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
    dead: list[DeadRow]
    waits_s: tuple[float, float] | None


async def findings(client: AsyncClient, queue_type: str, ledger: Ledger, ended_s: float) -> list[Finding]:
    """Judge every customer, after all workers have ended.

    Args:
        ended_s: when sending ended, on the monotonic clock.

    Cost: one request for each customer and for each job that no worker finished.
    """
    found = [await _judge(client, queue_type, account, ended_s) for account in ledger.accounts.values()]
    return [*found, *(_judge_cap(cap, ended_s) for cap in ledger.shared.values())]


async def _judge(client: AsyncClient, queue_type: str, account: Account, ended_s: float) -> Finding:
    own_type = account.customer.type_in(queue_type)
    stats = await client.queue(own_type, account.customer.name)
    waiting = 0 if stats is None else stats.queued + stats.delayed + stats.leased
    states = await _states(client, own_type, account)
    letters = [letter async for letter in client.dead(own_type, queue_id=account.customer.name)]
    problems = [
        *_loss_problems(states, waiting),
        *dead_letter_problems(letters, account.customer),
        *expiry_problems(account.leases),
        *priority_problems(account.leases),
    ]
    return _finding(account, ended_s, waiting, states[None], problems, letters)


def _judge_cap(account: Account, ended_s: float) -> Finding:
    """Judge a cap: the leases of all its customers. Their jobs are accounted for with each of them."""
    return _finding(account, ended_s, len(account.acknowledged - account.finished), 0, [], [])


def _finding(
    account: Account,
    ended_s: float,
    waiting: int,
    lost: int,
    job_problems: list[str],
    letters: Sequence[DeadLetter],
) -> Finding:
    allowed = account.allowed(ended_s)
    delivered = sum(heard_s <= ended_s for heard_s in account.heard_s)
    leases = sorted(account.leases, key=lambda lease: lease.leased_at_ms)
    spacing_ms = smallest_spacing_ms(leases, account.customer.burst)
    problems = [
        *job_problems,
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
        _by_reason(letters),
        _longest_waits_s(account.leases),
    )


async def _states(client: AsyncClient, queue_type: str, account: Account) -> Counter[JobState | None]:
    """Count the states of acknowledged jobs that no worker reported as finished; None counts unknown jobs."""
    turns = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def ask(job_id: str) -> JobState | None:
        async with turns:
            status = await client.job(queue_type, account.customer.name, job_id)
            return None if status is None else status.state

    return Counter(await asyncio.gather(*map(ask, account.acknowledged - account.finished)))


def _loss_problems(states: Counter[JobState | None], waiting: int) -> list[str]:
    """Return lost and uncounted jobs as text. The server's state counts for jobs of a killed worker."""
    problems = [f"{states[None]} acknowledged jobs are lost"] if states[None] else []
    still_there = states[JobState.QUEUED] + states[JobState.DELAYED] + states[JobState.LEASED]
    if still_there != waiting:
        problems.append(f"{still_there} jobs are not finished, but the server counts {waiting}")
    return problems


def dead_letter_problems(letters: Sequence[DeadLetter], customer: Customer) -> list[str]:
    """Return dead letters that should not be there, or that died too early, as text."""
    expected = {
        DeadReason.LIMIT: bool(customer.unreachable),
        DeadReason.EXPIRED: customer.expires_ms is not None,
    }
    problems = [
        f"{row.count} jobs are dead letters: {row.reason}"
        for row in _by_reason(letters)
        if not expected[row.reason]
    ]
    early = sum(
        letter.reason is DeadReason.LIMIT and letter.attempt != customer.requeue_limit + 1
        for letter in letters
    )
    return [*problems, f"{early} dead letters had more or fewer attempts than allowed"] if early else problems


def expiry_problems(leases: Sequence[Leased]) -> list[str]:
    """Return the leases that began after the job had expired as text."""
    late = sum(
        lease.expires_at_ms is not None and lease.leased_at_ms > lease.expires_at_ms for lease in leases
    )
    return [f"{late} jobs were leased after they had expired"] if late else []


def priority_problems(leases: Sequence[Leased]) -> list[str]:
    """Return first leases that came before an urgent job's, although that one waited already, as text."""
    first = [lease for lease in leases if lease.attempt == 1]
    urgent = [lease for lease in first if lease.priority == URGENT]
    passed = sum(
        any(
            waiting.leased_at_ms - waiting.waited_ms < lease.leased_at_ms - ROUNDING_MS
            and waiting.leased_at_ms > lease.leased_at_ms + ROUNDING_MS
            for waiting in urgent
        )
        for lease in first
        if lease.priority != URGENT
    )
    return [f"{passed} jobs were leased before an urgent one that waited"] if passed else []


def _by_reason(letters: Sequence[DeadLetter]) -> list[DeadRow]:
    """Return the numbers of dead letters by reason, each with the error of the last one that has one."""
    counts = Counter(letter.reason for letter in letters)
    errors = {letter.reason: letter.error for letter in letters if letter.error}
    return [DeadRow(reason, count, errors.get(reason)) for reason, count in sorted(counts.items())]


def _longest_waits_s(leases: Sequence[Leased]) -> tuple[float, float] | None:
    """Return the longest wait of an urgent job and that of another one; None if there is none of either."""
    urgent_ms = [lease.waited_ms for lease in leases if lease.priority == URGENT]
    usual_ms = [lease.waited_ms for lease in leases if lease.priority != URGENT]
    return (max(urgent_ms) / 1000, max(usual_ms) / 1000) if urgent_ms and usual_ms else None


def smallest_spacing_ms(leases: Sequence[Leased], burst: int) -> float | None:
    """Return the smallest time from a lease to the burst-th after it, None if there are too few; leases by time."""
    pairs = zip(leases, leases[burst:], strict=False)
    return min((later.leased_at_ms - earlier.leased_at_ms for earlier, later in pairs), default=None)


def spacing_problems(leases: Sequence[Leased], account: Account) -> list[str]:
    """Follow the leaky bucket lease by lease, and return the leases that came too early as text."""
    slack_ms = NAMED_CAP_SLACK_MS if account.customer.name == ACCOUNT.name else 0
    slot_ms = -math.inf
    early: list[float] = []
    for lease in leases:
        interval_ms = interval_in_force_ms(account.rates, lease.leased_at_ms)
        ready_at_ms = slot_ms + interval_ms
        if lease.leased_at_ms < ready_at_ms - ROUNDING_MS - slack_ms:
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


def lateness(finding: Finding) -> list[str]:
    """Return those of the customer's problems that say only that it got less than its rate allowed."""
    return rate_problems(finding.allowed, finding.sent, finding.delivered)


def rate_problems(allowed: float, sent: int, delivered: int) -> list[str]:
    """Return a sentence for each way in which a customer's rate was not kept."""
    has_backlog = sent > allowed
    if has_backlog and delivered < DELIVERED_AT_LEAST * allowed:
        return [f"delivered {delivered} of {allowed:.0f} promised ({delivered / allowed:.0%})"]
    return []
