"""The checker of a history: counts what must never happen."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from tests.support.load.history import End, History, Job, Lease, Outcome
from tests.support.load.life_verdict import (
    cancelled_leased,
    ended_otherwise,
    expired_leased,
    kind_of,
    outdated,
    retried_early,
    too_many_attempts,
    wrong_fates,
)
from tests.support.load.named_caps import over_named_cap
from tests.support.load.order_verdict import overtaken, passed_over
from tests.support.load.promise import ROUNDING_MS, Promise, Taken, crowded, in_hold, over_caps, too_early


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The counts that a history shows; see docs/guarantees.md.

    Attributes:
        failed: calls that were not OK; an empty dequeue is not one, nor a refused finish of a lease that was lost.
        redelivered: acknowledged jobs that were leased again (allowed: at least once).
        died, expired, cancelled: jobs that ended so, of those whose fate was asked for.
    """

    acknowledged: int
    delivered: int
    redelivered: int
    requests: int
    failed: int
    died: int
    expired: int
    cancelled: int
    lost: int
    unexpected: int
    revived: int
    out_of_order: int
    out_of_priority: int
    too_close: int
    over_cap: int
    too_many_leased: int
    in_hold: int
    double_leased: int
    stale_finished: int
    expired_leased: int
    cancelled_leased: int
    too_many_attempts: int
    retried_early: int
    outdated: int
    wrong_fate: int
    undocumented: int

    @property
    def violations(self) -> dict[str, int]:
        """The counts above zero of what must never happen."""
        return {name: count for name in VIOLATIONS if (count := getattr(self, name))}


VIOLATIONS = (
    "lost",
    "unexpected",
    "revived",
    "out_of_order",
    "out_of_priority",
    "too_close",
    "over_cap",
    "too_many_leased",
    "in_hold",
    "double_leased",
    "stale_finished",
    "expired_leased",
    "cancelled_leased",
    "too_many_attempts",
    "retried_early",
    "outdated",
    "wrong_fate",
    "undocumented",
)


def check(history: History) -> Counts:
    """Count what the history shows. Cost: O(n log n), but for overtaking within one queue."""
    acknowledged = history.acknowledged()
    by_job = history.by_job()
    ends = Counter(kind_of(fate) for fate in history.fates.values())
    return Counts(
        acknowledged=len(acknowledged),
        delivered=len(by_job),
        redelivered=sum(len(leases) > 1 for leases in by_job.values()),
        requests=sum(1 for _ in history.calls),
        failed=len(history.failures),
        died=ends["died"],
        expired=ends["expired"],
        cancelled=ends["cancelled"],
        lost=len(acknowledged.keys() - by_job.keys() - ended_otherwise(history)),
        unexpected=len(unexpected(history)),
        revived=len(revived(history)),
        out_of_order=len(overtaken(history)),
        out_of_priority=len(passed_over(history)),
        too_close=len(too_close(history)),
        over_cap=len(over_cap(history)) + len(over_named_caps(history)),
        too_many_leased=too_many_leased(history),
        in_hold=leased_in_hold(history),
        double_leased=len(double_leased(history)),
        stale_finished=len(stale_finished(history)),
        expired_leased=len(expired_leased(history)),
        cancelled_leased=len(cancelled_leased(history)),
        too_many_attempts=len(too_many_attempts(history)),
        retried_early=len(retried_early(history)),
        outdated=len(outdated(history)),
        wrong_fate=len(wrong_fates(history)),
        undocumented=sum(not call.is_documented for call in history.calls),
    )


def unexpected(history: History) -> list[Job]:
    """Delivered jobs that nobody sent, or whose every enqueue was answered "no" (I9)."""
    perhaps_there = {call.job for call in history.enqueues if call.outcome is not Outcome.NO}
    return sorted(history.delivered() - perhaps_there)


def revived(history: History) -> list[Lease]:
    """Leases of jobs whose finish had been acknowledged before the dequeue began."""
    finished: dict[Job, float] = {}
    for end in history.ends:
        if end.verb == "finish" and end.outcome is Outcome.OK:
            finished[end.job] = min(end.ended_s, finished.get(end.job, end.ended_s))
    return [
        lease
        for dequeue in history.dequeues
        for lease in dequeue.leases
        if dequeue.began_s > finished.get(lease.job, float("inf"))
    ]


def too_close(history: History) -> list[Taken]:
    """Leases that came before the rate of their queue let them (I2, I12)."""
    return [
        lease
        for leases in _by_queue(history).values()
        for lease in too_early([_taken(lease) for lease in leases], history.promise.rate)
    ]


def over_cap(history: History) -> list[Taken]:
    """Leases that came before a cap of the type let them (I14)."""
    leases = sorted(map(_taken, history.leases), key=lambda lease: lease.at_ms)
    return over_caps(leases, history.promise.caps, history.changes)


def over_named_caps(history: History) -> list[Taken]:
    """Leases that were too many in some time for one of their queue's named caps."""
    return [
        taken
        for cap in history.promise.named
        for taken in over_named_cap(
            [_taken(lease) for lease in _of_cap(history, cap.name)],
            cap,
            [change for change in history.named_changes if change.cap.name == cap.name],
        )
    ]


def around(history: History, taken: Taken) -> Iterator[Lease]:
    """Yield the leases within half a second before one that a cap did not let go, and itself."""
    leases = sorted(history.leases, key=lambda lease: lease.at_ms)
    return (lease for lease in leases if taken.at_ms - 500 <= lease.at_ms <= taken.at_ms)


def too_many_leased(history: History) -> int:
    """Count the leases that began while as many of their queue, type or named cap were live as may be (I13)."""
    first_end_s: dict[str, float] = {}
    for end in history.ends:
        if end.outcome is not Outcome.NO:
            first_end_s[end.token] = min(end.began_s, first_end_s.get(end.token, end.began_s))
    spans = {
        queue: [
            (
                float(lease.at_ms),
                min(lease.until_ms, history.in_ms(first_end_s.get(lease.token, float("inf")))) - ROUNDING_MS,
            )
            for lease in leases
        ]
        for queue, leases in _by_queue(history).items()
    }
    promise, found = history.promise, 0
    if promise.max_leased is not None:
        found += sum(len(crowded(own, promise.max_leased)) for own in spans.values())
    if promise.type_max_leased is not None:
        found += len(crowded([span for own in spans.values() for span in own], promise.type_max_leased))
    for cap in promise.named:
        if cap.max_leased is not None:
            of_cap = [own for queue, own in spans.items() if cap.name in promise.cap_names(queue)]
            found += len(crowded([span for own in of_cap for span in own], cap.max_leased))
    return found


def leased_in_hold(history: History) -> int:
    """Count the leases within a hold of their queue, type or named cap.

    A hold that perhaps took effect before its answer is not judged, nor is a slot of a cap that was reserved before.
    """
    doubtful = {end.token for end in history.ends if end.outcome is Outcome.PERHAPS}
    holds = [
        end for end in history.ends if end.hold_ms and end.outcome is Outcome.OK and end.token not in doubtful
    ]
    definitions = [*history.promise.named, *(change.cap for change in history.named_changes)]
    settled_ms: dict[str, float] = {}
    for cap in definitions:
        settled_ms[cap.name] = max(cap.settled_ms, settled_ms.get(cap.name, 0))
    return sum(
        len(
            in_hold(
                [lease.at_ms for lease in leases],
                [
                    (
                        history.in_ms(end.ended_s) + settled_ms.get(end.held_cap, 0),
                        history.in_ms(end.began_s) + end.hold_ms,
                    )
                    for end in holds
                    if _holds(end, queue, history.promise)
                ],
            )
        )
        for queue, leases in _by_queue(history).items()
    )


def _holds(end: End, queue: str, promise: Promise) -> bool:
    """Return True if the hold of a finish or release holds a queue."""
    if end.held_cap:
        return end.held_cap in promise.cap_names(queue)
    return end.is_hold_of_type or end.job[0] == queue


def _of_cap(history: History, name: str) -> list[Lease]:
    """Return the leases of the queues with a named cap, in real time."""
    leases = [lease for lease in history.leases if name in history.promise.cap_names(lease.job[0])]
    return sorted(leases, key=lambda lease: lease.at_ms)


def _by_queue(history: History) -> dict[str, list[Lease]]:
    """Return each queue's leases, by the store's clock."""
    found: dict[str, list[Lease]] = defaultdict(list)
    for lease in sorted(history.leases, key=lambda lease: lease.at_ms):
        found[lease.job[0]].append(lease)
    return found


def _taken(lease: Lease) -> Taken:
    return Taken(lease.at_ms, lease.cost)


def double_leased(history: History) -> list[tuple[Lease, Lease]]:
    """Leases of one job of which the later began before the earlier had ended (I4)."""
    ended = {end.token for end in history.ends if end.outcome is not Outcome.NO}
    return [
        (earlier, later)
        for leases in history.by_job().values()
        for earlier, later in itertools.pairwise(leases)
        if later.at_ms < earlier.until_ms - ROUNDING_MS and earlier.token not in ended
    ]


def stale_finished(history: History) -> list[End]:
    """Finishes that were accepted although a newer lease of the job was heard of before they were sent (I4).

    One that repeats a finish which may have been done is answered OK, as it should be.
    """
    by_job = history.by_job()
    done: set[str] = set()
    found = []
    for end in sorted(history.ends, key=lambda end: end.began_s):
        if end.outcome is Outcome.OK and end.token not in done and _is_stale(end, by_job[end.job]):
            found.append(end)
        if end.outcome is not Outcome.NO:
            done.add(end.token)
    return found


def _is_stale(end: End, leases: Sequence[Lease]) -> bool:
    at_ms = next(lease.at_ms for lease in leases if lease.token == end.token)
    return any(lease.at_ms > at_ms and lease.heard_s < end.began_s for lease in leases)
