"""Makes the calls that look after single jobs and dead letters: they read, cancel, change, list, redrive and drop them.

All methods take `now_us` (None for the store's clock), for tests. Those that write take `not_after_us` (functions.py):
after that time nothing is done and the reply is expired.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sharq_core.errors import InvalidRequest
from sharq_core.job_changes import CancelJob, CancelOutcome, CancelPage, ChangedJob, JobChange, JobPage
from sharq_core.job_life import DeadPage, DeadRef, RedriveStatus
from sharq_core.models import JobState, JobStatus
from sharq_core.scheduler import arguments as packed
from sharq_core.scheduler import library, replies, status_replies
from sharq_core.scheduler.arguments import make_call
from sharq_core.scheduler.function_call import MAX_BATCH, FunctionCall
from sharq_core.scheduler.functions import Retention
from sharq_core.scheduler.keys import Keys, stored_id
from sharq_core.store.commands import Word

MAX_PAGE_BYTES = 262_144
"""Bytes of records after which a page of jobs or dead letters, or a step of a cancellation, ends.

One page thus does not delay other calls.
"""

STEP_US = 250
"""CPU time of the store for the choice of the jobs of one step of a cancellation, in µs. The step writes them in as
much again, and all others wait for it.
"""

_FIRST_STEP = ("",) * 5
"""The cursor of the first step."""

_QUEUED, _DELAYED, _SEQ = "1(?:2[4-9]|3[0-2])", "255", "[0-9]{1,16}"
"""The class bytes of queued jobs, that of delayed ones, and a seq (queue_walk.lua)."""

_LIST_CURSORS = {
    JobState.QUEUED: re.compile(rf"({_QUEUED})\.({_SEQ})"),
    JobState.DELAYED: re.compile(rf"({_DELAYED})\.({_SEQ})"),
    JobState.LEASED: re.compile(r"([0-9]{1,19})\.(.*)", re.DOTALL),
}
"""The cursors of lists by state. That of leased jobs is a cursor of ZSCAN, and a job id or nothing."""

_MATCHING_CURSOR = re.compile(rf"({_QUEUED}|{_DELAYED})\.({_SEQ})\.({_SEQ})\.({_SEQ})\.([0-9])")
"""A class and a seq of waiting jobs, the newest seq of the first step, and two numbers about jobs that move ahead
(cancel_matching.lua).
"""


class JobCalls:
    """The maker of one deployment's calls about single jobs."""

    def __init__(self, keys: Keys, retention: Retention) -> None:
        self._keys = keys
        self._retention = retention

    def _terms(self, not_after_us: int | None) -> bytes:
        keep = self._retention
        return packed.TERMS.pack(not_after_us or 0, keep.finished_us, keep.dead_us)

    def get_job(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        job_id: str,
        *,
        knows_life: bool = False,
        now_us: int | None = None,
    ) -> FunctionCall[JobStatus | None]:
        """Read the status of one job. Value: None if the job is unknown.

        Args:
            knows_life: the caller can decode the states and fields about the life of a job.
        """
        keep = self._retention
        arguments: list[Word] = [
            stored_id(queue_id),
            packed.field(queue_id, job_id),
            keep.finished_us,
            keep.dead_us,
        ]
        decode = status_replies.decode_job_without_life
        if knows_life:
            arguments.append(packed.TELLS_REASON)
            decode = status_replies.decode_job
        return make_call(self._keys, library.GET_JOB, partition, queue_type, now_us, arguments, decode)

    def list_jobs(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        state: JobState,
        limit: int,
        prefix: str,
        scan: str,
        *,
        now_us: int | None = None,
    ) -> FunctionCall[JobPage]:
        """Read up to `limit` (at most MAX_BATCH) jobs of a queue from the cursor `scan` on (empty at first).

        Queued jobs come in the order in which they leave the queue, delayed ones in that of their enqueues. Leased ones
        come in no order: a page may be a few jobs longer, and a job may come twice.

        Args:
            state: queued, delayed or leased.
            prefix: only jobs whose ids begin with it.
        """
        number = status_replies.STATE_NUMBERS[state]
        arguments: list[Word] = [stored_id(queue_id), number, prefix, min(limit, MAX_BATCH), MAX_PAGE_BYTES]
        arguments += _split(_LIST_CURSORS[state], scan) if scan else ("", "")
        arguments.append(packed.TELLS_REASON)
        return make_call(
            self._keys,
            library.LIST_JOBS,
            partition,
            queue_type,
            now_us,
            arguments,
            status_replies.decode_job_page,
            limit,
        )

    def cancel(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[CancelJob],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[CancelOutcome]]:
        """Cancel waiting and dead jobs, and by force leased ones. Value: one answer for each job."""
        arguments: list[Word] = [self._terms(not_after_us), *packed.names(jobs)]
        arguments += [int(job.force) for job in jobs]
        decode = status_replies.decode_cancelled
        return make_call(
            self._keys, library.CANCEL, partition, queue_type, now_us, arguments, decode, len(jobs)
        )

    def cancel_matching(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        prefix: str,
        scan: str,
        *,
        most_us: int = STEP_US,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[CancelPage]:
        """Cancel up to MAX_BATCH waiting jobs of a queue whose ids begin with a prefix, one step of a walk.

        Jobs enqueued after the first step are kept. A step may cancel fewer jobs, or none, although more follow.

        Args:
            scan: the cursor of the step before; empty for the first one.
            most_us: the CPU time (µs) after which the step ends; it cancels some jobs in any case.
        """
        arguments: list[Word] = [
            stored_id(queue_id),
            prefix,
            not_after_us or 0,
            MAX_BATCH,
            MAX_PAGE_BYTES,
            *(_split(_MATCHING_CURSOR, scan) if scan else _FIRST_STEP),
            most_us,
        ]
        decode = status_replies.decode_cancel_page
        return make_call(
            self._keys,
            library.CANCEL_MATCHING,
            partition,
            queue_type,
            now_us,
            arguments,
            decode,
            MAX_BATCH,
        )

    def change_job(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        job_id: str,
        change: JobChange,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[ChangedJob]:
        """Change a queued or delayed job. It keeps its place unless its time or its priority changes."""
        head, payload = packed.change(change)
        names = stored_id(queue_id), packed.field(queue_id, job_id)
        arguments: list[Word] = [self._terms(not_after_us), *names, head, payload, packed.TELLS_REASON]
        decode = status_replies.decode_changed
        return make_call(
            self._keys,
            library.CHANGE_JOB,
            partition,
            queue_type,
            now_us,
            arguments,
            decode,
            size=len(payload),
        )

    def list_dead(
        self,
        partition: int,
        queue_type: str,
        scan: str,
        limit: int,
        queue_id: str = "",
        *,
        now_us: int | None = None,
    ) -> FunctionCall[DeadPage]:
        """Read up to `limit` dead letters, oldest first, after `scan` (`<time of death>:<field>`; empty at first).

        The field is that of the store, so that it can be split again.

        Args:
            queue_id: only those of this queue, of which a page may hold fewer, or none, although more follow; empty for
                all.
        """
        died, _, field = scan.partition(":")
        keep = self._retention
        arguments: list[Word] = [
            died or "0",
            field,
            limit,
            MAX_PAGE_BYTES,
            keep.dead_us,
            stored_id(queue_id),
        ]
        return make_call(
            self._keys,
            library.LIST_DEAD,
            partition,
            queue_type,
            now_us,
            arguments,
            status_replies.decode_dead_page,
        )

    def redrive(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[DeadRef],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[RedriveStatus]]:
        """Queue dead letters again, with attempts from 0. Value: one answer for each job."""
        arguments: list[Word] = [self._retention.dead_us]
        for job in jobs:
            arguments += (stored_id(job.queue_id), packed.field(job.queue_id, job.job_id))
        arguments.append(not_after_us or 0)
        return make_call(
            self._keys,
            library.REDRIVE,
            partition,
            queue_type,
            now_us,
            arguments,
            status_replies.decode_redrive,
        )

    def drop_dead_letter(
        self,
        partition: int,
        queue_type: str,
        queue_id: str,
        job_id: str,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[bool]:
        """Drop one dead letter. Value: False if there is none."""
        keep = self._retention
        arguments: list[Word] = [
            stored_id(queue_id),
            packed.field(queue_id, job_id),
            keep.dead_us,
            not_after_us or 0,
        ]
        return make_call(
            self._keys,
            library.DROP_DEAD_LETTER,
            partition,
            queue_type,
            now_us,
            arguments,
            replies.decode_flag,
        )

    def drop_letters(
        self,
        partition: int,
        queue_type: str,
        jobs: Sequence[DeadRef],
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[list[bool]]:
        """Drop named dead letters. Value: for each, False if there is none."""
        arguments: list[Word] = [self._retention.dead_us, not_after_us or 0]
        arguments += (packed.field(job.queue_id, job.job_id) for job in jobs)
        return make_call(
            self._keys,
            library.DROP_LETTERS,
            partition,
            queue_type,
            now_us,
            arguments,
            status_replies.decode_dropped,
            len(jobs),
        )

    def drop_dead(
        self,
        partition: int,
        queue_type: str,
        limit: int,
        before_us: int | None = None,
        *,
        not_after_us: int | None = None,
        now_us: int | None = None,
    ) -> FunctionCall[int]:
        """Drop up to `limit` dead letters, oldest first. Value: the number dropped.

        Args:
            before_us: keep jobs that died after this time, by the server's clock; None to keep none.
        """
        arguments: list[Word] = [limit, "" if before_us is None else before_us, not_after_us or 0]
        return make_call(
            self._keys, library.DROP_DEAD, partition, queue_type, now_us, arguments, replies.decode_number
        )


def _split(cursor: re.Pattern[str], scan: str) -> tuple[str, ...]:
    """Return the parts of a cursor.

    Raises:
        InvalidRequest: it is none that a reply gave out.
    """
    match = cursor.fullmatch(scan)
    if match is None:
        raise InvalidRequest("cursor: not a cursor that this server gave out")
    return match.groups()
