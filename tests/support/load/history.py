"""The record of what clients did and were answered.

Times: `*_s` are the clients' monotonic clock, `*_ms` the store's. A job is (queue, number).
"""

from __future__ import annotations

import enum
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TypeAlias

import msgspec

from tests.support.load.named_caps import NamedChange
from tests.support.load.promise import Change, Promise, Rate

NUMBER_DIGITS = 16
"""A token is the lease's number and 64 random bits, in hexadecimal digits."""

LEASE_IS_LOST = frozenset({"lease_lost", "not_found"})
"""The codes that refuse a finish or release of a worker that was too late."""

IS_REFUSED = LEASE_IS_LOST | {"leased", "not_waiting"}
"""The codes that rightly refuse an end, a cancellation or a change of a job."""

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
    """One job was sent, alone or in a bulk call.

    Attributes:
        expires_ms: the job expires this long after the enqueue; None unless it was sent so.
        expires_at_ms: the time at which it expires; None unless it was sent so.
    """

    job: Job
    expires_ms: int | None = None
    expires_at_ms: int | None = None


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that a worker heard of.

    Attributes:
        heard_s: when.
        at_ms, until_ms: its moment and its end, by the store's clock; where a test sets that, by the machine's.
        cost: the units of the rate that it took.
        expires_at_ms: the time at which the job would have expired; None for never.
        version: of the payload, see Edit.
    """

    job: Job
    token: str
    attempt: int
    heard_s: float
    at_ms: int
    until_ms: int
    cost: int = 1
    expires_at_ms: int | None = None
    version: int = 0

    @property
    def number(self) -> int:
        """The lease's number: a partition counts the leases of a type from 1, without a gap."""
        return int(self.token[:NUMBER_DIGITS], 16)


class Dequeue(Call, frozen=True, kw_only=True):
    """One dequeue; OK without leases when nothing was ready."""

    leases: tuple[Lease, ...] = ()


class End(Call, frozen=True, kw_only=True):
    """A finish or a release of one job under one lease.

    Attributes:
        hold_ms: nothing of the queue may be leased for this time; 0 for no hold.
        is_hold_of_type: that holds for the whole type.
        held_cap: that holds for the named cap of this name instead; empty for none.
        counts: the attempt is counted.
        error: the reason of a release; empty for none.
    """

    verb: str
    job: Job
    token: str
    hold_ms: int = 0
    is_hold_of_type: bool = False
    held_cap: str = ""
    counts: bool = True
    error: str = ""


class Cancellation(Call, frozen=True, kw_only=True):
    """One job was to be cancelled, or all waiting ones whose numbers begin like its number.

    Attributes:
        is_by_prefix: all of them. Leased jobs, and those that came after the call had begun, were to be kept.
        was: the state before; empty unless OK, and by prefix.
    """

    job: Job
    is_by_prefix: bool = False
    was: str = ""

    def covers(self, job: Job) -> bool:
        """Return True if this was to cancel a job in some state."""
        if not self.is_by_prefix:
            return job == self.job
        return job[0] == self.job[0] and str(job[1]).startswith(str(self.job[1]))


class Edit(Call, frozen=True, kw_only=True):
    """The payload of a job was to be replaced by one of version 1, and perhaps more of it.

    Attributes:
        has_new_priority: its priority, too.
        has_new_expiry: its expiry, too.
        expires_ms: the new one, from the change on; None for never.
    """

    job: Job
    has_new_priority: bool = False
    has_new_expiry: bool = False
    expires_ms: int | None = None


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a job after the run.

    Attributes:
        told_s: when it was told.
        state: as the API says it; "unknown" for a job that is not known.
        reason, error: of a dead letter.
    """

    told_s: float
    state: str
    attempt: int = 0
    reason: str = ""
    error: str = ""


class History:
    """Everything that the clients of one run did.

    Args:
        seed: of their random choices.
        promise: the limits of the queues, or the interval of every queue in ms if they have no other.
        partition_of: a queue's partition, which numbers its leases.

    Attributes:
        clock_shifts_ms: how far the store's clock was set ahead of the machine's so far, 0 at first.
        changes: of the type's caps, in their order.
        named_changes: of the named caps, in their order.
        fates: of the acknowledged jobs; empty unless they were asked for.
    """

    def __init__(
        self, seed: int, promise: Promise | int, partition_of: Callable[[str], int] = lambda _queue: 0
    ) -> None:
        self.seed = seed
        self.promise = Promise(Rate(promise)) if isinstance(promise, int) else promise
        self.partition_of = partition_of
        self.changes: list[Change] = []
        self.named_changes: list[NamedChange] = []
        self._monotonic_to_ms = (time.time() - time.monotonic()) * 1000
        self.enqueues: list[Enqueue] = []
        self.dequeues: list[Dequeue] = []
        self.ends: list[End] = []
        self.cancellations: list[Cancellation] = []
        self.edits: list[Edit] = []
        self.fates: dict[Job, Fate] = {}
        self.clock_shifts_ms = [0]

    def real_ms(self, told_ms: int) -> int:
        """Return a time that an answer has just told by the store's clock, by the machine's clock.

        So two leases compare in real time, whatever a test has done to the store's clock between them.
        """
        now_ms = time.time() * 1000
        return min((told_ms - shift for shift in self.clock_shifts_ms), key=lambda real: abs(real - now_ms))

    def in_ms(self, monotonic_s: float) -> float:
        """Return a time of the clients' clock, by the machine's."""
        return monotonic_s * 1000 + self._monotonic_to_ms

    @property
    def calls(self) -> Iterator[Call]:
        """All of them, by kind."""
        return itertools.chain(self.enqueues, self.dequeues, self.ends, self.cancellations, self.edits)

    @property
    def leases(self) -> Iterator[Lease]:
        """Every lease that was heard of."""
        return (lease for dequeue in self.dequeues for lease in dequeue.leases)

    @property
    def failures(self) -> list[Call]:
        """Calls that were not OK, but for those that were rightly refused."""
        return [call for call in self.calls if call.outcome is not Outcome.OK and call.why not in IS_REFUSED]

    def about(self, job: Job) -> list[Call | Lease | Fate]:
        """Return what was done with a job, by kind, and its fate."""
        found: list[Call | Lease | Fate] = [call for call in self.enqueues if call.job == job]
        found += [lease for lease in self.leases if lease.job == job]
        found += [end for end in self.ends if end.job == job]
        found += [call for call in self.cancellations if call.covers(job)]
        found += [edit for edit in self.edits if edit.job == job]
        return [*found, *([self.fates[job]] if job in self.fates else [])]

    def acknowledged(self) -> dict[Job, float]:
        """Return the time of each acknowledged job's first acknowledgement."""
        found: dict[Job, float] = {}
        for call in self.enqueues:
            if call.outcome is Outcome.OK:
                found[call.job] = min(call.ended_s, found.get(call.job, call.ended_s))
        return found

    def perhaps_cancelled(self) -> set[Job]:
        """Return the jobs that a cancellation which was not refused covers, if they were sent before its answer."""
        calls = [call for call in self.cancellations if call.outcome is not Outcome.NO]
        found = {call.job for call in calls if not call.is_by_prefix}
        by_prefix = [call for call in calls if call.is_by_prefix]
        return found | {
            sent.job
            for sent in self.enqueues
            if any(
                call.covers(sent.job) and (sent.began_s < call.ended_s or call.outcome is Outcome.PERHAPS)
                for call in by_prefix
            )
        }

    def may_end_unheard(self) -> set[Job]:
        """Return the jobs that may have expired or been cancelled before anybody got them."""
        expiring = {call.job for call in self.enqueues if call.expires_ms or call.expires_at_ms}
        changed = {edit.job for edit in self.edits if edit.expires_ms and edit.outcome is not Outcome.NO}
        return expiring | changed | self.perhaps_cancelled()

    def undelivered(self) -> set[Job]:
        """Return the acknowledged jobs that nobody has got yet, but for those that may have ended otherwise."""
        return self.acknowledged().keys() - self.delivered() - self.may_end_unheard()

    def by_job(self) -> dict[Job, list[Lease]]:
        """Return each delivered job's leases, by the store's clock."""
        found: dict[Job, list[Lease]] = defaultdict(list)
        for lease in sorted(self.leases, key=lambda lease: lease.at_ms):
            found[lease.job].append(lease)
        return found

    def delivered(self) -> set[Job]:
        """Jobs that a worker heard of."""
        return {lease.job for lease in self.leases}
