"""The verbs of the HTTP API as methods: typed answers, typed errors, and repeats where repeating is safe.

Not here: running handlers over leased jobs (worker.py), and how a request travels (transport.py).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar, overload

import aiohttp
import msgspec

from sharq_client import errors
from sharq_client.answers import Answers, Counts, DeadLetter, Enqueued, JobStatus, LeasedJob, QueueStats
from sharq_client.bulk import Result, send_bulk
from sharq_client.failures import NothingReady
from sharq_client.requests import Addressed, DeadRef, EnqueueJob, LeaseBody, RateBody
from sharq_client.transport import Transport, path_of

AnswerT = TypeVar("AnswerT")


class _LeasedJobs(msgspec.Struct, frozen=True):
    jobs: list[LeasedJob]


class _Ids(msgspec.Struct, frozen=True):
    queue_ids: list[str]
    cursor: str | None = None


class _DeadPage(msgspec.Struct, frozen=True):
    jobs: list[DeadLetter]
    cursor: str | None = None


class _Reply(msgspec.Struct, frozen=True):
    """The small answers, together: each call reads the one field it is about."""

    status: str = ""
    lease_expires_at: int = 0
    redriven: int = 0
    dropped: int = 0


_REPLY = msgspec.json.Decoder(_Reply)
_ENQUEUED = msgspec.json.Decoder(Enqueued)
_LEASED = msgspec.json.Decoder(_LeasedJobs)
_JOB = msgspec.json.Decoder(JobStatus)
_QUEUE = msgspec.json.Decoder(QueueStats)
_COUNTS = msgspec.json.Decoder(Counts)
_IDS = msgspec.json.Decoder(_Ids)
_DEAD = msgspec.json.Decoder(_DeadPage)


class SharqClient:
    """Speaks with a SHARQ server, a load balancer or several routers: `async with SharqClient("http://127.0.0.1:8080")
    as client`.

    Every method raises Unavailable when no connection was made (nothing was done), OutcomeUnknown when it was
    sent and no answer came (perhaps done), and the class of sharq_client.errors that the server names. The
    `..._many`
    methods never raise these: they answer for each job. Repeats are made only where they cannot do harm: of
        what was
    certainly not done, and of calls that are the same when done twice.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        retries: int = 2,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: http://host:port, a path prefix is kept. Of several routers of one cluster the first is asked until it
                 takes no connection; then the next one is, at once.
            token: sent as a bearer token; None takes the variable SHARQ_TOKEN, where that is set and not empty.
            timeout_s: for one try, over 0; the wait of a long poll comes on top.
            retries: how often a call may be repeated, 0 for never; the pauses double from 1 s.
            session: used and not closed; None makes one of its own.
        """
        urls = [url] if isinstance(url, str) else url
        self._transport = Transport(urls, token or os.environ.get("SHARQ_TOKEN"), timeout_s, retries, session)

    async def __aenter__(self) -> Self:
        self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the client's own session; calls in flight end with OutcomeUnknown."""
        await self._transport.close()

    async def enqueue(self, job: EnqueueJob) -> Enqueued:
        """Queue one job; repeated with the same job_id, so that it is never queued twice.

        Raises:
            QueueFull, StoreFull, InvalidRequest, TooLarge: nothing was done.
            OutcomeUnknown: perhaps done; send it again with the same job_id and `repeat=True`.
        """
        ready = _ready_to_send(job)

        async def send(is_repeat: bool) -> Enqueued:
            path = path_of("enqueue", ready.queue_type, ready.queue_id)
            return await self._transport.send(
                "POST", path, _ENQUEUED, body=_as_repeat(ready) if is_repeat else ready
            )

        answer = await self._transport.repeated(send, is_safe_twice=True)
        return msgspec.structs.replace(answer, job_id=ready.job_id)

    async def enqueue_many(self, jobs: Sequence[EnqueueJob]) -> Answers[Enqueued | errors.SharqError]:
        """Queue jobs of any queues; one answer a job, in order. Cost: one request for each 1,000 jobs or 8
        MiB."""
        ready = [_ready_to_send(job) for job in jobs]
        answers = await send_bulk(
            self._transport, "/enqueue/", ready, is_safe_twice=lambda job: True, to_repeat=_as_repeat
        )
        return Answers(
            answer if isinstance(answer, errors.SharqError) else _enqueued(job, answer)
            for job, answer in zip(ready, answers, strict=True)
        )

    @overload
    async def dequeue(
        self, queue_type: str = ..., count: None = None, *, wait_ms: float = ..., lease_ms: float | None = ...
    ) -> LeasedJob | None: ...
    @overload
    async def dequeue(
        self, queue_type: str, count: int, *, wait_ms: float = ..., lease_ms: float | None = ...
    ) -> list[LeasedJob]: ...
    async def dequeue(
        self,
        queue_type: str = "default",
        count: int | None = None,
        *,
        wait_ms: float = 0,
        lease_ms: float | None = None,
    ) -> LeasedJob | list[LeasedJob] | None:
        """Lease ready jobs, each from the queue that is due longest; sent again only when certainly not done.

        Args:
            count: 1 to 1,000: at most so many, as soon as one is ready. None: one job.
            wait_ms: 0 to 60,000: how long to wait until a job is ready.
            lease_ms: 100 to 86,400,000; None for the server's default.

        Returns:
            with a count a list, empty when nothing was ready; without, the job or None.

        Raises:
            OutcomeUnknown: jobs may have been leased; they come back when their leases end.
        """
        path = path_of("dequeue", queue_type)
        query = {"count": 1 if count is None else count, "wait": wait_ms or None, "lease": lease_ms}

        # POST, because the HTTP client and proxies send a GET again by themselves when a kept connection
        # drops.
        async def send(is_repeat: bool) -> list[LeasedJob]:
            return (
                await self._transport.send("POST", path, _LEASED, query=query, wait_s=wait_ms / 1000)
            ).jobs

        try:
            leased = await self._transport.repeated(send, is_safe_twice=False)
        except NothingReady:
            leased = []
        jobs = [msgspec.structs.replace(job, queue_type=queue_type) for job in leased]
        return jobs if count is not None else next(iter(jobs), None)

    async def finish(self, job: Addressed) -> None:
        """End the lease: the work is done. Repeated safely when the job names its lease.

        Raises:
            NotFound: there is no such lease. LeaseLost: another lease of the job exists. Nothing was done.
        """
        await self._lease_call("finish", job, LeaseBody(lease=job.lease))

    async def extend(self, job: Addressed, by_ms: float) -> int:
        """Move the lease's end to by_ms (100 to 86,400,000) from now; returns it, in ms by the store's clock.

        Raises:
            NotFound, LeaseLost: nothing was done.
        """
        return (
            await self._lease_call("extend", job, LeaseBody(lease=job.lease, by_ms=by_ms))
        ).lease_expires_at

    async def release(self, job: Addressed, delay_ms: float = 0) -> None:
        """Give the job back unfinished: to its place, after delay_ms at the earliest. It counts as an
        attempt.

        Raises:
            NotFound, LeaseLost: nothing was done.
        """
        await self._lease_call("release", job, LeaseBody(lease=job.lease, delay_ms=delay_ms))

    async def finish_many(self, jobs: Sequence[Addressed]) -> Answers[errors.SharqError | None]:
        """End leases; one answer a job, in order, None for done."""
        return await self._lease_bulk("finish", [_lease_body(job) for job in jobs])

    async def extend_many(self, jobs: Sequence[Addressed], by_ms: float) -> Answers[errors.SharqError | None]:
        """Move the ends of leases to by_ms from now; one answer a job, in order, None for done."""
        return await self._lease_bulk("extend", [_lease_body(job, by_ms=by_ms) for job in jobs])

    async def release_many(
        self, jobs: Sequence[Addressed], delay_ms: float = 0
    ) -> Answers[errors.SharqError | None]:
        """Give jobs back unfinished; one answer a job, in order, None for done."""
        return await self._lease_bulk("release", [_lease_body(job, delay_ms=delay_ms) for job in jobs])

    async def set_interval(
        self,
        queue_type: str,
        queue_id: str,
        interval_ms: float,
        *,
        burst: int | None = None,
        pin: bool | None = None,
    ) -> bool:
        """Change a queue's rate at once; False when there is no such queue.

        Args:
            interval_ms: 0 (unlimited) to 365 days, fractions allowed.
            burst: at least 1; None leaves it.
            pin: True also creates the rate and keeps enqueues from changing it; False unpins; None leaves it.
        """
        path = path_of("interval", queue_type, queue_id)
        return await self._done("POST", path, RateBody(interval_ms, burst, pin), is_safe_twice=True)

    async def pause(self, queue_type: str, queue_id: str) -> bool:
        """Let a queue take jobs and give none; False when there is no such queue."""
        return await self._done("POST", path_of("queue", queue_type, queue_id) + "pause/", is_safe_twice=True)

    async def resume(self, queue_type: str, queue_id: str) -> bool:
        """Let a paused queue give jobs again; False when there is no such queue."""
        return await self._done(
            "POST", path_of("queue", queue_type, queue_id) + "resume/", is_safe_twice=True
        )

    async def delete_queue(self, queue_type: str, queue_id: str, *, purge_all: bool = False) -> bool:
        """Drop what is queued and delayed; True when there was anything. Leased jobs run out and do not come
        back.

        Sent again only when certainly not done: a second delete would take what was enqueued in between.

        Args:
            purge_all: forget the rate too, once its ready time has passed.
        """
        path = path_of("deletequeue", queue_type, queue_id)
        reply = await self._ask("DELETE", path, _REPLY, {"purge_all": purge_all}, is_safe_twice=False)
        return reply.status == "Success"

    async def queue(self, queue_type: str, queue_id: str) -> QueueStats | None:
        """What the server knows of a queue; None when there is no such queue."""
        try:
            return await self._ask("GET", path_of("queue", queue_type, queue_id), _QUEUE)
        except errors.NotFound:
            return None

    async def job(self, queue_type: str, queue_id: str, job_id: str) -> JobStatus | None:
        """What the server knows of a job; None when it knows nothing."""
        try:
            return await self._ask("GET", path_of("job", queue_type, queue_id, job_id), _JOB)
        except errors.NotFound:
            return None

    async def counts(self) -> Counts:
        """What was enqueued and leased in the last ten minutes, of all types together."""
        return await self._ask("GET", "/metrics/", _COUNTS)

    async def queue_counts(self, queue_type: str, queue_id: str) -> Counts:
        """One queue in the last ten minutes; zeros for an unknown one."""
        return await self._ask("GET", path_of("metrics", queue_type, queue_id), _COUNTS)

    async def queues(self, queue_type: str, *, page: int = 1_000) -> AsyncIterator[str]:
        """Ids of a type's queues with queued, delayed or leased jobs; `page` ids (1 to 10,000) a request."""
        cursor: str | None = None
        while True:
            query = {"limit": page, "cursor": cursor}
            answer = await self._ask("GET", path_of("metrics", queue_type), _IDS, query=query)
            for queue_id in answer.queue_ids:
                yield queue_id
            if (cursor := answer.cursor) is None:
                return

    async def dead(self, queue_type: str, *, page: int = 100) -> AsyncIterator[DeadLetter]:
        """A type's dead letters; `page` of them a request."""
        cursor: str | None = None
        while True:
            query = {"limit": page, "cursor": cursor}
            answer = await self._ask("GET", path_of("dead", queue_type), _DEAD, query=query)
            for letter in answer.jobs:
                yield letter
            if (cursor := answer.cursor) is None:
                return

    async def redrive(self, queue_type: str) -> int:
        """Queue every dead letter of a type again, attempts from 0; returns how many. Repeating takes the
        rest."""
        path = path_of("dead", queue_type) + "redrive/"
        return (await self._ask("POST", path, _REPLY, is_safe_twice=False)).redriven

    async def redrive_many(
        self, queue_type: str, letters: Sequence[DeadLetter | DeadRef]
    ) -> Answers[errors.SharqError | None]:
        """Queue these dead letters again; one answer each, in order, None for done."""
        refs = [DeadRef(letter.queue_id, letter.job_id) for letter in letters]
        path = path_of("dead", queue_type) + "redrive/"
        return _failures(await send_bulk(self._transport, path, refs, is_safe_twice=lambda ref: False))

    async def drop_dead(self, queue_type: str) -> int:
        """Drop every dead letter of a type; returns how many were dropped."""
        path = path_of("dead", queue_type)
        return (await self._ask("DELETE", path, _REPLY, is_safe_twice=False)).dropped

    async def healthz(self) -> bool:
        """True when the server's event loop answers."""
        return await self._answers("/healthz")

    async def readyz(self) -> bool:
        """True when the server may be sent work; False while it starts or drains, or cannot be reached."""
        return await self._answers("/readyz")

    async def _lease_call(self, verb: str, job: Addressed, body: LeaseBody) -> _Reply:
        path = path_of(verb, job.queue_type, job.queue_id, job.job_id)
        return await self._ask("POST", path, _REPLY, body, is_safe_twice=job.lease is not None)

    async def _lease_bulk(self, verb: str, bodies: list[LeaseBody]) -> Answers[errors.SharqError | None]:
        return _failures(
            await send_bulk(
                self._transport, f"/{verb}/", bodies, is_safe_twice=lambda body: body.lease is not None
            )
        )

    async def _done(self, method: str, path: str, body: object = None, *, is_safe_twice: bool) -> bool:
        """False when what the path names does not exist."""
        try:
            await self._ask(method, path, _REPLY, body, is_safe_twice=is_safe_twice)
        except errors.NotFound:
            return False
        return True

    async def _answers(self, path: str) -> bool:
        try:
            await self._transport.send("GET", path, _REPLY)
        except (errors.Unavailable, errors.OutcomeUnknown):
            return False
        return True

    async def _ask(
        self,
        method: str,
        path: str,
        answer: msgspec.json.Decoder[AnswerT],
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        is_safe_twice: bool = True,
    ) -> AnswerT:
        return await self._transport.repeated(
            lambda is_repeat: self._transport.send(method, path, answer, body=body, query=query),
            is_safe_twice=is_safe_twice,
        )


def _ready_to_send(job: EnqueueJob) -> EnqueueJob:
    """The job with an id, so that it can be sent again, and its payload encoded once for all tries."""
    payload = job.payload
    if not isinstance(payload, msgspec.Raw):
        payload = msgspec.Raw(msgspec.json.encode(payload))
    return msgspec.structs.replace(job, job_id=job.job_id or str(uuid.uuid4()), payload=payload)


def _as_repeat(job: EnqueueJob) -> EnqueueJob:
    return msgspec.structs.replace(job, repeat=True)


def _enqueued(job: EnqueueJob, result: Result) -> Enqueued:
    return Enqueued(job.job_id or result.job_id, result.is_duplicate, result.queue_length)


def _lease_body(job: Addressed, by_ms: float | None = None, delay_ms: float = 0) -> LeaseBody:
    return LeaseBody(job.queue_type, job.queue_id, job.job_id, job.lease, by_ms, delay_ms)


def _failures(answers: list[Result | errors.SharqError]) -> Answers[errors.SharqError | None]:
    return Answers(answer if isinstance(answer, errors.SharqError) else None for answer in answers)
