# Generated from aio/jobs.py by generate_sync.py. Change that file instead.
"""Offers the calls that look after jobs: wait for, cancel, change, list them, redrive or drop one dead letter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from sharq_client.answers import Answers, JobRow, JobState, JobStatus
from sharq_client.bodies import CancelBody
from sharq_client.campaigns.batches import BatchStatus
from sharq_client.decoders import JOB, SMALL_ANSWER, Page
from sharq_client.errors import NotFound, SharqError
from sharq_client.paths import path_of
from sharq_client.requests import JobChange, Referable, ref_of, value_of
from sharq_client.sync.caller import Caller

MAX_WAIT_MS = 30_000
"""The longest time that one request waits for the end of a job."""

QUIET_PAUSE_S = 0.25
"""The pause after an answer that came before its wait was over, as from a draining server."""

_BATCH = msgspec.json.Decoder(BatchStatus)


class _Cancelled(msgspec.Struct, frozen=True):
    was: JobState


class _JobRows(Page, frozen=True, kw_only=True):
    jobs: list[JobRow]


_CANCELLED = msgspec.json.Decoder(_Cancelled)
_JOB_ROWS = msgspec.json.Decoder(_JobRows)


class Jobs:
    """The calls that look after jobs. Every method raises as those of Client do."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def wait(
        self, queue_type: str, queue_id: str, job_id: str, *, timeout_s: float | None = None
    ) -> JobStatus | None:
        """Wait until a job has ended: until it is finished, dead, cancelled or expired. Return its state.

        While it waits, the server holds a request for up to MAX_WAIT_MS at a time.

        Args:
            timeout_s: the longest wait; None for no limit.

        Returns:
            The state at the end of the job or of the wait (`has_ended` tells them apart). None if the server does not
            know the job, as long after its end.
        """
        path = path_of("job", queue_type, queue_id, job_id)
        end_s = math.inf if timeout_s is None else self._caller.time() + timeout_s
        while True:
            asked_at_s = self._caller.time()
            wait_ms = min(max(end_s - asked_at_s, 0) * 1000, MAX_WAIT_MS)
            status = self._caller.find(path, JOB, wait_ms=wait_ms)
            now_s = self._caller.time()
            if status is None or status.has_ended or now_s >= end_s:
                return status
            # A draining server answers at once; without a pause the client would ask it in a busy loop.
            if now_s - asked_at_s < QUIET_PAUSE_S:
                self._caller.sleep(min(QUIET_PAUSE_S, end_s - now_s))

    def cancel(self, queue_type: str, queue_id: str, job_id: str, *, force: bool = False) -> JobState | None:
        """Cancel a queued or delayed job, or drop a dead letter. The server remembers the job as cancelled for a while.

        Args:
            force: True to cancel a leased job, too. Its lease is lost, so that its worker cannot finish it any more.

        Returns:
            The state before the call; CANCELLED if the job had been cancelled already. None if the server does not know
            the job, as after its end.

        Raises:
            Leased: a worker has the job. Nothing was done.
        """
        path = path_of("job", queue_type, queue_id, job_id)
        query = {"force": "true" if force else None}
        try:
            return (self._caller.ask("DELETE", path, _CANCELLED, query=query)).was
        except NotFound:
            return None

    def cancel_many(
        self, jobs: Sequence[Referable], *, force: bool = False
    ) -> Answers[JobState | SharqError]:
        """Cancel jobs, as `cancel` does. Return the state before the call, or an error, for each job, in order.

        Cost: one request for each 1,000 jobs.
        """
        refs = [ref_of(job) for job in jobs]
        bodies = [CancelBody(ref.queue_type, ref.queue_id, ref.job_id, force) for ref in refs]
        return self._caller.cancel_many(bodies)

    def cancel_matching(self, queue_type: str, queue_id: str, prefix: str, *, wait_s: float = 600.0) -> int:
        """Cancel the queued and delayed jobs of a queue whose ids begin with a prefix. Return the number of jobs.

        Jobs that are leased, and jobs that are enqueued after the call has begun, are kept. A retry is made only if
        nothing was done.

        Args:
            prefix: the first characters of the ids; "" for all jobs of the queue.
            wait_s: the longest time that the server may work on it. It stops when the client is gone.

        Raises:
            OutcomeUnknown: some jobs were perhaps cancelled. Call again to cancel the others.
        """
        path = path_of("queue", queue_type, queue_id) + "cancel/"
        body = {"prefix": prefix}
        reply = self._caller.ask("POST", path, SMALL_ANSWER, body, is_safe_twice=False, wait_s=wait_s)
        return reply.cancelled

    def batch(self, queue_type: str, batch: str) -> BatchStatus | None:
        """Return how many jobs of a batch are in which state.

        The answer is None if the server knows no job of the type with this batch. It forgets a batch when its last job
        ended so long ago that finished jobs are forgotten.

        Raises:
            OutcomeUnknown: a part of the cluster did not tell its numbers in time. The call is safe to repeat.
        """
        return self._caller.find(path_of("batch", queue_type, batch), _BATCH)

    def cancel_batch(self, queue_type: str, batch: str, *, wait_s: float = 600.0) -> int:
        """Cancel a batch, and its queued and delayed jobs in all queues. Return the number of jobs.

        The batch takes no further jobs: an enqueue raises BatchCancelled. Jobs that are leased are kept; those that a
        worker does not finish are cancelled when their leases end. A retry is made only if nothing was done.

        Args:
            wait_s: the longest time that the server may work on it. It stops when the client is gone.

        Raises:
            NotFound: the server does not know the batch. Nothing was done.
            OutcomeUnknown: some jobs were perhaps cancelled. Call again to cancel the others.
        """
        path = path_of("batch", queue_type, batch) + "cancel/"
        reply = self._caller.ask("POST", path, SMALL_ANSWER, is_safe_twice=False, wait_s=wait_s)
        return reply.cancelled

    def change(
        self, queue_type: str, queue_id: str, job_id: str, change: JobChange | Mapping[str, Any]
    ) -> JobStatus:
        """Change a queued or delayed job, and return its state afterwards. A retry is made only if nothing was done.

        Raises:
            NotWaiting: the job is leased, finished, dead, cancelled or expired. Nothing was done.
            NotFound: the server does not know the job. Nothing was done.
            InvalidRequest: a value is out of range, or the job would expire before it is due. Nothing was done.
        """
        path = path_of("job", queue_type, queue_id, job_id)
        return self._caller.ask(
            "PATCH", path, JOB, value_of(JobChange, change, "change"), is_safe_twice=False
        )

    def in_queue(
        self,
        queue_type: str,
        queue_id: str,
        state: Literal[JobState.QUEUED, JobState.DELAYED, JobState.LEASED] = JobState.QUEUED,
        *,
        prefix: str = "",
        page: int = 100,
    ) -> Iterator[JobRow]:
        """Yield the jobs of a queue that are in one state: queued ones in the order in which they leave.

        A job that changes its state meanwhile may be missed or come twice.

        Args:
            prefix: the first characters of the ids of the jobs; "" for all.
            page: the most jobs for each request, 1 to 1,000.
        """
        path = path_of("queue", queue_type, queue_id) + "jobs/"
        for answer in self._caller.pages(path, _JOB_ROWS, page, state=str(state), prefix=prefix or None):
            yield from answer.jobs

    def redrive(self, queue_type: str, queue_id: str, job_id: str) -> None:
        """Queue one dead letter again, with attempts from 0. A retry is made only if nothing was done.

        Raises:
            NotFound: there is no such dead letter. Nothing was done.
            Duplicate: a live job has its id. Nothing was done.
            BatchCancelled: its batch was cancelled. Nothing was done.
        """
        path = path_of("dead", queue_type, queue_id, job_id) + "redrive/"
        self._caller.ask("POST", path, SMALL_ANSWER, is_safe_twice=False)

    def drop_dead_letter(self, queue_type: str, queue_id: str, job_id: str) -> bool:
        """Drop one dead letter. Return False if there is none. A retry is made only if nothing was done."""
        path = path_of("dead", queue_type, queue_id, job_id)
        return self._caller.done("DELETE", path, is_safe_twice=False)
