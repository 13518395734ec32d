# Generated from aio/client.py by generate_sync.py. Change that file instead.
"""Offers the verbs of the HTTP API as methods, with typed answers, typed errors, and retries if a retry is safe.

Not here: running handlers for leased jobs (worker/), and sending one request (transport.py).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Sequence
from typing import Self, overload

import msgspec
from msgspec import UNSET

from sharq_client import bulk, environment, errors
from sharq_client.answers import Answers, Counts, DeadLetter, Enqueued, JobStatus, LeasedJob, QueueStats
from sharq_client.bodies import (
    LeaseBody,
    RateBody,
    as_repeat,
    dequeue_target,
    json_text,
    lease_bodies,
    ready_to_send,
    release_bodies,
)
from sharq_client.decoders import COUNTS, DEAD_LETTERS, ENQUEUED, JOB, LEASED, QUEUE, QUEUE_IDS, REPLY
from sharq_client.failures import NothingReady
from sharq_client.paths import path_of
from sharq_client.requests import Addressed, DeadRef, Enqueueable, Types
from sharq_client.sync.bulk import send_bulk
from sharq_client.sync.caller import Caller
from sharq_client.sync.connections import Urllib3Connections
from sharq_client.sync.control import Control
from sharq_client.sync.jobs import Jobs
from sharq_client.sync.transport import Connections, Transport


class Client:
    """A client of a SHARQ server, a load balancer or several routers of one cluster.

    Use it as `with Client("http://127.0.0.1:8080") as client`.

    Every method raises Unavailable if no connection was made (nothing was done), OutcomeUnknown if the request was sent
    and no answer came (perhaps done), and otherwise the class of sharq_client.errors for the server's error code. The
    `..._many` methods do not raise these; they return one answer or error for each job.

    The client retries only if that is safe: a call that was certainly not done, or one that is idempotent.

    Attributes:
        control: the calls of operators: settings, holds, pauses of types and of everything, lists with numbers.
        jobs: the calls that look after jobs: wait for, cancel, change, list, and redrive or drop one dead letter.
        settings: the servers, the token, the timeout, the retries and the certificates of the client.
    """

    def __init__(
        self,
        url: str | Sequence[str] | None = None,
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        retries: int = 2,
        ca: str | os.PathLike[str] | ssl.SSLContext | None = None,
        connections: Connections | None = None,
    ) -> None:
        """Configure the client. This sends nothing yet.

        Args:
            url: http://host:port, optionally with a path prefix; or the URLs of several routers of one cluster. The
                client then uses the first one until it refuses a connection, and switches to the next one at once.
                None uses the variable SHARQ_URL (several URLs with spaces between them), or http://127.0.0.1:8080.
            token: the bearer token. None uses the variable SHARQ_TOKEN if that is set and not empty.
            timeout_s: the timeout of one try, over 0. The wait of a long poll is added to it.
            retries: the number of retries of a call, 0 for none. The pauses double from 1 s on.
            ca: a file with the certificates to trust instead of the system's, or an SSLContext.
            connections: how requests travel; None for HTTP. `sharq_client.testing` has one in memory.

        Raises:
            ValueError: a URL is not http://host:port or https://host:port.
            OSError: the file of certificates cannot be read.
        """
        self.settings = environment.settings_of(
            url, token, timeout_s, retries, ca, uses_http=connections is None
        )
        self._transport = Transport(self.settings, connections or Urllib3Connections(self.settings.tls))
        self._caller = Caller(self._transport)
        self.control = Control(self._caller)
        self.jobs = Jobs(self._caller)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the client's connections. Calls in flight raise OutcomeUnknown; a later call opens new ones."""
        self._transport.close()

    def enqueue(self, job: Enqueueable) -> Enqueued:
        """Enqueue one job. Retries use the same job_id, so that the job is never queued twice.

        Raises:
            QueueFull, StoreFull, InvalidRequest, TooLarge: nothing was done.
            OutcomeUnknown: the job was perhaps queued. Send it again with the same job_id and `repeat=True`.
        """
        ready = ready_to_send(job)
        path = path_of("enqueue", ready.queue_type, ready.queue_id)
        answer = self._transport.repeated(
            lambda: self._transport.send("POST", path, ENQUEUED, body=ready),
            send_again=lambda: self._transport.send("POST", path, ENQUEUED, body=as_repeat(ready)),
            is_safe_twice=True,
        )
        return msgspec.structs.replace(answer, job_id=ready.job_id)

    def enqueue_many(self, jobs: Sequence[Enqueueable]) -> Answers[Enqueued | errors.SharqError]:
        """Enqueue jobs of any queues. Return one answer for each job, in order.

        Cost: one request for each 1,000 jobs or 8 MiB.
        """
        ready = [ready_to_send(job) for job in jobs]
        answers = send_bulk(
            self._transport, "/enqueue/", ready, is_safe_twice=lambda _: True, to_repeat=as_repeat
        )
        return Answers(
            answer
            if isinstance(answer, errors.SharqError)
            else Enqueued(job.job_id or answer.job_id, answer.duplicate, answer.current_queue_length)
            for job, answer in zip(ready, answers, strict=True)
        )

    @overload
    def dequeue(
        self,
        queue_type: Types = ...,
        count: None = ...,
        *,
        wait_ms: float = ...,
        lease_ms: float | None = ...,
    ) -> LeasedJob | None: ...
    @overload
    def dequeue(
        self, queue_type: Types, count: int, *, wait_ms: float = ..., lease_ms: float | None = ...
    ) -> list[LeasedJob]: ...
    def dequeue(
        self,
        queue_type: Types = "default",
        count: int | None = None,
        *,
        wait_ms: float = 0,
        lease_ms: float | None = None,
    ) -> LeasedJob | list[LeasedJob] | None:
        """Lease ready jobs, each from the queue that has been due longest. A retry is made only if nothing was done.

        Args:
            queue_type: the type to lease from, or up to 16 types.
            count: the most jobs to return, 1 to 1,000. The call returns as soon as one is ready. None for one job.
            wait_ms: the longest wait until a job is ready, 0 to 60,000.
            lease_ms: the length of the lease (visibility timeout), 100 to 86,400,000; None for the server's default.

        Returns:
            With a count, a list, which is empty if nothing was ready. Without one, the job or None.

        Raises:
            OutcomeUnknown: jobs may have been leased. They are requeued when their leases end.
        """
        path, query = dequeue_target(queue_type, 1 if count is None else count, wait_ms, lease_ms)
        try:
            # POST, because HTTP clients and proxies resend a GET by themselves if a kept-alive connection drops.
            answer = self._transport.repeated(
                lambda: self._transport.send("POST", path, LEASED, query=query, wait_s=wait_ms / 1000),
                is_safe_twice=False,
            )
            leased = answer.jobs
        except NothingReady:
            leased = []
        if isinstance(queue_type, str):
            leased = [msgspec.structs.replace(job, queue_type=queue_type) for job in leased]
        return leased if count is not None else next(iter(leased), None)

    def finish(
        self,
        job: Addressed,
        *,
        cost: int | None = None,
        hold_ms: float = 0,
        hold_type_ms: float = 0,
        result: object = UNSET,
    ) -> bool | None:
        """Finish (acknowledge) a job: end its lease and forget the job. Retries are made if the job has its lease.

        Args:
            cost: the cost that the job turned out to have, 0 or more. None if it is as enqueued.
            hold_ms: the time from now for which its queue hands out no jobs, up to 24 hours.
            hold_type_ms: the same for all queues of its gathered type.
            result: any JSON value of up to 16 KiB, or msgspec.Raw with JSON text; UNSET for none. If the server has
                no room for it, False is returned, and the job is finished all the same.

        Raises:
            NotFound, LeaseLost: the lease does not exist any more. Nothing was done.
        """
        text = json_text(result)
        report = LeaseBody("", "", "", job.lease, None, None, cost, hold_ms, hold_type_ms, result=text)
        return (self._caller.report("finish", job, report)).result_kept

    def extend(self, job: Addressed, by_ms: float, *, progress: object = UNSET) -> int:
        """Move the end of the lease to by_ms (100 to 86,400,000) from now.

        Args:
            progress: how far the work is: any JSON value of up to 1 KiB, or msgspec.Raw with JSON text.

        Returns:
            The new end, in ms since the epoch by the store's clock.

        Raises:
            NotFound, LeaseLost: the lease does not exist any more. Nothing was done.
        """
        report = LeaseBody(lease=job.lease, by=by_ms, progress=json_text(progress))
        return (self._caller.report("extend", job, report)).lease_expires_at

    def release(
        self,
        job: Addressed,
        delay_ms: float | None = None,
        *,
        cost: int | None = None,
        hold_ms: float = 0,
        hold_type_ms: float = 0,
        counts: bool = True,
        error: str | None = None,
        prefer_retry: bool = False,
    ) -> None:
        """Give the job back unfinished (nack): it returns to its place in the queue after a delay.

        Args:
            delay_ms: the delay, 0 for none. None for that of the job's retry policy, if it has one and the attempt
                counts.
            cost, hold_ms, hold_type_ms: as in `finish`.
            counts: False if the attempt does not count, as after a carrier's 429.
            error: the reason of the failure, for people. The server keeps its first 2 KiB until the job is finished,
                and shows the latest one with the job and with its dead letter.
            prefer_retry: True if the retry policy decides, and delay_ms only if there is none.

        Raises:
            NotFound, LeaseLost: the lease does not exist any more. Nothing was done.
        """
        report = LeaseBody(
            "", "", "", job.lease, None, delay_ms, cost, hold_ms, hold_type_ms, counts, error, prefer_retry
        )
        self._caller.report("release", job, report)

    def finish_many(
        self, jobs: Sequence[Addressed], *, results: Sequence[object] | None = None
    ) -> Answers[errors.SharqError | None]:
        """Finish jobs, with a result each (UNSET for none). Return one answer for each job; None for success."""
        return self._caller.report_many("finish", lease_bodies(jobs, results=results))

    def extend_many(
        self, jobs: Sequence[Addressed], by_ms: float, *, progress: Sequence[object] | None = None
    ) -> Answers[errors.SharqError | None]:
        """Move the ends of leases to by_ms from now, with a progress each (UNSET for none), as finish_many does."""
        return self._caller.report_many("extend", lease_bodies(jobs, by_ms, progress=progress))

    def release_many(
        self,
        jobs: Sequence[Addressed],
        delay_ms: float | None = None,
        *,
        hold_ms: float = 0,
        hold_type_ms: float = 0,
        counts: bool = True,
        error: str | Sequence[str | None] | None = None,
        prefer_retry: bool = False,
    ) -> Answers[errors.SharqError | None]:
        """Give jobs back unfinished, as `release` does. Return one answer for each job, in order; None for success.

        Args:
            error: the error of all jobs, or a list with one for each job.
        """
        terms = delay_ms, hold_ms, hold_type_ms
        bodies = release_bodies(jobs, *terms, counts=counts, error=error, prefer_retry=prefer_retry)
        return self._caller.report_many("release", bodies)

    def set_interval(
        self,
        queue_type: str,
        queue_id: str,
        interval_ms: float | None = None,
        *,
        rate: str | None = None,
        burst: float | None = None,
        pin: bool | None = None,
    ) -> bool:
        """Change a queue's rate at once. Return False if there is no such queue.

        Args:
            interval_ms: the least time between two leases: 0 (unlimited) to 365 days, fractions allowed.
            rate: the rate instead of interval_ms: "40/s", "90/min", "2000/h", "10000/day".
            burst: the most leases back to back, at least 1; None keeps the current one.
            pin: True to also create the rate and keep enqueues from changing it; False to unpin it; None to keep it.
        """
        path = path_of("interval", queue_type, queue_id)
        return self._caller.done("POST", path, RateBody(interval_ms, burst, pin, rate), is_safe_twice=True)

    def pause(self, queue_type: str, queue_id: str) -> bool:
        """Pause a queue: it accepts jobs but hands none out. Return False if there is no such queue."""
        path = path_of("queue", queue_type, queue_id) + "pause/"
        return self._caller.done("POST", path, is_safe_twice=True)

    def resume(self, queue_type: str, queue_id: str) -> bool:
        """Let a paused queue hand out jobs again. Return False if there is no such queue."""
        path = path_of("queue", queue_type, queue_id) + "resume/"
        return self._caller.done("POST", path, is_safe_twice=True)

    def delete_queue(self, queue_type: str, queue_id: str, *, purge_all: bool = False) -> bool:
        """Drop the queued and delayed jobs of a queue. Return True if there were any.

        Leased jobs may still be finished, but are not requeued. A retry is made only if nothing was done, since a
        second delete would drop jobs that were enqueued in between.

        Args:
            purge_all: True to forget the rate, too, once the queue's ready time has passed.
        """
        path = path_of("deletequeue", queue_type, queue_id)
        reply = self._caller.ask("DELETE", path, REPLY, {"purge_all": purge_all}, is_safe_twice=False)
        return reply.status == "Success"

    def queue(self, queue_type: str, queue_id: str) -> QueueStats | None:
        """Return the state of a queue; None if there is no such queue."""
        return self._caller.find(path_of("queue", queue_type, queue_id), QUEUE)

    def job(self, queue_type: str, queue_id: str, job_id: str) -> JobStatus | None:
        """Return the state of a job; None if the server does not know it."""
        return self._caller.find(path_of("job", queue_type, queue_id, job_id), JOB)

    def counts(self) -> Counts:
        """Return the counts of enqueued and leased jobs in the last ten minutes, over all types."""
        return self._caller.ask("GET", "/metrics/", COUNTS)

    def queue_counts(self, queue_type: str, queue_id: str) -> Counts:
        """Return the counts of one queue in the last ten minutes; zeros for an unknown queue."""
        return self._caller.ask("GET", path_of("metrics", queue_type, queue_id), COUNTS)

    def queues(self, queue_type: str, *, page: int = 1_000) -> Iterator[str]:
        """Yield the ids of a type's queues that have queued, delayed or leased jobs.

        Args:
            page: the number of ids for each request, 1 to 10,000.
        """
        for answer in self._caller.pages(path_of("metrics", queue_type), QUEUE_IDS, page):
            yield from answer.queue_ids

    def dead(self, queue_type: str, *, queue_id: str | None = None, page: int = 100) -> Iterator[DeadLetter]:
        """Yield the dead letters of a type.

        Args:
            queue_id: the queue whose dead letters are wanted; None for those of all queues.
            page: the number of dead letters for each request.
        """
        path = path_of("dead", queue_type)
        for answer in self._caller.pages(path, DEAD_LETTERS, page, queue_id=queue_id):
            yield from answer.jobs

    def redrive(self, queue_type: str) -> int:
        """Queue every dead letter of a type again, with attempts from 0. Return the number of jobs.

        A second call queues the dead letters that remain.
        """
        path = path_of("dead", queue_type) + "redrive/"
        return (self._caller.ask("POST", path, REPLY, is_safe_twice=False)).redriven

    def redrive_many(
        self, queue_type: str, letters: Sequence[DeadLetter | DeadRef]
    ) -> Answers[errors.SharqError | None]:
        """Queue these dead letters again. Return one answer for each, in order; None for success."""
        refs = [DeadRef(letter.queue_id, letter.job_id) for letter in letters]
        path = path_of("dead", queue_type) + "redrive/"
        return bulk.failures_of(send_bulk(self._transport, path, refs, is_safe_twice=lambda _: False))

    def drop_dead(self, queue_type: str) -> int:
        """Drop every dead letter of a type. Return the number of dropped jobs."""
        path = path_of("dead", queue_type)
        return (self._caller.ask("DELETE", path, REPLY, is_safe_twice=False)).dropped

    def healthz(self) -> bool:
        """Return True if the server process responds."""
        return self._caller.answers("/healthz")

    def readyz(self) -> bool:
        """Return True if the server accepts work; False if it is starting, draining or unreachable."""
        return self._caller.answers("/readyz")
