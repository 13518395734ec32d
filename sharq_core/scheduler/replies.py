"""Decodes the replies of the functions for jobs and queues.

Every reply begins with {0 done or 1 expired, the store's time, ready hint, timer hint}; lua/README.md lists the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Generic, TypeVar

import msgspec

from sharq_core.caps import Permit
from sharq_core.job_life import PRIORITY
from sharq_core.limits import PauseStatus
from sharq_core.models import Enqueued, EnqueueStatus, LeasedJob, LeaseOutcome, LeaseStatus, MinuteCounts
from sharq_core.scheduler.caps.packed_permits import read_permits
from sharq_core.scheduler.keys import STORED_COLON, shown_id
from sharq_core.top_queues import TopQueue

T = TypeVar("T")

_HEAD = 4
_DEQUEUE_HEAD = 9
_JOB_REPLY = 4
_LEASE = Struct(">16sQQIiIQ")
"""rounds.lua's LEASE."""
_COST = Struct(">I")
"""rounds.lua's COST."""
_LEASE_LIFE = Struct(">IBQ")
"""rounds.lua's LIFE: cost, priority and expiry (µs, 0 for none). It follows LEASE if one of them is not as usual, or
if the job has a trace, which then comes last.
"""
_USUAL_LIFE = (1, PRIORITY, 0, b"")
_CHANGED_BYTES = 7
"""The first part of dequeue.lua's NEWS; the time of the type follows."""
_COUNT_REPLY = 3
_TOP_REPLY = 6
_ENQUEUE_STATUSES = tuple(EnqueueStatus)
_LEASE_STATUSES = tuple(LeaseStatus)
_MINUTE_MS = 60_000
_DIED = 3
_RELEASED = LeaseOutcome(LeaseStatus.DONE, is_dead=True)


class Hint(msgspec.Struct, frozen=True):
    """The times in a reply, for the caller's ready index.

    Attributes:
        now_us: the store's time of the call, µs.
        ready_us: the time at which a queue of the type becomes due because of the call; None for no change. After a
            dequeue, the time at which the type's next queue is due; None if none waits.
        timer_us: the same for a timer.
    """

    now_us: int
    ready_us: int | None
    timer_us: int | None


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """A decoded reply.

    Attributes:
        is_expired: True if the call arrived after its not_after_us. Nothing was done, and the value is None.
        expired_jobs: number of jobs that an enqueue found expired under the ids of its jobs, or that expired as a
            release gave them back.
        dropped_jobs: number of those that were dropped; the others became dead letters.
    """

    hint: Hint
    value: T | None
    is_expired: bool = False
    expired_jobs: int = 0
    dropped_jobs: int = 0


class ParkedNews(msgspec.Struct, frozen=True):
    """The news of queues with caps in the reply of a dequeue (lua/parking.lua).

    Attributes:
        changed: the number of the latest change, for CappedCalls.list_parked; 0 for none.
        type_ready_us: as in ParkedPage.
    """

    changed: int
    type_ready_us: int | None


class DequeueReply(msgspec.Struct, frozen=True):
    """The reply of a dequeue.

    Attributes:
        jobs: the leased jobs.
        ready_for_us: how long each job was ready.
        head_us: the time at which the type's next queue in this partition is due; None if none waits.
        due_before, due_after: number of queues of the type that were due in this partition before and after the call.
        is_cut: True if the byte budget or the time ended the call.
        ended, died: number of leases that had ended by the time of the call, and how many of their jobs became dead
            letters at their requeue limit.
        expired: number of jobs that the call found expired and removed.
        dropped: number of those that were dropped; the others became dead letters.
        parked: the news of queues with caps; None if the type never had any in this partition.
    """

    jobs: list[LeasedJob]
    ready_for_us: list[int]
    head_us: int | None
    due_before: int
    due_after: int
    is_cut: bool
    ended: int
    died: int
    expired: int = 0
    dropped: int = 0
    parked: ParkedNews | None = None


class ReapReply(msgspec.Struct, frozen=True):
    """The reply of a reap.

    Attributes:
        handled: number of timers run, deleted jobs removed, waiting jobs looked at and dead letters dropped; if it
            equals the limit, more may be due.
        next_timer_us: the time at which the type's next timer in this partition is due; None if there is none.
        ended, died: number of leases that ended, and how many of their jobs became dead letters at their requeue limit.
        expired: number of jobs that expired.
        dropped: number of those that were dropped; the others became dead letters.
        ended_batches: the batches whose last job in this partition ended so long ago that they may be forgotten.
        settled: the permits of leases that ended, to be given back to the ledgers of their caps. They are reported
            once.
    """

    handled: int
    next_timer_us: int | None
    ended: int
    died: int
    expired: int = 0
    dropped: int = 0
    ended_batches: tuple[str, ...] = ()
    settled: tuple[Permit, ...] = ()


class TypeTotals(msgspec.Struct, frozen=True):
    """The numbers of jobs of a type in one partition; enqueued is the sum of all the others (I8)."""

    queue_type: str
    enqueued: int
    queued: int
    delayed: int
    leased: int
    finished: int
    dead: int
    cancelled: int


class ClockShift(msgspec.Struct, frozen=True):
    """The time of a partition (clock.lua).

    Attributes:
        number: the version of the record, which grows with each change of the shift.
        shift_us: how far the partition's time is ahead of the store's clock.
        unseen_us: the approximate time since which no call has written the record; -1 if there is none, or if the
            library is too old to have one.
        is_set: True in the reply of set_clock if that call wrote the record.
    """

    number: int = 0
    shift_us: int = 0
    unseen_us: int = -1
    is_set: bool = False


class TopReply(msgspec.Struct, frozen=True):
    """The reply of top_queues.

    Attributes:
        queues: the first queues in the requested order.
        scan: the cursor of the next page, 0 at the end.
        looked_at: number of queue records that were read.
    """

    queues: list[TopQueue]
    scan: int
    looked_at: int


class CountsReply(msgspec.Struct, frozen=True):
    """A partition's types with live jobs, and rows of (minute of the epoch, enqueued, leased) to sum by minute."""

    queue_types: list[str]
    minutes: list[tuple[int, int, int]]


def hint_of(raw: list[Any]) -> Hint:
    """Return the times in a reply."""
    return Hint(raw[1], raw[2] if raw[2] >= 0 else None, raw[3] if raw[3] >= 0 else None)


def decoder(decode: Callable[[list[Any]], T]) -> Callable[[list[Any]], Reply[T]]:
    """Return a decoder of the whole reply: the common head, then `decode` for the rest."""

    def decode_reply(raw: list[Any]) -> Reply[T]:
        ready_us, timer_us = raw[2], raw[3]
        hint = Hint(raw[1], ready_us if ready_us >= 0 else None, timer_us if timer_us >= 0 else None)
        return Reply(hint, None, is_expired=True) if raw[0] else Reply(hint, decode(raw))

    return decode_reply


def _with_expired(raw: list[Any], value: T, end: int) -> Reply[T]:
    """Return a reply whose numbers of expired and of dropped jobs, if there are any, begin at raw[end]."""
    if end == len(raw):
        return Reply(hint_of(raw), value)
    return Reply(hint_of(raw), value, expired_jobs=raw[end], dropped_jobs=raw[end + 1])


def minute_counts(now_us: int, minutes: Sequence[tuple[int, int, int]], index: int) -> MinuteCounts:
    """Return the counts of the last ten minutes, oldest first: sums of column `index` (1 enqueued, 2 leased)."""
    current = now_us // (_MINUTE_MS * 1000)
    counts: Counter[int] = Counter()
    for row in minutes:
        counts[row[0]] += row[index]
    return [(minute * _MINUTE_MS, counts[minute]) for minute in range(current - 9, current + 1)]


def triples(flat: list[int]) -> list[tuple[int, int, int]]:
    """Return a flat list of numbers as rows of (minute of the epoch, enqueued, leased)."""
    return [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat), _COUNT_REPLY)]


def decode_enqueue(jobs: int, raw: list[Any]) -> Reply[list[Enqueued]]:
    """Decode the reply of an enqueue of this number of jobs; the numbers of expired jobs follow if there are any."""
    if raw[0]:
        return Reply(hint_of(raw), None, is_expired=True)
    end = _HEAD + 2 * jobs
    outcomes = [Enqueued(_ENQUEUE_STATUSES[raw[i]], raw[i + 1]) for i in range(_HEAD, end, 2)]
    return _with_expired(raw, outcomes, end)


def decode_leases(queue_type: str, raw: list[Any], begin: int, end: int) -> tuple[list[LeasedJob], list[int]]:
    """Return the jobs in the part of a dequeue's reply from raw[begin] to raw[end], and how long each was ready."""
    jobs: list[LeasedJob] = []
    ready_for_us: list[int] = []
    for i in range(begin, end, _JOB_REPLY):
        lease = raw[i + 3]
        token, until_us, enqueued_us, attempt, remaining, queue_length, ready_us = _LEASE.unpack_from(lease)
        cost, priority, expires_at_us, trace = _USUAL_LIFE if len(lease) == _LEASE.size else _life_of(lease)
        jobs.append(
            LeasedJob(
                queue_type=queue_type,
                # Without the price of a call for each job, most of which have no colon.
                queue_id=shown_id(raw[i]) if STORED_COLON in (queue_id := raw[i].decode()) else queue_id,
                job_id=raw[i + 1].decode(),
                payload=raw[i + 2],
                lease=token.hex(),
                leased_until_us=until_us,
                enqueued_at_us=enqueued_us,
                attempt=attempt,
                requeues_remaining=remaining,
                queue_length=queue_length,
                cost=cost,
                priority=priority,
                expires_at_us=expires_at_us or None,
                trace=trace,
            )
        )
        ready_for_us.append(ready_us)
    return jobs, ready_for_us


def decode_dequeue(queue_type: str, raw: list[Any]) -> Reply[DequeueReply]:
    if raw[0]:
        return Reply(hint_of(raw), None, is_expired=True)
    # Behind the jobs: the numbers of expired and of dropped jobs, if there are any, then the news of parked queues.
    size, parked = len(raw), None
    if (size - _DEQUEUE_HEAD) % 2:
        size -= 1
        parked = _news_of(raw[size])
    end = size - (size - _DEQUEUE_HEAD) % _JOB_REPLY
    jobs, ready_for_us = decode_leases(queue_type, raw, _DEQUEUE_HEAD, end)
    hint = hint_of(raw)
    return Reply(
        hint,
        DequeueReply(
            jobs,
            ready_for_us,
            hint.ready_us,
            raw[4],
            raw[5],
            bool(raw[6]),
            ended=raw[7],
            died=raw[8],
            expired=raw[end] if end < size else 0,
            dropped=raw[end + 1] if end < size else 0,
            parked=parked,
        ),
    )


def _news_of(raw: bytes) -> ParkedNews:
    type_ready_us = int.from_bytes(raw[_CHANGED_BYTES:], "big", signed=True)
    return ParkedNews(
        int.from_bytes(raw[:_CHANGED_BYTES], "big"), None if type_ready_us < 0 else type_ready_us
    )


def _life_of(lease: bytes) -> tuple[int, int, int, bytes]:
    """Return cost, priority, expiry (µs, 0 for none) and trace of a lease.

    A library of revision 4 tells only the cost.
    """
    if len(lease) == _LEASE.size + _COST.size:
        return _COST.unpack_from(lease, _LEASE.size)[0], PRIORITY, 0, b""
    cost, priority, expires_at_us = _LEASE_LIFE.unpack_from(lease, _LEASE.size)
    return cost, priority, expires_at_us, lease[_LEASE.size + _LEASE_LIFE.size :]


@decoder
def decode_statuses(raw: list[Any]) -> list[LeaseOutcome]:
    return [LeaseOutcome(_LEASE_STATUSES[status]) for status in raw[4:]]


def decode_release(jobs: int, raw: list[Any]) -> Reply[list[LeaseOutcome]]:
    """Decode the reply of a release of this number of jobs; the numbers of expired jobs follow if there are any."""
    if raw[0]:
        return Reply(hint_of(raw), None, is_expired=True)
    end = _HEAD + jobs
    outcomes = [
        _RELEASED if status == _DIED else LeaseOutcome(_LEASE_STATUSES[status]) for status in raw[_HEAD:end]
    ]
    return _with_expired(raw, outcomes, end)


@decoder
def decode_extend(raw: list[Any]) -> list[LeaseOutcome]:
    return [LeaseOutcome(_LEASE_STATUSES[raw[i]], raw[i + 1]) for i in range(4, len(raw), 2)]


@decoder
def decode_flag(raw: list[Any]) -> bool:
    return bool(raw[4])


@decoder
def decode_pause(raw: list[Any]) -> PauseStatus:
    return PauseStatus(raw[4])


@decoder
def decode_number(raw: list[Any]) -> int:
    return int(raw[4])


@decoder
def decode_nothing(_: list[Any]) -> None:
    return None


@decoder
def decode_reap(raw: list[Any]) -> ReapReply:
    ended, died, expired, dropped, *more = raw[5:]
    batches, *texts = more or (0,)
    settled = tuple(permit for text in texts[batches:] for permit in read_permits(text))
    names = tuple(text.decode() for text in texts[:batches])
    next_us = raw[3] if raw[3] >= 0 else None
    return ReapReply(raw[4], next_us, ended, died, expired, dropped, names, settled)


@decoder
def decode_top_queues(raw: list[Any]) -> TopReply:
    queues = []
    for i in range(6, len(raw), _TOP_REPLY):
        queue_id, queued, delayed, leased, due_since_us, age_us = raw[i : i + _TOP_REPLY]
        is_due = due_since_us >= 0
        queues.append(
            TopQueue(
                queue_id=shown_id(queue_id),
                queued=queued,
                delayed=delayed,
                leased=leased,
                due_since_us=due_since_us if is_due else None,
                due_for_us=raw[1] - due_since_us if is_due else None,
                oldest_age_us=age_us if age_us >= 0 else None,
            )
        )
    return TopReply(queues, int(raw[4]), int(raw[5]))


@decoder
def decode_counts(raw: list[Any]) -> CountsReply:
    return CountsReply([queue_type.decode() for queue_type in raw[5]], triples(raw[4]))


@decoder
def decode_shift(raw: list[Any]) -> ClockShift:
    return ClockShift(raw[4], raw[5], is_set=bool(raw[6]))
