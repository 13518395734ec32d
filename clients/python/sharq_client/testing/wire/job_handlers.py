"""Answers the requests that enqueue jobs, lease them, and end their leases."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec import UNSET, UnsetType

from sharq_client import errors
from sharq_client.answers import LeasedJob
from sharq_client.requests import OnExpiry
from sharq_client.testing.engine import dequeues, leases
from sharq_client.testing.engine.dequeues import EnqueueOutcome
from sharq_client.testing.engine.engine import Engine
from sharq_client.testing.engine.leases import LeaseOutcome
from sharq_client.testing.engine.rates import to_us
from sharq_client.testing.engine.records import JobReport, NewJob
from sharq_client.testing.engine.state import JobKey
from sharq_client.testing.wire.answers import Facts, Reply, bulk_reply, failure, leased_job, reply
from sharq_client.testing.wire.decoding import (
    MAX_PAYLOAD_BYTES,
    burst_of,
    check_exclusive,
    decode,
    decode_jobs,
    duration_us,
    early_expiry,
    interval_us,
    json_text,
    queue_cap,
    retry_of,
)
from sharq_client.testing.wire.rate_warnings import queue_warning
from sharq_client.testing.wire.requests import Request, refuse
from sharq_client.testing.wire.shapes import EnqueueForm, ExtendForm, LeaseForm
from sharq_client.testing.wire.traces import trace_of

MAX_RESULT_BYTES = 16_384
MAX_PROGRESS_BYTES = 1_024
MAX_ERROR_BYTES = 2_048

JobT = TypeVar("JobT")


class JobHandlers:
    """The handlers of requests about jobs.

    Attributes:
        on_leased: called for each job that is leased.
    """

    def __init__(self, engine: Engine, on_leased: Callable[[LeasedJob], None]) -> None:
        self._engine = engine
        self.on_leased = on_leased

    def enqueue(self, request: Request) -> Reply:
        """Enqueue one job."""
        queue_type, queue_id = request.names
        form = decode(request.body, EnqueueForm)
        new = self._new_job(form, queue_id, "")
        facts = self._enqueue(queue_type, new, "")
        warning = queue_warning(new.interval_us, new.burst)
        return reply(facts if warning is None else {**facts, "warning": warning}, 201)

    def enqueue_many(self, request: Request) -> Reply:
        """Enqueue jobs, each with a result of its own."""

        def make(form: EnqueueForm, place: str) -> tuple[str, NewJob, str]:
            return form.queue_type, self._new_job(form, form.queue_id, place), place

        return self._bulk(decode_jobs(request.body, EnqueueForm, make), self._enqueue)

    def _new_job(self, form: EnqueueForm, queue_id: str, place: str) -> NewJob:
        if not isinstance(form.window, UnsetType) or form.ignore_window:
            refuse("windows")
        if form.caps is not UNSET:
            refuse("caps")
        payload = json_text(form.payload, MAX_PAYLOAD_BYTES, f"{place}payload") or b""
        rate_us = interval_us(form.interval, form.rate, place)
        burst = None if isinstance(form.burst, UnsetType) else burst_of(form.burst, place)
        cap = queue_cap(form.max_queued_length, payload, place)
        check_exclusive(form.at, form.delay, ("at", "delay"), place)
        check_exclusive(form.expires_at, form.expires, ("expires_at", "expires"), place)
        return NewJob(
            queue_id=queue_id,
            job_id=form.job_id,
            payload=payload,
            requeue_limit=form.requeue_limit,
            interval_us=rate_us,
            burst=burst,
            delay_us=duration_us(form.delay) or 0,
            max_queued_length=cap,
            repeat=form.repeat,
            cost=form.cost,
            max_leased=None if isinstance(form.max_leased, UnsetType) else form.max_leased,
            priority=form.priority,
            at_us=None if isinstance(form.at, UnsetType) else form.at * 1000,
            expires_us=duration_us(form.expires),
            expires_at_us=None if isinstance(form.expires_at, UnsetType) else form.expires_at * 1000,
            on_expiry=None if isinstance(form.on_expiry, UnsetType) else OnExpiry(form.on_expiry),
            retry=None if isinstance(form.retry, UnsetType) else retry_of(form.retry, place),
            batch=None if isinstance(form.batch, UnsetType) else form.batch,
            trace=trace_of(form.traceparent, form.tracestate, place),
        )

    def _enqueue(self, queue_type: str, new: NewJob, place: str) -> Facts:
        state = self._engine.state(queue_type)
        outcome, length = dequeues.enqueue(state, new)
        if outcome is EnqueueOutcome.FULL:
            raise errors.QueueFull(length)
        if outcome is EnqueueOutcome.NO_INTERVAL:
            raise errors.InvalidRequest(
                f"{place}interval: required (or rate, such as 40/s), as this queue has none"
            )
        if outcome is EnqueueOutcome.EXPIRES_EARLY:
            raise early_expiry(is_absolute=new.expires_at_us is not None, place=place)
        if outcome is EnqueueOutcome.BATCH_CANCELLED:
            raise errors.BatchCancelled(f"{place}batch: this batch is cancelled")
        facts: Facts = {"status": "queued", "job_id": new.job_id}
        if outcome is EnqueueOutcome.DUPLICATE:
            facts["duplicate"] = True
        if new.max_queued_length is not None:
            facts["current_queue_length"] = length
        return facts

    def dequeue(self, request: Request) -> Reply:
        """Lease ready jobs of some types."""
        query, chance = request.query, self._engine.chance
        lease_us = to_us(query.lease)
        jobs: list[LeasedJob] = []
        states = [self._engine.state(name) for name in request.queue_types]
        # The type whose job has been due longest comes first.
        states.sort(key=lambda state: min((queue.place_us or 0 for queue in state.line()), default=0))
        states.sort(key=lambda state: not state.line())
        for state in states:
            leased = dequeues.dequeue(state, query.count - len(jobs), lease_us, chance)
            jobs += [leased_job(state, job, queue_length) for job, queue_length in leased]
        for job in jobs:
            self.on_leased(job)
        return reply({"jobs": jobs}) if jobs else reply({"status": "failure"}, 404, may_wait=True)

    def finish(self, request: Request) -> Reply:
        """Finish one job."""
        queue_type, *key = request.names
        form = decode(request.body or b"{}", LeaseForm)
        return reply(self._finish(queue_type, self._lease(form, queue_type, (key[0], key[1]))))

    def finish_many(self, request: Request) -> Reply:
        """Finish jobs, each with a result of its own."""
        jobs = decode_jobs(request.body, LeaseForm, self._lease_of)
        return self._bulk(jobs, lambda queue_type, lease, _: self._finish(queue_type, lease))

    def release(self, request: Request) -> Reply:
        """Release one job."""
        queue_type, *key = request.names
        form = decode(request.body or b"{}", LeaseForm)
        return reply(self._release(queue_type, self._lease(form, queue_type, (key[0], key[1]))))

    def release_many(self, request: Request) -> Reply:
        """Release jobs, each with a result of its own."""
        return self._bulk(decode_jobs(request.body, LeaseForm, self._lease_of), self._release)

    def extend(self, request: Request) -> Reply:
        """Extend one lease."""
        queue_type, *key = request.names
        form = decode(request.body, ExtendForm)
        return reply(self._extend(queue_type, ((key[0], key[1]), form), ""))

    def extend_many(self, request: Request) -> Reply:
        """Extend leases, each with a result of its own."""

        def make(form: ExtendForm, place: str) -> tuple[str, tuple[JobKey, ExtendForm], str]:
            return form.queue_type, ((form.queue_id, form.job_id), form), place

        return self._bulk(decode_jobs(request.body, ExtendForm, make), self._extend)

    def _lease_of(self, form: LeaseForm, place: str) -> tuple[str, tuple[JobKey, str | None, JobReport], str]:
        key = form.queue_id, form.job_id
        return form.queue_type, self._lease(form, form.queue_type, key, place), place

    def _lease(
        self, form: LeaseForm, queue_type: str, key: JobKey, place: str = ""
    ) -> tuple[JobKey, str | None, JobReport]:
        if form.hold_type and "~" not in queue_type:
            raise errors.InvalidRequest(
                f"{place}hold_type: expected no hold_type, because the queue type has no ~ in its name and so no "
                "limits of its own; use hold"
            )
        no_delay = isinstance(form.delay, UnsetType)
        report = JobReport(
            cost=None if isinstance(form.cost, UnsetType) else form.cost,
            hold_us=to_us(form.hold),
            hold_type_us=to_us(form.hold_type),
            result=json_text(form.result, MAX_RESULT_BYTES, f"{place}result"),
            delay_us=duration_us(form.delay) or 0,
            counts=form.count,
            error=form.error.encode()[:MAX_ERROR_BYTES].decode(errors="ignore"),
            prefers_retry=no_delay if isinstance(form.prefer_retry, UnsetType) else form.prefer_retry,
        )
        return key, None if isinstance(form.lease, UnsetType) else form.lease, report

    def _finish(self, queue_type: str, lease: tuple[JobKey, str | None, JobReport]) -> Facts:
        key, token, report = lease
        state = self._engine.state(queue_type)
        outcome = leases.finish(state, key, token, report)
        _check(outcome)
        if report.result is None:
            return {"status": "success"}
        # A repeated finish keeps nothing; it tells whether the first one brought a result.
        return {"status": "success", "result_kept": state.tombstones[key].job.result is not None}

    def _release(
        self, queue_type: str, lease: tuple[JobKey, str | None, JobReport], place: str = ""
    ) -> Facts:
        key, token, report = lease
        if token is None:
            raise errors.InvalidRequest(
                f"{place}lease: required{'' if place else ', in the body or the query'}"
            )
        state = self._engine.state(queue_type)
        outcome = leases.release(state, key, token, report)
        _check(outcome)
        return {"status": "success"}

    def _extend(self, queue_type: str, lease: tuple[JobKey, ExtendForm], place: str) -> Facts:
        key, form = lease
        if isinstance(form.lease, UnsetType):
            raise errors.InvalidRequest(
                f"{place}lease: required{'' if place else ', in the body or the query'}"
            )
        progress = json_text(form.progress, MAX_PROGRESS_BYTES, f"{place}progress")
        state = self._engine.state(queue_type)
        outcome = leases.extend(state, key, form.lease, to_us(form.by), progress)
        _check(outcome)
        return {"status": "success", "lease_expires_at": state.jobs[key].due_us // 1000}

    def _bulk(
        self,
        jobs: list[tuple[str, JobT, str] | errors.SharqError] | None,
        call: Callable[[str, JobT, str], Facts],
    ) -> Reply:
        """Answer a bulk call about jobs: type, job and the path of its fields for each."""
        if jobs is None:
            raise errors.InvalidRequest("jobs: required")
        return bulk_reply([_result(job, call) for job in jobs])


def _result(job: tuple[str, JobT, str] | errors.SharqError, call: Callable[[str, JobT, str], Facts]) -> Facts:
    if isinstance(job, errors.SharqError):
        return failure(job)
    try:
        return call(*job)
    except errors.SharqError as error:
        return failure(error)


def _check(outcome: LeaseOutcome) -> None:
    if outcome is LeaseOutcome.NOT_FOUND:
        raise errors.NotFound("this job has no such lease")
    if outcome is LeaseOutcome.LOST:
        raise errors.LeaseLost("lease: another lease of this job exists, or it is finished, dead or deleted")
