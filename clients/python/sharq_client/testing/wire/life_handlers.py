"""Answers the requests about the state of jobs, their changes and ends, dead letters and batches."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from sharq_client import errors
from sharq_client.answers import JobState
from sharq_client.testing.engine import job_calls
from sharq_client.testing.engine.engine import Engine
from sharq_client.testing.engine.job_calls import CallOutcome, Change
from sharq_client.testing.engine.rates import to_us
from sharq_client.testing.engine.records import Batch, Letter
from sharq_client.testing.engine.state import JobKey, TypeState
from sharq_client.testing.wire.answers import (
    Facts,
    Reply,
    batch_facts,
    bulk_reply,
    failure,
    job_facts,
    letter_facts,
    live_facts,
    reply,
)
from sharq_client.testing.wire.decoding import (
    MAX_PAYLOAD_BYTES,
    check_exclusive,
    decode,
    decode_jobs,
    early_expiry,
    json_text,
    queue_cap,
)
from sharq_client.testing.wire.requests import Request
from sharq_client.testing.wire.shapes import CancelForm, ChangeForm, DeadRefForm, PrefixForm

_NO_JOB = "job_id: no such job in this queue"
_NO_LETTER = "job_id: no such dead letter in this queue"
_ENDED = frozenset([JobState.FINISHED, JobState.DEAD, JobState.CANCELLED, JobState.EXPIRED])


class LifeHandlers:
    """The handlers of requests about single jobs, dead letters and batches."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def job(self, request: Request) -> Reply:
        """Return the state of a job."""
        state, key = self._job(request)
        facts = job_facts(state, key)
        if facts is None:
            raise errors.NotFound(_NO_JOB)
        return reply(facts, may_wait=facts["state"] not in _ENDED)

    def list_jobs(self, request: Request) -> Reply:
        """Return a page of the jobs of a queue in one state; the cursor is the number of jobs before it."""
        queue_type, queue_id = request.names
        query, state = request.query, self._engine.state(queue_type)
        queue = state.queue(queue_id)
        rows = []
        if queue is not None:
            kinds = {
                "queued": queue.waiting,
                "delayed": queue.delayed.values(),
                "leased": queue.leased.values(),
            }
            jobs = [job for job in kinds[query.state] if job.job_id.startswith(query.prefix)]
            if query.state != "queued":
                jobs.sort(key=lambda job: job.seq)
            rows = [{**live_facts(state, job, is_listed=True), "job_id": job.job_id} for job in jobs]
        return _page("jobs", rows, request)

    def cancel(self, request: Request) -> Reply:
        """Cancel one job."""
        state, key = self._job(request)
        return reply(_cancel(state, key, force=request.query.force))

    def cancel_many(self, request: Request) -> Reply:
        """Cancel jobs, each with a result of its own."""
        forms = decode_jobs(request.body, CancelForm, lambda form, _: form)
        if forms is None:
            raise errors.InvalidRequest("jobs: required")
        return bulk_reply([self._cancel_entry(form) for form in forms])

    def _cancel_entry(self, form: CancelForm | errors.SharqError) -> Facts:
        if isinstance(form, errors.SharqError):
            return failure(form)
        try:
            state = self._engine.state(form.queue_type)
            return _cancel(state, (form.queue_id, form.job_id), force=form.force)
        except errors.SharqError as error:
            return failure(error)

    def cancel_matching(self, request: Request) -> Reply:
        """Cancel the waiting jobs of a queue whose ids begin with a prefix."""
        queue_type, queue_id = request.names
        prefix = decode(request.body or b"{}", PrefixForm).prefix
        state = self._engine.state(queue_type)
        cancelled = job_calls.cancel_matching(state, queue_id, prefix)
        return reply({"cancelled": cancelled})

    def change(self, request: Request) -> Reply:
        """Change a waiting job."""
        state, key = self._job(request)
        wanted = _change(request.body)
        outcome = job_calls.change(state, key, wanted)
        if outcome is CallOutcome.NOT_WAITING:
            raise errors.NotWaiting(
                "job_id: this job is leased, finished, dead, cancelled or expired; only one that waits can be changed"
            )
        if outcome is CallOutcome.EXPIRES_EARLY:
            raise _changed_early(wanted)
        if outcome is CallOutcome.NOT_FOUND:
            raise errors.NotFound(_NO_JOB)
        return reply(live_facts(state, state.jobs[key]))

    def dead(self, request: Request) -> Reply:
        """Return a page of the dead letters of a type, oldest first; the cursor is the number of letters before it."""
        letters = self._letters(self._engine.state(request.names[0]))
        queue_id = request.query.queue_id
        rows = [
            letter_facts(letter)
            for letter in letters
            if isinstance(queue_id, UnsetType) or letter.job.queue_id == queue_id
        ]
        return _page("jobs", rows, request)

    @staticmethod
    def _letters(state: TypeState) -> list[Letter]:
        kept = [letter for key in list(state.letters) if (letter := state.letter(key)) is not None]
        return sorted(kept, key=lambda letter: (letter.died_us, ":".join(letter.job.key)))

    def redrive(self, request: Request) -> Reply:
        """Queue dead letters again: those that the body names, or all."""
        state = self._engine.state(request.names[0])
        forms = decode_jobs(request.body, DeadRefForm, lambda form, _: form)
        if forms is None:
            outcomes = [job_calls.redrive(state, letter.job.key) for letter in self._letters(state)]
            return reply({"redriven": outcomes.count(CallOutcome.DONE)})
        return bulk_reply([_redrive_entry(state, form) for form in forms])

    def redrive_one(self, request: Request) -> Reply:
        """Queue one dead letter again."""
        _redrive(*self._job(request))
        return reply({})

    def drop_letter(self, request: Request) -> Reply:
        """Drop one dead letter."""
        state, key = self._job(request)
        if state.letter(key) is None:
            raise errors.NotFound(_NO_LETTER)
        state.drop_letter(key)
        return reply({})

    def drop_letters(self, request: Request) -> Reply:
        """Drop the dead letters that the body names."""
        state = self._engine.state(request.names[0])
        forms = decode_jobs(request.body, DeadRefForm, lambda form, _: form) or ()
        dropped = 0
        for form in forms:
            if isinstance(form, errors.SharqError):
                raise form
        for form in forms:
            if isinstance(form, DeadRefForm) and state.letter((form.queue_id, form.job_id)) is not None:
                state.drop_letter((form.queue_id, form.job_id))
                dropped += 1
        return reply({"dropped": dropped})

    def drop_dead(self, request: Request) -> Reply:
        """Drop all dead letters of a type."""
        state = self._engine.state(request.names[0])
        letters = self._letters(state)
        for letter in letters:
            state.drop_letter(letter.job.key)
        return reply({"dropped": len(letters)})

    def batch(self, request: Request) -> Reply:
        """Return the numbers of a batch."""
        return reply(batch_facts(*self._batch(request)))

    def cancel_batch(self, request: Request) -> Reply:
        """Cancel a batch and its waiting jobs."""
        state, batch = self._batch(request)
        cancelled = job_calls.cancel_batch(state, batch)
        return reply({"cancelled": cancelled})

    def _batch(self, request: Request) -> tuple[TypeState, Batch]:
        queue_type, name = request.names
        state = self._engine.state(queue_type)
        batch = state.batch(name)
        if batch is None:
            raise errors.NotFound("batch: no job of this type has this batch, or it ended too long ago")
        return state, batch

    def _job(self, request: Request) -> tuple[TypeState, JobKey]:
        queue_type, queue_id, job_id = request.names
        return self._engine.state(queue_type), (queue_id, job_id)


def _cancel(state: TypeState, key: JobKey, *, force: bool) -> Facts:
    outcome, was = job_calls.cancel(state, key, force=force)
    if outcome is CallOutcome.LEASED:
        raise errors.Leased("job_id: a worker holds this job; with force it is cancelled all the same")
    if outcome is CallOutcome.NOT_FOUND:
        raise errors.NotFound(f"{_NO_JOB}, or it is finished or expired")
    return {"status": "success", "was": was}


def _redrive(state: TypeState, key: JobKey) -> Facts:
    outcome = job_calls.redrive(state, key)
    if outcome is CallOutcome.NOT_FOUND:
        raise errors.NotFound(_NO_LETTER)
    if outcome is CallOutcome.DUPLICATE:
        raise errors.Duplicate("job_id: another live job of this queue has this id")
    if outcome is CallOutcome.BATCH_CANCELLED:
        raise errors.BatchCancelled("job_id: the batch of this dead letter is cancelled")
    return {"status": "queued", "job_id": key[1]}


def _redrive_entry(state: TypeState, form: DeadRefForm | errors.SharqError) -> Facts:
    if isinstance(form, errors.SharqError):
        return failure(form)
    try:
        return _redrive(state, (form.queue_id, form.job_id))
    except errors.SharqError as error:
        return failure(error)


def _change(body: bytes) -> Change:
    form = decode(body, ChangeForm)
    check_exclusive(form.at, form.delay, ("at", "delay"))
    check_exclusive(form.expires_at, form.expires, ("expires_at", "expires"))
    payload = json_text(form.payload, MAX_PAYLOAD_BYTES, "payload")
    if payload is not None:
        queue_cap(UNSET, payload, "")
    return Change(
        payload=UNSET if payload is None else payload,
        delay_us=form.delay if isinstance(form.delay, UnsetType) else to_us(form.delay),
        at_us=form.at if isinstance(form.at, UnsetType) else form.at * 1000,
        priority=form.priority,
        cost=form.cost,
        expires_us=to_us(form.expires) if isinstance(form.expires, int | float) else form.expires,
        expires_at_us=form.expires_at * 1000 if isinstance(form.expires_at, int) else form.expires_at,
    )


def _changed_early(wanted: Change) -> errors.InvalidRequest:
    """Return the error of a change after which the job would expire before it is due."""
    if wanted.expires_us is not UNSET or wanted.expires_at_us is not UNSET:
        return early_expiry(is_absolute=wanted.expires_at_us is not UNSET)
    if wanted.at_us is not UNSET:
        return errors.InvalidRequest("at: expected a time before the job expires")
    return errors.InvalidRequest("delay: expected a duration that ends before the job expires")


def _page(name: str, rows: list[Facts], request: Request) -> Reply:
    """Return a page of a list. The cursor is the number of rows before the next one."""
    start, limit = int(request.query.cursor or 0), request.query.limit
    end = start + limit
    return reply({name: rows[start:end], "cursor": str(end) if end < len(rows) else None})
