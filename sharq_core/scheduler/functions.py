"""Makes the calls of the library's functions for jobs and queues, one method for each function.

Nothing is sent here: a FunctionCall is a value, which executor.py runs. arguments.py packs the fields of each job, and
replies.py decodes the answers.

All methods take `now_us` (None for the store's clock), for tests. Those that write take `not_after_us`: after that time
nothing is done and the reply is expired. It is in the partition's time if own_deadline (arguments.py) made it, else by
the store's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from sharq_core.limits import Burst, PauseStatus
from sharq_core.models import (
    Enqueued,
    ExtendJob,
    FinishJob,
    LeaseOutcome,
    NewJob,
    QueuePage,
    QueueStats,
    ReleaseJob,
)
from sharq_core.scheduler import arguments as packed
from sharq_core.scheduler import library, replies, status_replies
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.campaigns.result_calls import ResultCalls
from sharq_core.scheduler.caps.capped_calls import CappedCalls
from sharq_core.scheduler.caps.corrections import decode_corrected
from sharq_core.scheduler.caps.renewals import decode_unextended
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.keys import Keys, stored_id
from sharq_core.scheduler.replies import ClockShift, CountsReply, DequeueReply, ReapReply, TopReply
from sharq_core.store.commands import Word
from sharq_core.top_queues import TopOrder


class Retention(msgspec.Struct, frozen=True):
    """The retention of finished jobs and dead letters.

    Attributes:
        finished_us, dead_us: how long finished jobs and dead letters are remembered.
        tombstones: the maximum number of finished jobs in one generation of a partition.
        dead: the maximum number of dead letters of a type in a partition.
        result_bytes: the maximum of all results together; each partition has an equal share.
    """

    finished_us: int = 300_000_000
    dead_us: int = 604_800_000_000
    tombstones: int = 500_000
    dead: int = 100_000
    result_bytes: int = 67_108_864


class Functions:
    """The maker of one deployment's calls.

    All jobs of a call must belong to its partition and type; a call takes at most MAX_BATCH jobs.

    Attributes:
        data_id: the id of the data set that enqueued jobs are meant for; empty for any.
        results: the maker of the calls about the results of finished jobs.
        capped: the maker of the calls about queues with caps.
    """

    def __init__(self, keys: Keys, retention: Retention) -> None:
        self._keys = keys
        self.retention = retention
        self.data_id = b""
        self.capped = CappedCalls(keys, retention.finished_us, retention.dead_us)
        self.results = ResultCalls(keys, retention.finished_us, retention.result_bytes)

    def _terms(self, not_after_us: int | None = None) -> bytes:
        """Return the deadline and the retention of a call for jobs (unit.lua's TERMS)."""
        keep = self.retention
        return packed.TERMS.pack(not_after_us or 0, keep.finished_us, keep.dead_us)

    def _about_leases(
        self,
        jobs: Sequence[FinishJob | ExtendJob | ReleaseJob],
        not_after_us: int | None,
        reports: Sequence[bytes] = (),
    ) -> list[Word]:
        """Return the terms, the names and the tokens of jobs, to which the call appends the rest."""
        marker = packed.HAS_REPORTS if reports else b""
        tokens = [packed.token(job.lease) for job in jobs]
        return [self._terms(not_after_us) + marker, *packed.names(jobs), *tokens]

    def enqueue(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[NewJob],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[Enqueued]]:
        """Queue jobs independently of each other, in order. Value: one answer for each job."""
        terms = self._terms(not_after_us) + self.data_id
        arguments: list[Word] = [terms, *packed.names(jobs), *map(packed.enqueue_header, jobs)]
        payloads = [job.payload for job in jobs]
        arguments += payloads
        return make_call(
            self._keys,
            library.ENQUEUE,
            partition,
            queue_type,
            now_us,
            arguments,
            partial(replies.decode_enqueue, len(jobs)),
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
        most_us: int | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[DequeueReply]:
        """Lease up to `count` ready jobs, from the longest ready queue first; queues ready equally long take turns.

        Args:
            random: 8 random bytes, for the lease tokens.
            per_queue: the maximum number of jobs from one queue.
            max_bytes: the limit of payload bytes; one job is leased even if it is larger.
            most_us: CPU time (µs) after which no further job is leased; a fifth of it for expired jobs; None for any.
        """
        demand = packed.DEMAND.pack(
            not_after_us or 0, count, per_queue, lease_us, max_bytes, random, packed.KNOWS_CAPS
        )
        demand += b"" if most_us is None else packed.MOST_TIME.pack(most_us)
        decode = partial(replies.decode_dequeue, queue_type)
        return make_call(self._keys, library.DEQUEUE, partition, queue_type, now_us, [demand], decode, count)

    def finish(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[FinishJob],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[LeaseOutcome]]:
        """End leases and forget the jobs. Value: one answer for each job.

        A call later than not_after_us is judged as of that time. If the store is full, the fallback of a call with
        results finishes the jobs without them.
        """
        reports = packed.reports(jobs)
        arguments = self._about_leases(jobs, not_after_us, reports)
        arguments += reports
        decode = partial(decode_corrected, replies.decode_statuses)
        call = make_call(
            self._keys, library.FINISH, partition, queue_type, now_us, arguments, decode, len(jobs)
        )
        results = [job.result for job in jobs]
        return self.results.finish(call, results, has_reports=bool(reports)) if any(results) else call

    def extend(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[ExtendJob],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[LeaseOutcome]]:
        """Move the ends of leases. Value: one answer for each job.

        A call later than not_after_us is judged as of that time.
        """
        progress = packed.progress(jobs)
        arguments = self._about_leases(jobs, not_after_us, progress)
        arguments += [job.by_us for job in jobs]
        arguments += progress
        return make_call(
            self._keys, library.EXTEND, partition, queue_type, now_us, arguments, decode_unextended, len(jobs)
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
        """Give jobs back unfinished. Value: one answer for each job."""
        reports = packed.reports(jobs)
        arguments = self._about_leases(jobs, not_after_us, reports)
        arguments += [f"r{job.delay_us}" if job.retries else job.delay_us for job in jobs]
        arguments += [job.is_void | packed.KNOWS_EXPIRED for job in jobs]
        arguments += reports
        decode = partial(decode_corrected, partial(replies.decode_release, len(jobs)))
        return make_call(
            self._keys, library.RELEASE, partition, queue_type, now_us, arguments, decode, len(jobs)
        )

    def interval(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        interval_us: int,
        *,
        burst: Burst | None = None,
        pin: bool | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[bool]:
        """Change a queue's rate. Value: False if there is no such queue and pin is not True."""
        pinned: int | str = "" if pin is None else int(pin)
        arguments: list[Word] = [
            stored_id(queue_id),
            interval_us,
            packed.number(burst or 0),
            pinned,
            not_after_us or 0,
        ]
        return make_call(
            self._keys, library.INTERVAL, partition, queue_type, now_us, arguments, replies.decode_flag
        )

    def pause(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        *,
        is_paused: bool,
        hold_us: int | None = None,
        until_us: int | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[PauseStatus]:
        """Pause a queue, hold it for hold_us or until until_us (store's clock) instead, or resume it (ends both)."""
        arguments: list[Word] = [stored_id(queue_id), int(is_paused), not_after_us or 0]
        if hold_us is not None or until_us is not None:
            arguments += (hold_us or 0, until_us or 0)
        return make_call(
            self._keys, library.PAUSE, partition, queue_type, now_us, arguments, replies.decode_pause
        )

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
        """Drop all queued and delayed jobs, and remove up to `limit` of their records. Value: the number dropped."""
        arguments: list[Word] = [stored_id(queue_id), int(purge), limit, not_after_us or 0]
        return make_call(
            self._keys, library.DELETE_QUEUE, partition, queue_type, now_us, arguments, replies.decode_number
        )

    def reap(
        self,
        partition: int,
        queue_type: str,
        *,
        limit: int = MAX_BATCH,
        keep_dead: int | None = None,
        most_us: int | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[ReapReply]:
        """Run up to `limit` due timers, and drop up to `limit` of the oldest dead letters beyond `keep_dead`.

        most_us is the CPU time (µs) after which a walk over waiting jobs leaves the others to the next; None for any.
        """
        keep = self.retention.dead if keep_dead is None else keep_dead
        arguments: list[Word] = [
            limit,
            self.retention.dead_us,
            keep,
            not_after_us or 0,
            packed.ASKS_ABOUT_PERMITS,
        ]
        arguments += [] if most_us is None else [most_us]
        return make_call(
            self._keys, library.REAP, partition, queue_type, now_us, arguments, replies.decode_reap
        )

    def turn(
        self,
        partition: int,
        *,
        limit: int | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[None]:
        """Drop the older generation of tombstones if its retention has passed or the younger one exceeds `limit`."""
        limit = self.retention.tombstones if limit is None else limit
        arguments: list[Word] = [self.retention.finished_us, limit, not_after_us or 0]
        return make_call(self._keys, library.TURN, partition, "", now_us, arguments, replies.decode_nothing)

    def get_queue(
        self, partition: int, queue_type: str, queue_id: str, *, now_us: int | None = None
    ) -> FunctionCall[QueueStats]:
        """Read the statistics of one queue."""
        arguments: list[Word] = [stored_id(queue_id), status_replies.WITH_ALL]
        return make_call(
            self._keys,
            library.GET_QUEUE,
            partition,
            queue_type,
            now_us,
            arguments,
            status_replies.decode_queue,
        )

    def list_queues(
        self, partition: int, queue_type: str, scan: int, limit: int, *, now_us: int | None = None
    ) -> FunctionCall[QueuePage]:
        """Read about `limit` queues with queued, delayed or leased jobs, starting at the cursor `scan` (0 at first)."""
        return make_call(
            self._keys,
            library.LIST_QUEUES,
            partition,
            queue_type,
            now_us,
            [scan, limit],
            status_replies.decode_queue_page,
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
        """Read up to `limit` of the longest due queues, or of the first ones among about `count` queues of a scan.

        Args:
            scan: the cursor to start at (0 at first); not used for age.
            count: about how many queues to read; not used for age.
        """
        arguments: list[Word] = [by.value, limit, scan, count]
        decode = status_replies.decode_most_dead if by is TopOrder.DEAD else replies.decode_top_queues
        return make_call(self._keys, library.TOP_QUEUES, partition, queue_type, now_us, arguments, decode)

    def get_counts(self, partition: int, *, now_us: int | None = None) -> FunctionCall[CountsReply]:
        """Read the counters of a partition."""
        return make_call(self._keys, library.GET_COUNTS, partition, "", now_us, [], replies.decode_counts)

    def set_clock(
        self,
        partition: int,
        number: int,
        seen_us: int,
        shift_us: int,
        *,
        read_us: int | None = None,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[ClockShift]:
        """Set how far a partition's time is ahead of the store's clock, if its record still has the given number.

        To raise the shift, the record must also have been last seen at `seen_us`. With an unchanged shift, the call
        records that the partition's time has advanced. Value: the record after the call.

        Args:
            read_us: the store's clock in the reading that the shift was computed from. Before that, and after
                not_after_us by the same clock, nothing is changed: the clock has stepped since.
        """
        arguments: list[Word] = [number, seen_us, shift_us]
        if read_us is not None:
            arguments += (read_us, not_after_us or 0)
        return make_call(
            self._keys, library.SET_CLOCK, partition, "", now_us, arguments, replies.decode_shift
        )
