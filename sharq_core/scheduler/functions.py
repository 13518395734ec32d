"""One method for each function of the library: it packs the arguments and names the keys.

Nothing is sent here: a FunctionCall is a value that the store executes (executor.py). Not here: what the answers mean
(replies.py).

All methods take `now_us` (None: the store's clock), for tests; some take `not_after_us`: past that time by the store's
clock nothing is done and the reply is expired.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from sharq_core.models import (
    DeadPage,
    DeadRef,
    Enqueued,
    ExtendJob,
    FinishJob,
    JobStatus,
    LeaseOutcome,
    NewJob,
    QueuePage,
    QueueStats,
    RedriveStatus,
    ReleaseJob,
    TopOrder,
)
from sharq_core.scheduler import library, replies
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import (
    ClockShift,
    CountsReply,
    DequeueReply,
    ReapReply,
    RefreshReply,
    Reply,
    TopReply,
)
from sharq_core.store.commands import Word

T = TypeVar("T")

_ENQUEUE_HEADER = struct.Struct(">qiQiqB")
_TERMS = struct.Struct(">QQQ")
_DEMAND = struct.Struct(">QHHQI8s")

MAX_DEAD_PAGE_BYTES = 262_144
"""Records after which a page of dead letters ends: little enough to be answered between two other calls."""


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
    """Makes the calls of one deployment. A call's jobs must all be of its partition and type, at most MAX_BATCH.

    Attributes:
        data_id: of the data set that jobs are meant for; empty for whichever is there.
    """

    def __init__(self, keys: Keys, retention: Retention) -> None:
        self._keys = keys
        self.retention = retention
        self.data_id = b""

    def _call(
        self,
        function: library.Function,
        partition: int,
        queue_type: str,
        now_us: int | None,
        arguments: list[Word],
        decode: Callable[[list[Any]], Reply[T]],
        jobs: int = 1,
        size: int = 0,
    ) -> FunctionCall[T]:
        keys = self._keys.of(partition, queue_type, function.keys)
        now: int | str = "" if now_us is None else now_us
        return FunctionCall(partition, function, keys, [now, queue_type, *arguments], decode, jobs, size)

    def _terms(self, not_after_us: int | None = None) -> bytes:
        """What a call about jobs goes by: unit.lua's TERMS."""
        keep = self.retention
        return _TERMS.pack(not_after_us or 0, keep.finished_us, keep.dead_us)

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
        arguments: list[Word] = [self._terms(not_after_us) + self.data_id]
        arguments += _names(jobs)
        arguments += map(_enqueue_header, jobs)
        payloads = [job.payload for job in jobs]
        arguments += payloads
        return self._call(
            library.ENQUEUE,
            partition,
            queue_type,
            now_us,
            arguments,
            replies.decode_enqueue,
            len(jobs),
            sum(map(len, payloads)),
        )

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
        demand = _DEMAND.pack(not_after_us or 0, count, per_queue, lease_us, max_bytes, random)

        def decode(raw: list[Any]) -> Reply[DequeueReply]:
            return replies.decode_dequeue(queue_type, raw)

        return self._call(library.DEQUEUE, partition, queue_type, now_us, [demand], decode, count)

    def finish(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[FinishJob],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[LeaseOutcome]]:
        """End leases and forget the jobs; later than not_after_us as of that time. Value: one answer a job."""
        arguments: list[Word] = [self._terms(not_after_us)]
        arguments += _names(jobs)
        arguments += [_token(job.lease) for job in jobs]
        return self._call(
            library.FINISH, partition, queue_type, now_us, arguments, replies.decode_statuses, len(jobs)
        )

    def extend(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[ExtendJob],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[LeaseOutcome]]:
        """Move the ends of leases; later than not_after_us as of that time. Value: one answer a job."""
        arguments: list[Word] = [self._terms(not_after_us)]
        arguments += _names(jobs)
        arguments += [_token(job.lease) for job in jobs]
        arguments += [job.by_us for job in jobs]
        return self._call(
            library.EXTEND, partition, queue_type, now_us, arguments, replies.decode_extend, len(jobs)
        )

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
        arguments: list[Word] = [self._terms(not_after_us)]
        arguments += _names(jobs)
        arguments += [_token(job.lease) for job in jobs]
        arguments += [job.delay_us for job in jobs]
        arguments += [int(job.is_void) for job in jobs]
        return self._call(
            library.RELEASE, partition, queue_type, now_us, arguments, replies.decode_release, len(jobs)
        )

    def interval(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        interval_us: int,
        *,
        burst: int | None = None,
        pin: bool | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[bool]:
        """Change a queue's rate. Value: False when there is no such queue and pin is not True."""
        pinned: int | str = "" if pin is None else int(pin)
        arguments: list[Word] = [queue_id, interval_us, burst or 0, pinned, not_after_us or 0]
        return self._call(library.INTERVAL, partition, queue_type, now_us, arguments, replies.decode_flag)

    def pause(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        is_paused: bool,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[bool]:
        """Pause or resume a queue. Value: False when there is no such queue."""
        arguments: list[Word] = [queue_id, int(is_paused), not_after_us or 0]
        return self._call(library.PAUSE, partition, queue_type, now_us, arguments, replies.decode_flag)

    def delete_queue(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        *,
        purge: bool = False,
        limit: int = MAX_BATCH,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[int]:
        """Drop what is queued and delayed, removing the records of up to `limit` at once. Value: jobs dropped."""
        arguments: list[Word] = [queue_id, int(purge), limit, not_after_us or 0]
        return self._call(
            library.DELETE_QUEUE, partition, queue_type, now_us, arguments, replies.decode_number
        )

    def reap(
        self,
        partition: int,
        queue_type: str,
        *,
        limit: int = MAX_BATCH,
        keep_dead: int | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[ReapReply]:
        """Run up to `limit` due timers, and drop up to `limit` of the oldest dead letters above keep_dead."""
        keep = self.retention.dead if keep_dead is None else keep_dead
        arguments: list[Word] = [limit, self.retention.dead_us, keep, not_after_us or 0]
        return self._call(library.REAP, partition, queue_type, now_us, arguments, replies.decode_reap)

    def turn(
        self,
        partition: int,
        *,
        limit: int | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[None]:
        """Drop the older generation of tombstones when its retention has passed, or the younger holds over `limit`."""
        most = self.retention.tombstones if limit is None else limit
        arguments: list[Word] = [self.retention.finished_us, most, not_after_us or 0]
        return self._call(library.TURN, partition, "", now_us, arguments, replies.decode_nothing)

    def redrive(
        self, partition: int, queue_type: str, jobs: Sequence[DeadRef], *, now_us: int | None = None
    ) -> FunctionCall[list[RedriveStatus]]:
        """Queue dead letters again, attempts from 0. Value: one answer a job."""
        arguments: list[Word] = [self.retention.dead_us]
        for job in jobs:
            arguments += (job.queue_id, _field(job))
        return self._call(library.REDRIVE, partition, queue_type, now_us, arguments, replies.decode_redrive)

    def drop_dead(
        self,
        partition: int,
        queue_type: str,
        limit: int,
        before_us: int | None = None,
        *,
        now_us: int | None = None,
    ) -> FunctionCall[int]:
        """Drop up to `limit` dead letters, oldest first. Value: how many.

        Args:
            before_us: leave out those that died after it, by the server's time; None to leave out none.
        """
        arguments: list[Word] = [limit] if before_us is None else [limit, before_us]
        return self._call(library.DROP_DEAD, partition, queue_type, now_us, arguments, replies.decode_number)

    def get_job(
        self, partition: int, queue_type: str, queue_id: str, job_id: str, *, now_us: int | None = None
    ) -> FunctionCall[JobStatus | None]:
        """What is known of one job. Value: None for nothing."""
        arguments: list[Word] = [
            queue_id,
            f"{queue_id}:{job_id}",
            self.retention.finished_us,
            self.retention.dead_us,
        ]
        return self._call(library.GET_JOB, partition, queue_type, now_us, arguments, replies.decode_job)

    def get_queue(
        self, partition: int, queue_type: str, queue_id: str, *, now_us: int | None = None
    ) -> FunctionCall[QueueStats]:
        """What is known of one queue."""
        return self._call(library.GET_QUEUE, partition, queue_type, now_us, [queue_id], replies.decode_queue)

    def list_queues(
        self, partition: int, queue_type: str, scan: int, limit: int, *, now_us: int | None = None
    ) -> FunctionCall[QueuePage]:
        """About `limit` queues with queued, delayed or leased jobs, from `scan` (0 at first) on."""
        return self._call(
            library.LIST_QUEUES, partition, queue_type, now_us, [scan, limit], replies.decode_queue_page
        )

    def top_queues(
        self,
        partition: int,
        queue_type: str,
        by: TopOrder,
        limit: int,
        *,
        scan: int = 0,
        count: int = MAX_BATCH,
        now_us: int | None = None,
    ) -> FunctionCall[TopReply]:
        """Up to `limit` of the queues that wait longest, or that are deepest among the next `count` or so of a scan.

        Args:
            scan: where to go on (0 at first), and
            count: how many to look at; for depth alone.
        """
        arguments: list[Word] = [by.value, limit, scan, count]
        return self._call(
            library.TOP_QUEUES, partition, queue_type, now_us, arguments, replies.decode_top_queues
        )

    def get_counts(self, partition: int, *, now_us: int | None = None) -> FunctionCall[CountsReply]:
        """The counters of a partition."""
        return self._call(library.GET_COUNTS, partition, "", now_us, [], replies.decode_counts)

    def list_dead(
        self, partition: int, queue_type: str, scan: str, limit: int, *, now_us: int | None = None
    ) -> FunctionCall[DeadPage]:
        """Up to `limit` dead letters, oldest first, after `scan` (empty at first: `<time of death>:<field>`)."""
        died, _, field = scan.partition(":")
        arguments: list[Word] = [
            died or "0",
            field,
            limit,
            MAX_DEAD_PAGE_BYTES,
            self.retention.dead_us,
        ]
        return self._call(
            library.LIST_DEAD, partition, queue_type, now_us, arguments, replies.decode_dead_page
        )

    def refresh(
        self, partition: int, *, limit: int = 1000, now_us: int | None = None
    ) -> FunctionCall[RefreshReply]:
        """Read all types of a partition at once, with at most `limit` agenda entries.

        A node reads bounded pages instead (surveys.py). Nodes of library revision 1, which may run beside it, do.
        """
        arguments: list[Word] = [limit, self.retention.tombstones]
        return self._call(library.REFRESH, partition, "", now_us, arguments, replies.decode_refresh)

    def set_clock(
        self, partition: int, number: int, seen_us: int, shift_us: int, *, now_us: int | None = None
    ) -> FunctionCall[ClockShift]:
        """Say how far a partition's time is ahead of the store's clock, if its record still has that number (to raise
        it: if it was last seen at seen_us, too); or, with the shift that it has, that its time has come so far. Value:
        what holds.
        """
        arguments: list[Word] = [number, seen_us, shift_us]
        return self._call(library.SET_CLOCK, partition, "", now_us, arguments, replies.decode_shift)


_AnyJob = NewJob | FinishJob | ExtendJob | ReleaseJob | DeadRef


def _field(job: _AnyJob) -> str:
    """The job's field in the store's hashes."""
    return f"{job.queue_id}:{job.job_id}"


def _names(jobs: Sequence[_AnyJob]) -> list[str]:
    """The ids of the jobs' queues and then the jobs' fields: the store reads either with one command."""
    return [job.queue_id for job in jobs] + [_field(job) for job in jobs]


def _enqueue_header(job: NewJob) -> bytes:
    return _ENQUEUE_HEADER.pack(
        -1 if job.interval_us is None else job.interval_us,
        job.burst or 0,
        job.delay_us,
        job.requeue_limit,
        -1 if job.max_queued_length is None else job.max_queued_length,
        job.repeat,
    )
