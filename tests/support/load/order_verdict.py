"""The counts of leases that came in the wrong order within their queue (I3)."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.support.load.history import History, Job, Lease, Outcome
from tests.support.load.promise import ROUNDING_MS

VOID_LATE_S = 8.0
"""A lease that no worker received is given back, or ends, within this time."""


def overtaken(history: History) -> list[tuple[Job, Job]]:
    """Pairs (older, younger) of one queue and priority: the younger was sent after the older's acknowledgement and left
    before it (I3).

    First attempts only, and no pair whose older job may have been leased before without a worker that received it. Such
    a lease is void, and its job comes back to its place with its attempt not counted. The dequeue may have been
    answered all the same, with the leases of other servers. What shows such a lease is its number: nobody has it.
    """
    acknowledged, sent = history.acknowledged(), _first_sent(history)
    by_partition = _by_number(history)
    return [
        (older.job, younger.job)
        for younger, older in _inversions(history)
        if acknowledged.get(older.job, float("inf")) < sent.get(younger.job, float("-inf"))
        and not _may_be_void(history, by_partition, sent[older.job], older, younger)
    ]


def passed_over(history: History) -> list[tuple[Job, Job]]:
    """Pairs (earlier, later) of one queue whose later job was acknowledged before the earlier one left, and comes
    before it by its priority. First attempts only, with the exception of `overtaken`.

    Cost: O(n^2) for the n jobs of a queue.
    """
    acknowledged, sent = history.acknowledged(), _first_sent(history)
    by_partition = _by_number(history)
    by_queue: dict[str, list[Lease]] = defaultdict(list)
    for leases in _first_leases(history).values():
        for lease in leases:
            by_queue[lease.job[0]].append(lease)
    found = []
    for leases in by_queue.values():
        for later in leases:
            priority = history.promise.life.priority(later.job[1])
            since_ms = history.in_ms(acknowledged.get(later.job, float("inf"))) + ROUNDING_MS
            found += [
                (earlier.job, later.job)
                for earlier in leases
                if since_ms < earlier.at_ms < later.at_ms - ROUNDING_MS
                and priority < history.promise.life.priority(earlier.job[1])
                and not _may_be_void(history, by_partition, sent[later.job], later, earlier)
            ]
    return found


def may_be_leased_unheard(history: History, lease: Lease, since_s: float) -> bool:
    """Return True if a job may have had, at that time or later, a lease before its first one that nobody heard of."""
    return _is_any_unheard(
        _by_number(history)[history.partition_of(lease.job[0])],
        lease.number,
        since_s - VOID_LATE_S,
    )


def _first_sent(history: History) -> dict[Job, float]:
    found: dict[Job, float] = {}
    for call in history.enqueues:
        found[call.job] = min(call.began_s, found.get(call.job, call.began_s))
    return found


def _may_be_void(
    history: History, by_partition: dict[int, list[Lease]], sent_s: float, first: Lease, second: Lease
) -> bool:
    """Return True if the job that should have left first may have had a lease that nobody heard of."""
    return _is_any_unheard(
        by_partition[history.partition_of(first.job[0])],
        second.number,
        max(sent_s, second.heard_s - VOID_LATE_S),
    )


def _by_number(history: History) -> dict[int, list[Lease]]:
    """Return each partition's leases, by their numbers."""
    found: dict[int, list[Lease]] = defaultdict(list)
    for lease in sorted(history.leases, key=lambda lease: lease.number):
        found[history.partition_of(lease.job[0])].append(lease)
    return found


def _is_any_unheard(leases: Sequence[Lease], before: int, since_s: float) -> bool:
    """Return True if a number below `before` is missing and the next one was heard of since then."""
    numbers = itertools.chain([0], (lease.number for lease in leases))
    return any(
        lease.number - last > 1
        for last, lease in zip(numbers, leases, strict=False)
        if lease.number <= before and lease.heard_s >= since_s
    )


def _inversions(history: History) -> Iterator[tuple[Lease, Lease]]:
    """First leases (earlier, later) of one queue and priority whose numbers stand the other way round; of each later
    one, the worst.
    """
    for leases in _first_leases(history).values():
        highest = leases[0]
        for lease in leases:
            if lease.job[1] < highest.job[1]:
                yield highest, lease
            else:
                highest = lease


def _first_leases(history: History) -> dict[tuple[str, int], list[Lease]]:
    """Return the first leases of each queue and priority, by the store's clock.

    Jobs whose priority was perhaps changed are left out.
    """
    changed = {edit.job for edit in history.edits if edit.has_new_priority and edit.outcome is not Outcome.NO}
    found: dict[tuple[str, int], list[Lease]] = defaultdict(list)
    for first, *_ in history.by_job().values():
        if first.attempt == 1 and first.job not in changed:
            found[first.job[0], history.promise.life.priority(first.job[1])].append(first)
    for leases in found.values():
        leases.sort(key=lambda lease: (lease.at_ms, lease.job[1]))
    return found
