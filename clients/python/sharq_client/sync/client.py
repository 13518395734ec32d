# Generated from aio/client.py by generate_sync.py. Change that file instead.
"""Offers the verbs of the HTTP API as methods, with typed answers, typed errors, and retries if a retry is safe."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from typing import Self, overload

import msgspec
from msgspec import UNSET

from sharq_client import environment, errors
from sharq_client.answers import Answers, Enqueued, LeasedJob
from sharq_client.bodies import (
    GivenHold,
    LeaseBody,
    as_repeat,
    cap_hold_of,
    dequeue_target,
    json_text,
    lease_bodies,
    ready_to_send,
    release_bodies,
)
from sharq_client.decoders import ENQUEUED, LEASED, LeasedJobs
from sharq_client.failures import NothingReady
from sharq_client.paths import bases_of, path_of
from sharq_client.requests import Enqueueable, JobStream, Referable, Types, ref_of
from sharq_client.streaming import EnqueueAnswers, EnqueueSummary, OnProgress
from sharq_client.sync.caller import Caller
from sharq_client.sync.connections import Urllib3Connections
from sharq_client.sync.control import Control
from sharq_client.sync.jobs import Jobs
from sharq_client.sync.queues import Queues
from sharq_client.sync.streaming import send_stream
from sharq_client.sync.transport import Connections, Transport
from sharq_client.tracing.client import Tracing


class Client(Queues):
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
        tracing: makes its spans, if the program uses OpenTelemetry.
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
        tracing: bool = True,
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
            tracing: False for no spans and no trace contexts, although the program uses OpenTelemetry.

        Raises:
            ValueError: a URL is not http://host:port or https://host:port, or the token has spaces, newlines or
                characters beyond ASCII.
            OSError: the file of certificates cannot be read.
        """
        self.settings = environment.settings_of(
            url, token, timeout_s, retries, ca, uses_http=connections is None, tracing=tracing
        )
        self.tracing = Tracing(bases_of(self.settings.urls)[0], is_wanted=tracing)
        connections = connections or Urllib3Connections(self.settings.tls)
        self._transport = Transport(self.settings, connections, self.tracing)
        super().__init__(Caller(self._transport))
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
        with self.tracing.send(ready_to_send(job)) as ready:
            path = path_of("enqueue", ready.queue_type, ready.queue_id)
            answer = self._transport.repeated(
                lambda: self._transport.send("POST", path, ENQUEUED, body=ready),
                send_again=lambda: self._transport.send("POST", path, ENQUEUED, body=as_repeat(ready)),
                is_safe_twice=True,
            )
        return msgspec.structs.replace(answer, job_id=ready.job_id)

    @overload
    def enqueue_many(  # type: ignore[overload-overlap] # the answers to a list have the numbers of a summary, too
        self,
        jobs: Sequence[Enqueueable],
        *,
        in_flight: int = ...,
        repeat: bool = ...,
        on_progress: OnProgress | None = ...,
    ) -> EnqueueAnswers: ...
    @overload
    def enqueue_many(
        self,
        jobs: JobStream,
        *,
        in_flight: int = ...,
        repeat: bool = ...,
        on_progress: OnProgress | None = ...,
    ) -> EnqueueSummary: ...
    def enqueue_many(
        self,
        jobs: JobStream,
        *,
        in_flight: int = 4,
        repeat: bool = False,
        on_progress: OnProgress | None = None,
    ) -> EnqueueAnswers | EnqueueSummary:
        """Enqueue jobs of any queues, a list or a stream of any length. The jobs of one queue keep their order.

        To send a stream again after a failure, give its jobs a job_id each, and pass `repeat=True`: no job is queued
        twice. Memory is bounded for every iterable that is not a Sequence.

        Args:
            jobs: a Sequence, as a list, or another iterable, which is read while calls are in flight.
            in_flight: the most calls in flight, 1 to 64.
            repeat: True if the jobs may have been sent before, as `EnqueueJob.repeat` says for one job.
            on_progress: called with the progress after each call; it must not block.

        Returns:
            For a Sequence one answer for each job, in order; otherwise a summary. Both have sent, queued, duplicates
            and failed.

        Raises:
            EnqueueStopped: no server took a call of a stream after its retries. It says where to resume. For a
                Sequence nothing is raised: each job has its error, Unavailable if it was not sent.

        Cost: one request for each 1,000 jobs or 1 MiB.
        """
        return send_stream(self._transport, jobs, in_flight=in_flight, repeat=repeat, on_progress=on_progress)

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
    ) -> LeasedJobs: ...
    def dequeue(
        self,
        queue_type: Types = "default",
        count: int | None = None,
        *,
        wait_ms: float = 0,
        lease_ms: float | None = None,
    ) -> LeasedJob | LeasedJobs | None:
        """Lease ready jobs, each from the queue that has been due longest. A retry is made only if nothing was done.

        Args:
            queue_type: the type to lease from, or up to 16 types.
            count: the most jobs to return, 1 to 1,000. The call returns as soon as one is ready. None for one job.
            wait_ms: the longest wait until a job is ready, 0 to 60,000.
            lease_ms: the length of the lease (visibility timeout), 100 to 86,400,000; None for the server's default.

        Returns:
            With a count, a list. If nothing was ready, it is empty, and its `blocked_by` and `next_ready_in` say why.
            Without a count, the job or None.

        Raises:
            OutcomeUnknown: jobs may have been leased. They are requeued when their leases end.
        """
        path, query = dequeue_target(queue_type, 1 if count is None else count, wait_ms, lease_ms)
        with self.tracing.receive(queue_type) as span:
            try:
                # POST, because HTTP clients and proxies resend a GET by themselves if a kept-alive connection drops.
                answer = self._transport.repeated(
                    lambda: self._transport.send("POST", path, LEASED, query=query, wait_s=wait_ms / 1000),
                    is_safe_twice=False,
                )
                leased = LeasedJobs(answer.jobs)
            except NothingReady as nothing:
                leased = LeasedJobs()
                leased.blocked_by, leased.next_ready_in = nothing.blocked_by, nothing.next_ready_in
            span.received(leased)
        if isinstance(queue_type, str):
            leased[:] = [msgspec.structs.replace(job, queue_type=queue_type) for job in leased]
        return leased if count is not None else next(iter(leased), None)

    def finish(
        self,
        job: Referable,
        *,
        cost: int | None = None,
        hold_ms: float = 0,
        hold_type_ms: float = 0,
        hold_cap: GivenHold = None,
        result: object = UNSET,
    ) -> bool | None:
        """Finish (acknowledge) a job: end its lease and forget the job. Retries are made if the job has its lease.

        Args:
            cost: the cost that the job turned out to have, 0 or more. None if it is as enqueued.
            hold_ms: the time from now for which its queue hands out no jobs, up to 24 hours.
            hold_type_ms: the same for all queues of its gathered type.
            hold_cap: the same for all queues with a cap, such as CapHold("acct17", 30_000). If there is no such cap,
                nothing is held.
            result: any JSON value of up to 16 KiB, or msgspec.Raw with JSON text; UNSET for none. If the server has
                no room for it, False is returned, and the job is finished all the same.

        Raises:
            NotFound, LeaseLost: the lease does not exist any more. Nothing was done.
        """
        job = ref_of(job)
        text = json_text(result, "result")
        hold = cap_hold_of(hold_cap)
        terms = cost, hold_ms, hold_type_ms
        report = LeaseBody("", "", "", job.lease, None, None, *terms, result=text, hold_cap=hold)
        with self.tracing.settle("finish", job):
            return (self._caller.report("finish", job, report)).result_kept

    def extend(self, job: Referable, by_ms: float, *, progress: object = UNSET) -> int:
        """Move the end of the lease to by_ms (100 to 86,400,000) from now.

        Args:
            progress: how far the work is: any JSON value of up to 1 KiB, or msgspec.Raw with JSON text.

        Returns:
            The new end, in ms since the epoch by the store's clock.

        Raises:
            NotFound, LeaseLost: the lease does not exist any more. Nothing was done.
        """
        job = ref_of(job)
        report = LeaseBody(lease=job.lease, by=by_ms, progress=json_text(progress, "progress"))
        return (self._caller.report("extend", job, report)).lease_expires_at

    def release(
        self,
        job: Referable,
        delay_ms: float | None = None,
        *,
        cost: int | None = None,
        hold_ms: float = 0,
        hold_type_ms: float = 0,
        hold_cap: GivenHold = None,
        counts: bool = True,
        error: str | None = None,
        prefer_retry: bool = False,
    ) -> None:
        """Give the job back unfinished (nack): it returns to its place in the queue after a delay.

        Args:
            delay_ms: the delay, 0 for none. None for that of the job's retry policy, if it has one and the attempt
                counts.
            cost, hold_ms, hold_type_ms, hold_cap: as in `finish`.
            counts: False if the attempt does not count, as after a carrier's 429.
            error: the reason of the failure, for people. The server keeps its first 2 KiB until the job is finished,
                and shows the latest one with the job and with its dead letter.
            prefer_retry: True if the retry policy decides, and delay_ms only if there is none.

        Raises:
            NotFound, LeaseLost: the lease does not exist any more. Nothing was done.
        """
        job = ref_of(job)
        hold = cap_hold_of(hold_cap)
        terms = cost, hold_ms, hold_type_ms, counts, error, prefer_retry
        report = LeaseBody("", "", "", job.lease, None, delay_ms, *terms, hold_cap=hold)
        with self.tracing.settle("release", job):
            self._caller.report("release", job, report)

    def finish_many(
        self,
        jobs: Sequence[Referable],
        *,
        results: Sequence[object] | None = None,
        costs: Sequence[int | None] | None = None,
    ) -> Answers[errors.SharqError | None]:
        """Finish jobs. Return one answer for each job, in order; None for success.

        Args:
            results: the result of each job, UNSET for none.
            costs: the cost that each job turned out to have, None if it is as enqueued.
        """
        bodies = lease_bodies(jobs, results=results, costs=costs)
        with self.tracing.settle_many("finish", jobs) as span:
            answers = self._caller.report_many("finish", bodies)
            span.answered(answers)
        return answers

    def extend_many(
        self, jobs: Sequence[Referable], by_ms: float, *, progress: Sequence[object] | None = None
    ) -> Answers[errors.SharqError | None]:
        """Move the ends of leases to by_ms from now, with a progress each (UNSET for none), as finish_many does."""
        return self._caller.report_many("extend", lease_bodies(jobs, by_ms, progress=progress))

    def release_many(
        self,
        jobs: Sequence[Referable],
        delay_ms: float | None = None,
        *,
        hold_ms: float = 0,
        hold_type_ms: float = 0,
        hold_cap: GivenHold = None,
        counts: bool = True,
        error: str | Sequence[str | None] | None = None,
        prefer_retry: bool = False,
    ) -> Answers[errors.SharqError | None]:
        """Give jobs back unfinished, as `release` does. Return one answer for each job, in order; None for success.

        Args:
            error: the error of all jobs, or a list with one for each job.
        """
        bodies = release_bodies(
            jobs,
            delay_ms,
            hold_ms,
            hold_type_ms,
            counts=counts,
            error=error,
            prefer_retry=prefer_retry,
            hold_cap=hold_cap,
        )
        with self.tracing.settle_many("release", jobs) as span:
            answers = self._caller.report_many("release", bodies)
            span.answered(answers)
        return answers

    def healthz(self) -> bool:
        """Return True if the server process responds."""
        return self._caller.answers("/healthz")

    def readyz(self) -> bool:
        """Return True if the server accepts work; False if it is starting, draining or unreachable."""
        return self._caller.answers("/readyz")

    def deepstatus(self) -> bool:
        """Return True if every server of the store answers every shard; False otherwise, or if none is reachable."""
        return self._caller.answers("/deepstatus/")
