"""The record of what clients did and were answered, and the checker that counts what must never happen.

Times: `*_s` are the clients' monotonic clock, `*_ms` the store's. A job is (queue, number). Not here: the clients
(crowd.py), the faults (test_*.py), and what the store itself holds (audit.py).
"""

from __future__ import annotations

import enum
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec

ROUNDING_MS = 1
"""Times on the wire are whole milliseconds."""

VOID_LATE_S = 8.0
"""A lease that no worker received is given back, or ends, within this time."""

NUMBER_DIGITS = 16
"""A token is the lease's number and 64 random bits, in hexadecimal digits."""

LEASE_IS_LOST = frozenset({"lease_lost", "not_found"})
"""How a finish or release is refused whose worker was too late."""

Job: TypeAlias = tuple[str, int]
"""queue, number within it"""


class Outcome(enum.StrEnum):
    """The meaning of an answer, or of its absence, for the work."""

    OK = "ok"
    NO = "no"
    PERHAPS = "perhaps"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request, or one job's part of it.

    Attributes:
        began_s, ended_s: from before the first byte to the answer or the failure.
        why: the failure's code or exception; empty when it was OK.
        message: what the failure says besides.
        is_documented: an answer of docs/api.md, or none at all.
    """

    began_s: float
    ended_s: float
    outcome: Outcome
    why: str = ""
    message: str = ""
    is_documented: bool = True


class Enqueue(Call, frozen=True, kw_only=True):
    """One job was sent, alone or in a bulk call."""

    job: Job


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that a worker heard of.

    Attributes:
        heard_s: when.
        at_ms, until_ms: its moment and its end, by the store's clock; where a test sets that, by the machine's.
    """

    job: Job
    token: str
    attempt: int
    heard_s: float
    at_ms: int
    until_ms: int

    @property
    def number(self) -> int:
        """The lease's number: a partition counts the leases of a type from 1, without a gap."""
        return int(self.token[:NUMBER_DIGITS], 16)


class Dequeue(Call, frozen=True, kw_only=True):
    """One dequeue; OK without leases when nothing was ready."""

    leases: tuple[Lease, ...] = ()


class End(Call, frozen=True, kw_only=True):
    """A finish or a release of one job under one lease."""

    verb: str
    job: Job
    token: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The counts that a history shows; see docs/guarantees.md.

    Attributes:
        failed: calls that were not OK; an empty dequeue is not one, nor a refused finish of a lease that was lost.
        redelivered: acknowledged jobs that were leased again (allowed: at least once).
    """

    acknowledged: int
    delivered: int
    redelivered: int
    requests: int
    failed: int
    lost: int
    unexpected: int
    revived: int
    out_of_order: int
    too_close: int
    double_leased: int
    stale_finished: int
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
    "too_close",
    "double_leased",
    "stale_finished",
    "undocumented",
)


class History:
    """Everything that the clients of one run did.

    Args:
        seed: of their random choices.
        interval_ms: of every queue; its burst is 1.
        partition_of: a queue's partition, which numbers its leases.

    Attributes:
        clock_shifts_ms: how far the store's clock was set ahead of the machine's so far, 0 at first.
    """

    def __init__(
        self, seed: int, interval_ms: int, partition_of: Callable[[str], int] = lambda _queue: 0
    ) -> None:
        self.seed = seed
        self.interval_ms = interval_ms
        self.partition_of = partition_of
        self.enqueues: list[Enqueue] = []
        self.dequeues: list[Dequeue] = []
        self.ends: list[End] = []
        self.clock_shifts_ms = [0]

    def real_ms(self, told_ms: int) -> int:
        """A time that an answer has just told by the store's clock, by the machine's own: the moments of two leases
        compare in real time, whatever a test has done to the store's clock between them.
        """
        now_ms = time.time() * 1000
        return min((told_ms - shift for shift in self.clock_shifts_ms), key=lambda real: abs(real - now_ms))

    @property
    def calls(self) -> Iterator[Call]:
        """All of them, by kind."""
        return itertools.chain(self.enqueues, self.dequeues, self.ends)

    @property
    def leases(self) -> Iterator[Lease]:
        """Every lease that was heard of."""
        return (lease for dequeue in self.dequeues for lease in dequeue.leases)

    @property
    def failures(self) -> list[Call]:
        """Calls that were not OK, but for those whose lease was rightly lost."""
        return [
            call for call in self.calls if call.outcome is not Outcome.OK and call.why not in LEASE_IS_LOST
        ]

    def acknowledged(self) -> dict[Job, float]:
        """Return the time of each acknowledged job's first acknowledgement."""
        found: dict[Job, float] = {}
        for call in self.enqueues:
            if call.outcome is Outcome.OK:
                found[call.job] = min(call.ended_s, found.get(call.job, call.ended_s))
        return found

    def by_job(self) -> dict[Job, list[Lease]]:
        """Each delivered job's leases, by the store's clock."""
        found: dict[Job, list[Lease]] = defaultdict(list)
        for lease in sorted(self.leases, key=lambda lease: lease.at_ms):
            found[lease.job].append(lease)
        return found

    def delivered(self) -> set[Job]:
        """Jobs that a worker heard of."""
        return {lease.job for lease in self.leases}


def check(history: History) -> Counts:
    """Count what the history shows. Cost: O(n log n), but for overtaking within one queue."""
    acknowledged = history.acknowledged()
    by_job = history.by_job()
    return Counts(
        acknowledged=len(acknowledged),
        delivered=len(by_job),
        redelivered=sum(len(leases) > 1 for leases in by_job.values()),
        requests=sum(1 for _ in history.calls),
        failed=len(history.failures),
        lost=len(acknowledged.keys() - by_job.keys()),
        unexpected=len(unexpected(history)),
        revived=len(revived(history)),
        out_of_order=len(overtaken(history)),
        too_close=len(too_close(history)),
        double_leased=len(double_leased(history)),
        stale_finished=len(stale_finished(history)),
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


def overtaken(history: History) -> list[tuple[Job, Job]]:
    """Pairs (older, younger): the younger was sent after the older's acknowledgement and left before it (I3).

    First attempts only, and no pair whose older job may have been leased before without a worker that received it. Such
    a lease is void, and its job comes back to its place with its attempt not counted. The dequeue may have been
    answered all the same, with the leases of other servers. What shows such a lease is its number: nobody has it.
    """
    acknowledged = history.acknowledged()
    sent: dict[Job, float] = {}
    for call in history.enqueues:
        sent[call.job] = min(call.began_s, sent.get(call.job, call.began_s))
    by_partition = _by_number(history)
    return [
        (older.job, younger.job)
        for younger, older in _inversions(history)
        if acknowledged.get(older.job, float("inf")) < sent.get(younger.job, float("-inf"))
        and not _is_any_unheard(
            by_partition[history.partition_of(older.job[0])],
            younger.number,
            max(sent[older.job], younger.heard_s - VOID_LATE_S),
        )
    ]


def _by_number(history: History) -> dict[int, list[Lease]]:
    """Each partition's leases, by their numbers."""
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
    """First leases (earlier, later) of one queue whose numbers stand the other way round; of each later one, the
    worst.
    """
    by_queue: dict[str, list[Lease]] = defaultdict(list)
    for lease in history.leases:
        if lease.attempt == 1:
            by_queue[lease.job[0]].append(lease)
    for leases in by_queue.values():
        leases.sort(key=lambda lease: (lease.at_ms, lease.job[1]))
        highest = leases[0]
        for lease in leases:
            if lease.job[1] < highest.job[1]:
                yield highest, lease
            else:
                highest = lease


def too_close(history: History) -> list[tuple[Lease, Lease]]:
    """Neighbouring leases of one queue with less than the interval between them (I2)."""
    by_queue: dict[str, list[Lease]] = defaultdict(list)
    for lease in sorted(history.leases, key=lambda lease: lease.at_ms):
        by_queue[lease.job[0]].append(lease)
    least_ms = history.interval_ms - ROUNDING_MS
    return [
        pair
        for leases in by_queue.values()
        for pair in itertools.pairwise(leases)
        if pair[1].at_ms - pair[0].at_ms < least_ms
    ]


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
