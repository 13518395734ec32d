"""One method for each function of the library: it packs the arguments, names the keys and decodes the reply.

Nothing is sent here: a FunctionCall is a value that the store executes (sharq_core/store), alone or in a pipeline.

All methods take `now_us` (None: the store's clock), for tests; some take `not_after_us`: past that time by the store's
clock nothing is done and the reply is EXPIRED.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from sharq_core.models import (
    DeadLetter,
    DeadPage,
    DeadRef,
    Enqueued,
    EnqueueStatus,
    ExtendJob,
    FinishJob,
    JobState,
    JobStatus,
    LeasedJob,
    LeaseOutcome,
    LeaseStatus,
    MinuteCounts,
    NewJob,
    QueuePage,
    QueueStats,
    RedriveStatus,
    ReleaseJob,
)
from sharq_core.scheduler import library
from sharq_core.scheduler.keys import Keys

T = TypeVar("T")

MAX_BATCH = 100
"""Jobs in one call."""

MAX_CALL_BYTES = 1 << 20
"""Payload bytes in one call."""

_ENQUEUE_HEADER = struct.Struct(">qiQiqB")
_JOB_REPLY = 10
_COUNT_REPLY = 3
_DEAD_REPLY = 6
_TOTALS_REPLY = 8
_STATES = {
    1: JobState.QUEUED,
    2: JobState.DELAYED,
    3: JobState.LEASED,
    4: JobState.DEAD,
    5: JobState.FINISHED,
}
_LEASE_STATUSES = tuple(LeaseStatus)
_MINUTE_MS = 60_000


class Hint(msgspec.Struct, frozen=True):
    """What a reply says of the time, for the caller's ready index.

    Attributes:
        now_us: the store's time of the call.
        ready_us: when a queue of the type is due that may not have been due before; None for no news.
        timer_us: the same for a timer.
    """

    now_us: int
    ready_us: int | None
    timer_us: int | None


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """A decoded reply. is_expired: the call came after its not_after_us, nothing was done, and the value is None."""

    hint: Hint
    value: T | None
    is_expired: bool = False


class FunctionCall(msgspec.Struct, Generic[T], frozen=True):
    """One FCALL, ready to be sent.

    Attributes:
        partition: whose keys it works on.
        arguments: the whole command.
        decode: turns the store's answer into the reply.
        is_read: it writes nothing, so it is safe to repeat and never *perhaps done*.
    """

    partition: int
    arguments: list[bytes | str | int]
    decode: Callable[[list[Any]], Reply[T]]
    is_read: bool = False


class DequeueReply(msgspec.Struct, frozen=True):
    """Attributes:
    jobs: what was leased.
    ready_for_us: for each job, how long it was ready.
    head_us: when the type's next queue here is due; None when none waits.
    due_before, due_after: queues of the type that were due here before and after.
    is_cut: the byte budget ended the call.
    """

    jobs: list[LeasedJob]
    ready_for_us: list[int]
    head_us: int | None
    due_before: int
    due_after: int
    is_cut: bool


class ReapReply(msgspec.Struct, frozen=True):
    """Attributes:
    handled: timers run, deleted jobs removed and dead letters dropped; as many as the limit: more may be due.
    next_timer_us: when the type's next timer here is due; None when there is none.
    ended, died: leases that ended, and how many of those jobs are dead letters now.
    """

    handled: int
    next_timer_us: int | None
    ended: int
    died: int


class TypeTotals(msgspec.Struct, frozen=True):
    """Jobs of a type in one partition; enqueued is the sum of all the others (I8)."""

    queue_type: str
    enqueued: int
    queued: int
    delayed: int
    leased: int
    finished: int
    dead: int
    cancelled: int


class RefreshReply(msgspec.Struct, frozen=True):
    """Attributes:
    ready_us, timers_us: by type, when its next queue and its next timer are due; early perhaps, never late.
    turn_us: when the tombstones turn, or None.
    tombstones: jobs remembered as finished.
    forgotten_early: finished jobs that were forgotten before they were a minute old, since ever.
    """

    ready_us: dict[str, int]
    timers_us: dict[str, int]
    turn_us: int | None
    tombstones: int
    forgotten_early: int
    totals: list[TypeTotals]


class CountsReply(msgspec.Struct, frozen=True):
    """A partition's types with live jobs, and (minute of the epoch, enqueued, leased) for minutes that had any."""

    queue_types: list[str]
    minutes: list[tuple[int, int, int]]


class Retention(msgspec.Struct, frozen=True):
    """How long what is gone is remembered.

    Attributes:
        finished_us, dead_us: how long finished jobs and dead letters are kept.
        tombstones: most finished jobs in one generation of a partition.
        dead: most dead letters of a type in a partition.
    """

    finished_us: int = 300_000_000
    dead_us: int = 604_800_000_000
    tombstones: int = 500_000
    dead: int = 100_000


def _hint(raw: list[Any]) -> Hint:
    return Hint(raw[1], raw[2] if raw[2] >= 0 else None, raw[3] if raw[3] >= 0 else None)


def _decoder(decode: Callable[[list[Any]], T]) -> Callable[[list[Any]], Reply[T]]:
    """Adds the head that all replies have."""

    def decode_reply(raw: list[Any]) -> Reply[T]:
        return Reply(_hint(raw), None, is_expired=True) if raw[0] else Reply(_hint(raw), decode(raw))

    return decode_reply


def minute_counts(now_us: int, minutes: Sequence[tuple[int, int, int]], index: int) -> MinuteCounts:
    """The last ten minutes, oldest first: column `index` (1 enqueued, 2 leased) of rows by minute, zero where none."""
    current = now_us // (_MINUTE_MS * 1000)
    found = {row[0]: row[index] for row in minutes}
    return [(minute * _MINUTE_MS, found.get(minute, 0)) for minute in range(current - 9, current + 1)]


def _triples(flat: list[int]) -> list[tuple[int, int, int]]:
    return [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat), _COUNT_REPLY)]


def _token(lease: str | None) -> bytes:
    """A token as the store keeps it; what can't be one is a token that no job has."""
    if lease is None:
        return b""
    try:
        token = bytes.fromhex(lease)
    except ValueError:
        token = b""
    return token if len(token) == 16 else b"\xff" * 16


class Functions:
    """Makes the calls of one deployment. A call's jobs must all be of its partition and type, at most MAX_BATCH."""

    def __init__(self, keys: Keys, retention: Retention) -> None:
        self._keys = keys
        self.retention = retention

    def _call(
        self,
        function: library.Function,
        partition: int,
        queue_type: str,
        now_us: int | None,
        arguments: list[bytes | str | int],
        decode: Callable[[list[Any]], Reply[T]],
    ) -> FunctionCall[T]:
        keys = self._keys.of(partition, queue_type, function.keys)
        now: int | str = "" if now_us is None else now_us
        head: list[bytes | str | int] = [b"FCALL", function.wire_name, len(keys), *keys, now, queue_type]
        return FunctionCall(partition, head + arguments, decode, is_read=function.is_read)

    def enqueue(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[NewJob],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[Enqueued]]:
        """Queue jobs, each on its own, in order. Value: one answer a job."""
        arguments: list[bytes | str | int] = [
            _late(not_after_us),
            self.retention.finished_us,
            self.retention.dead_us,
        ]
        for job in jobs:
            arguments += (_enqueue_header(job), job.queue_id, job.job_id, job.payload)
        return self._call(library.ENQUEUE, partition, queue_type, now_us, arguments, _decode_enqueue)

    def dequeue(
        self,
        partition: int,
        queue_type: str,
        count: int,
        lease_us: int,
        random: bytes,
        *,
        per_queue: int = MAX_BATCH,
        max_bytes: int = MAX_CALL_BYTES,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[DequeueReply]:
        """Lease up to `count` ready jobs, the longest ready queue first, ties in rounds.

        Args:
            random: 8 random bytes, for the lease tokens.
            per_queue: most jobs that one queue gives.
            max_bytes: payload bytes to stay below; one job is always taken.
        """
        arguments: list[bytes | str | int] = [
            _late(not_after_us),
            count,
            per_queue,
            lease_us,
            max_bytes,
            random,
        ]

        def decode(raw: list[Any]) -> Reply[DequeueReply]:
            return _decode_dequeue(queue_type, raw)

        return self._call(library.DEQUEUE, partition, queue_type, now_us, arguments, decode)

    def finish(
        self, partition: int, queue_type: str, jobs: Sequence[FinishJob], *, now_us: int | None = None
    ) -> FunctionCall[list[LeaseOutcome]]:
        """End leases and forget the jobs. Value: one answer a job."""
        keep = self.retention
        arguments: list[bytes | str | int] = [keep.finished_us, keep.dead_us, keep.tombstones]
        for job in jobs:
            arguments += (job.queue_id, job.job_id, _token(job.lease))
        return self._call(library.FINISH, partition, queue_type, now_us, arguments, _decode_statuses)

    def extend(
        self, partition: int, queue_type: str, jobs: Sequence[ExtendJob], *, now_us: int | None = None
    ) -> FunctionCall[list[LeaseOutcome]]:
        """Move the ends of leases. Value: one answer a job."""
        arguments: list[bytes | str | int] = [self.retention.finished_us, self.retention.dead_us]
        for job in jobs:
            arguments += (job.queue_id, job.job_id, _token(job.lease), job.by_us)
        return self._call(library.EXTEND, partition, queue_type, now_us, arguments, _decode_extend)

    def release(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[ReleaseJob],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[LeaseOutcome]]:
        """Give jobs back unfinished. Value: one answer a job."""
        arguments: list[bytes | str | int] = [
            _late(not_after_us),
            self.retention.finished_us,
            self.retention.dead_us,
        ]
        for job in jobs:
            arguments += (job.queue_id, job.job_id, _token(job.lease), job.delay_us, int(job.is_void))
        return self._call(library.RELEASE, partition, queue_type, now_us, arguments, _decode_statuses)

    def interval(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        interval_us: int,
        *,
        burst: int | None = None,
        pin: bool | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[bool]:
        """Change a queue's rate. Value: False when there is no such queue and pin is not True."""
        pinned: int | str = "" if pin is None else int(pin)
        arguments: list[bytes | str | int] = [queue_id, interval_us, burst or 0, pinned]
        return self._call(library.INTERVAL, partition, queue_type, now_us, arguments, _decode_flag)

    def pause(
        self, partition: int, queue_type: str, queue_id: str, is_paused: bool, *, now_us: int | None = None
    ) -> FunctionCall[bool]:
        """Pause or resume a queue. Value: False when there is no such queue."""
        arguments: list[bytes | str | int] = [queue_id, int(is_paused)]
        return self._call(library.PAUSE, partition, queue_type, now_us, arguments, _decode_flag)

    def delete_queue(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        *,
        purge: bool = False,
        limit: int = MAX_BATCH,
        now_us: int | None = None,
    ) -> FunctionCall[int]:
        """Drop what is queued and delayed, removing the records of up to `limit` at once. Value: jobs dropped."""
        arguments: list[bytes | str | int] = [queue_id, int(purge), limit]
        return self._call(library.DELETE_QUEUE, partition, queue_type, now_us, arguments, _decode_number)

    def reap(
        self,
        partition: int,
        queue_type: str,
        *,
        limit: int = MAX_BATCH,
        keep_dead: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[ReapReply]:
        """Run up to `limit` due timers, and drop up to `limit` of the oldest dead letters above keep_dead."""
        keep = self.retention.dead if keep_dead is None else keep_dead
        arguments: list[bytes | str | int] = [limit, self.retention.dead_us, keep]
        return self._call(library.REAP, partition, queue_type, now_us, arguments, _decode_reap)

    def turn(
        self, partition: int, *, limit: int | None = None, now_us: int | None = None
    ) -> FunctionCall[None]:
        """Drop the older generation of tombstones when its retention has passed, or the younger holds over `limit`."""
        most = self.retention.tombstones if limit is None else limit
        arguments: list[bytes | str | int] = [self.retention.finished_us, most]
        return self._call(library.TURN, partition, "", now_us, arguments, _decode_nothing)

    def redrive(
        self, partition: int, queue_type: str, jobs: Sequence[DeadRef], *, now_us: int | None = None
    ) -> FunctionCall[list[RedriveStatus]]:
        """Queue dead letters again, attempts from 0. Value: one answer a job."""
        arguments: list[bytes | str | int] = [self.retention.dead_us]
        for job in jobs:
            arguments += (job.queue_id, job.job_id)
        return self._call(library.REDRIVE, partition, queue_type, now_us, arguments, _decode_redrive)

    def drop_dead(
        self, partition: int, queue_type: str, limit: int, *, now_us: int | None = None
    ) -> FunctionCall[int]:
        """Drop up to `limit` dead letters, oldest first. Value: how many."""
        return self._call(library.DROP_DEAD, partition, queue_type, now_us, [limit], _decode_number)

    def get_job(
        self, partition: int, queue_type: str, queue_id: str, job_id: str, *, now_us: int | None = None
    ) -> FunctionCall[JobStatus | None]:
        """What is known of one job. Value: None for nothing."""
        arguments: list[bytes | str | int] = [
            queue_id,
            job_id,
            self.retention.finished_us,
            self.retention.dead_us,
        ]
        return self._call(library.GET_JOB, partition, queue_type, now_us, arguments, _decode_job)

    def get_queue(
        self, partition: int, queue_type: str, queue_id: str, *, now_us: int | None = None
    ) -> FunctionCall[QueueStats]:
        """What is known of one queue."""
        return self._call(library.GET_QUEUE, partition, queue_type, now_us, [queue_id], _decode_queue)

    def list_queues(
        self, partition: int, queue_type: str, scan: int, limit: int, *, now_us: int | None = None
    ) -> FunctionCall[QueuePage]:
        """About `limit` queues with queued, delayed or leased jobs, from `scan` (0 at first) on."""
        return self._call(
            library.LIST_QUEUES, partition, queue_type, now_us, [scan, limit], _decode_queue_page
        )

    def get_counts(self, partition: int, *, now_us: int | None = None) -> FunctionCall[CountsReply]:
        """The counters of a partition."""
        return self._call(library.GET_COUNTS, partition, "", now_us, [], _decode_counts)

    def list_dead(
        self, partition: int, queue_type: str, scan: str, limit: int, *, now_us: int | None = None
    ) -> FunctionCall[DeadPage]:
        """Up to `limit` dead letters, oldest first, after `scan` (empty at first: `<time of death>:<field>`)."""
        died, _, field = scan.partition(":")
        arguments: list[bytes | str | int] = [
            died or "0",
            field,
            limit,
            MAX_CALL_BYTES,
            self.retention.dead_us,
        ]
        return self._call(library.LIST_DEAD, partition, queue_type, now_us, arguments, _decode_dead_page)

    def refresh(
        self, partition: int, *, limit: int = 1000, now_us: int | None = None
    ) -> FunctionCall[RefreshReply]:
        """What a shard's index needs to know of a partition; at most `limit` agenda entries."""
        return self._call(library.REFRESH, partition, "", now_us, [limit], _decode_refresh)

    def claim_partitions(self, *, now_us: int | None = None) -> FunctionCall[int]:
        """Write P if none is written yet. Value: the P that holds."""
        arguments: list[bytes | str | int] = [
            b"FCALL",
            library.CLAIM_PARTITIONS.wire_name,
            1,
            self._keys.partition_count,
            "" if now_us is None else now_us,
            "",
            self._keys.partitions,
        ]
        return FunctionCall(0, arguments, _decode_number)


def _late(not_after_us: int | None) -> int | str:
    return "" if not_after_us is None else not_after_us


def _enqueue_header(job: NewJob) -> bytes:
    return _ENQUEUE_HEADER.pack(
        -1 if job.interval_us is None else job.interval_us,
        job.burst or 0,
        job.delay_us,
        job.requeue_limit,
        -1 if job.max_queued_length is None else job.max_queued_length,
        job.repeat,
    )


_ENQUEUE_STATUSES = tuple(EnqueueStatus)


@_decoder
def _decode_enqueue(raw: list[Any]) -> list[Enqueued]:
    return [Enqueued(_ENQUEUE_STATUSES[raw[i]], raw[i + 1]) for i in range(4, len(raw), 2)]


def _decode_dequeue(queue_type: str, raw: list[Any]) -> Reply[DequeueReply]:
    if raw[0]:
        return Reply(_hint(raw), None, is_expired=True)
    jobs = [
        LeasedJob(
            queue_type=queue_type,
            queue_id=raw[i].decode(),
            job_id=raw[i + 1].decode(),
            payload=raw[i + 2],
            lease=raw[i + 3].hex(),
            leased_until_us=raw[i + 4],
            enqueued_at_us=raw[i + 5],
            attempt=raw[i + 6],
            requeues_remaining=raw[i + 7],
            queue_length=raw[i + 8],
        )
        for i in range(7, len(raw), _JOB_REPLY)
    ]
    hint = _hint(raw)
    return Reply(hint, DequeueReply(jobs, raw[16::_JOB_REPLY], hint.ready_us, raw[4], raw[5], bool(raw[6])))


@_decoder
def _decode_statuses(raw: list[Any]) -> list[LeaseOutcome]:
    return [LeaseOutcome(_LEASE_STATUSES[status]) for status in raw[4:]]


@_decoder
def _decode_extend(raw: list[Any]) -> list[LeaseOutcome]:
    return [LeaseOutcome(_LEASE_STATUSES[raw[i]], raw[i + 1]) for i in range(4, len(raw), 2)]


@_decoder
def _decode_redrive(raw: list[Any]) -> list[RedriveStatus]:
    return [RedriveStatus(status) for status in raw[4:]]


@_decoder
def _decode_flag(raw: list[Any]) -> bool:
    return bool(raw[4])


@_decoder
def _decode_number(raw: list[Any]) -> int:
    return int(raw[4])


@_decoder
def _decode_nothing(raw: list[Any]) -> None:
    return None


@_decoder
def _decode_reap(raw: list[Any]) -> ReapReply:
    return ReapReply(raw[4], raw[3] if raw[3] >= 0 else None, raw[5], raw[6])


@_decoder
def _decode_job(raw: list[Any]) -> JobStatus | None:
    if len(raw) == 4:
        return None
    state = _STATES[raw[4]]
    return JobStatus(
        state=state,
        attempt=raw[5],
        enqueued_at_us=raw[6],
        lease_expires_at_us=raw[7] if state is JobState.LEASED else None,
        position=raw[8] if state is JobState.QUEUED else None,
        payload=raw[9] if state is not JobState.FINISHED else None,
    )


@_decoder
def _decode_queue(raw: list[Any]) -> QueueStats:
    is_known = len(raw) > 4
    row = raw[4:13] if is_known else [0, 1, 0, 0, 0, 0, 0, -1, -1]
    minutes = _triples(raw[13:])
    return QueueStats(
        is_known=is_known,
        interval_us=row[0],
        burst=row[1],
        is_pinned=bool(row[2]),
        is_paused=bool(row[3]),
        queued=row[4],
        delayed=row[5],
        leased=row[6],
        next_ready_in_us=row[7] if row[7] >= 0 else None,
        oldest_age_us=row[8] if row[8] >= 0 else None,
        enqueue_counts=minute_counts(raw[1], minutes, 1),
        dequeue_counts=minute_counts(raw[1], minutes, 2),
    )


@_decoder
def _decode_queue_page(raw: list[Any]) -> QueuePage:
    return QueuePage([queue_id.decode() for queue_id in raw[5:]], int(raw[4]))


@_decoder
def _decode_counts(raw: list[Any]) -> CountsReply:
    return CountsReply([queue_type.decode() for queue_type in raw[5]], _triples(raw[4]))


@_decoder
def _decode_dead_page(raw: list[Any]) -> DeadPage:
    jobs = [
        DeadLetter(raw[i].decode(), raw[i + 1].decode(), *raw[i + 2 : i + _DEAD_REPLY])
        for i in range(5, len(raw), _DEAD_REPLY)
    ]
    scan = f"{jobs[-1].dead_at_us}:{jobs[-1].queue_id}:{jobs[-1].job_id}" if raw[4] else ""
    return DeadPage(jobs, scan)


@_decoder
def _decode_refresh(raw: list[Any]) -> RefreshReply:
    due: dict[str, dict[str, int]] = {"r": {}, "t": {}, "g": {}}
    for i in range(0, len(raw[6]), 2):
        entry = raw[6][i].decode()
        due.setdefault(entry[0], {})[entry[1:]] = raw[6][i + 1]
    totals = [
        TypeTotals(raw[7][i].decode(), *raw[7][i + 1 : i + _TOTALS_REPLY])
        for i in range(0, len(raw[7]), _TOTALS_REPLY)
    ]
    return RefreshReply(due["r"], due["t"], due["g"].get(""), raw[4], raw[5], totals)
