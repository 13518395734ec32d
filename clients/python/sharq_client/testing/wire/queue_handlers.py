"""Answers the requests about queues and types: rates, settings, pauses, numbers."""

from __future__ import annotations

from msgspec import UNSET, Raw, UnsetType

from sharq_client import errors
from sharq_client.requests import OnExpiry, RetryPolicy
from sharq_client.testing.engine import queue_calls
from sharq_client.testing.engine.engine import Engine
from sharq_client.testing.engine.limits import SharedLimit, TypeChange
from sharq_client.testing.engine.queue_calls import HoldOutcome, QueueChange
from sharq_client.testing.engine.queues import MINUTE_US, Queue
from sharq_client.testing.engine.rates import to_us
from sharq_client.testing.engine.state import TypeState
from sharq_client.testing.wire.answers import Facts, Reply, minute_facts, queue_facts, reply, type_facts
from sharq_client.testing.wire.decoding import (
    burst_of,
    check_exclusive,
    decode,
    duration_us,
    interval_us,
    retry_of,
)
from sharq_client.testing.wire.fields import HOLD_UNTIL_WORDS
from sharq_client.testing.wire.rate_warnings import limit_warning
from sharq_client.testing.wire.requests import Request, refuse
from sharq_client.testing.wire.shapes import (
    DeleteForm,
    HoldForm,
    LimitForm,
    QueueForm,
    RateForm,
    RetryForm,
    TypeForm,
)

_NO_QUEUE = "no such queue"

_CLEARED = TypeChange(limits=None, max_leased=None, hold_us=None, retry=None, expires_us=None, on_expiry=None)

_ROW_FIELDS = (
    "interval", "rate", "burst", "queued", "delayed", "leased", "dead", "max_leased", "blocked_by", "next_ready_in",
    "oldest_age",
)  # fmt: skip
"""The fields of a queue in a list that are those of the queue itself."""


class QueueHandlers:
    """The handlers of requests about queues and types."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def interval(self, request: Request) -> Reply:
        """Change the rate of a queue."""
        form = decode(request.body, RateForm)
        rate_us = interval_us(form.interval, form.rate)
        if rate_us is None:
            raise errors.InvalidRequest("interval: required, or rate instead")
        burst = None if isinstance(form.burst, UnsetType) else burst_of(form.burst)
        pin = None if isinstance(form.pin, UnsetType) else form.pin
        state, queue_id = self._queue(request)
        was_found = queue_calls.set_rate(state, queue_id, rate_us, burst, pin=pin)
        return _done(state, was_found=was_found)

    def queue(self, request: Request) -> Reply:
        """Return the state of a queue."""
        state, queue_id = self._queue(request)
        queue = state.shown_queue(queue_id)
        if queue is None:
            raise errors.NotFound(_NO_QUEUE)
        return reply(queue_facts(state, queue))

    def set_queue(self, request: Request) -> Reply:
        """Change settings of a queue."""
        change = _queue_change(decode(request.body, QueueForm))
        state, queue_id = self._queue(request)
        queue = queue_calls.set_queue(state, queue_id, change)
        state.settle()
        return reply(queue_facts(state, queue))

    def pause(self, request: Request) -> Reply:
        """Pause a queue, or hold it."""
        form = decode(request.body or b"{}", HoldForm)
        state, queue_id = self._queue(request)
        if isinstance(form.for_ms, UnsetType) and isinstance(form.until, UnsetType):
            return _done(state, was_found=queue_calls.pause(state, queue_id, is_paused=True))
        until_us = None if isinstance(form.until, UnsetType) else form.until * 1000
        outcome = queue_calls.hold(state, queue_id, duration_us(form.for_ms), until_us)
        if outcome is HoldOutcome.WRONG_END:
            raise errors.InvalidRequest(f"until: expected {HOLD_UNTIL_WORDS}")
        return _done(state, was_found=outcome is HoldOutcome.DONE)

    def resume(self, request: Request) -> Reply:
        """Resume a queue."""
        state, queue_id = self._queue(request)
        return _done(state, was_found=queue_calls.pause(state, queue_id, is_paused=False))

    def delete(self, request: Request) -> Reply:
        """Drop the waiting jobs of a queue."""
        state, queue_id = self._queue(request)
        purge = decode(request.body or b"{}", DeleteForm).purge_all
        dropped = queue_calls.delete(state, queue_id, purge=purge)
        state.settle()
        return reply({"status": "Success" if dropped else "Failure"})

    def show_type(self, request: Request) -> Reply:
        """Return the state of a gathered type."""
        return reply(type_facts(self._gathered(request)))

    def set_type(self, request: Request) -> Reply:
        """Change settings of a gathered type."""
        change = _type_change(decode(request.body, TypeForm))
        facts = self._change_type(request, change)
        limits = change.limits if isinstance(change.limits, list) else []
        warnings = [text for limit in limits if (text := limit_warning(limit))]
        return reply({**facts, "warning": warnings[0]} if warnings else facts)

    def clear_type(self, request: Request) -> Reply:
        """Clear the settings of a gathered type."""
        return reply(self._change_type(request, _CLEARED))

    def _change_type(self, request: Request, change: TypeChange) -> Facts:
        state = self._gathered(request)
        state.rules.change(change, state.now_us, was_ever_leased=state.lease_number > 0)
        state.settle()
        return type_facts(state)

    def pause_type(self, request: Request) -> Reply:
        """Pause a type."""
        return self._set_type_paused(request, is_paused=True)

    def resume_type(self, request: Request) -> Reply:
        """Resume a type."""
        return self._set_type_paused(request, is_paused=False)

    def _set_type_paused(self, request: Request, *, is_paused: bool) -> Reply:
        state = self._engine.state(request.names[0])
        state.rules.pause(is_paused=is_paused)
        state.settle()
        return reply({})

    def pause_all(self, _: Request) -> Reply:
        """Pause everything."""
        self._engine.pause_all(is_paused=True)
        return reply({})

    def resume_all(self, _: Request) -> Reply:
        """End the pause of everything."""
        self._engine.pause_all(is_paused=False)
        return reply({})

    def queues(self, request: Request) -> Reply:
        """Return the queues of a type with their numbers, all on one page."""
        if request.query.by:
            raise NotImplementedError(
                "sharq_client.testing: ordered lists of queues are not part of the fake"
            )
        state = self._engine.state(request.names[0])
        queues = [queue for queue in _queues(state) if request.query.search in queue.queue_id]
        return reply({"queues": [_row(state, queue) for queue in queues], "cursor": None})

    def types(self, _: Request) -> Reply:
        """Return all types with their numbers."""
        rows = [_type_row(self._engine.state(name)) for name in sorted(self._engine.types)]
        return reply(
            {
                "types": [row for row in rows if any(row[name] for name in row if name != "queue_type")],
                "cursor": None,
            }
        )

    def queue_ids(self, request: Request) -> Reply:
        """Return the ids of the queues of a type that have queued, delayed or leased jobs."""
        state = self._engine.state(request.names[0])
        return reply(
            {"queue_ids": [queue.queue_id for queue in _queues(state) if queue.length or queue.leased]}
        )

    def counts(self, _: Request) -> Reply:
        """Return the counts of all types."""
        states = [self._engine.state(name) for name in sorted(self._engine.types)]
        sums: dict[int, list[int]] = {}
        for state in states:
            for minute, (enqueued, leased) in state.minutes.items():
                row = sums.setdefault(minute, [0, 0])
                row[0] += enqueued
                row[1] += leased
        names = [state.queue_type for state in states if state.jobs]
        return reply({"queue_types": names, **minute_facts(sums, self._engine.now_us)})

    def queue_counts(self, request: Request) -> Reply:
        """Return the counts of one queue."""
        state, queue_id = self._queue(request)
        queue = state.queue(queue_id) or Queue(queue_id)
        return reply({"queue_length": queue.length, **minute_facts(queue.minutes, state.now_us)})

    def _queue(self, request: Request) -> tuple[TypeState, str]:
        queue_type, queue_id = request.names
        return self._engine.state(queue_type), queue_id

    def _gathered(self, request: Request) -> TypeState:
        queue_type = request.names[0]
        if "~" not in queue_type:
            raise errors.InvalidRequest(
                f"queue_type: expected a gathered type, with one ~ in its name. The queues of {queue_type} are spread "
                f"over the partitions, so they cannot share a limit. Name the type {queue_type}~all, or such as "
                f"{queue_type}~carrier for those of one carrier"
            )
        return self._engine.state(queue_type)


def _queues(state: TypeState) -> list[Queue]:
    names = {*state.queues, *(queue_id for queue_id, _ in state.letters)}
    return [queue for name in sorted(names) if (queue := state.shown_queue(name)) is not None]


def _row(state: TypeState, queue: Queue) -> Facts:
    facts = queue_facts(state, queue)
    delivered = queue.minutes.get(state.now_us // MINUTE_US - 1, [0, 0])[1]
    promised = None
    if queue.interval_us:
        promised = min(MINUTE_US // queue.interval_us, delivered + len(queue.waiting))
    row = {name: facts[name] for name in _ROW_FIELDS}
    return {"queue_id": queue.queue_id, **row, "delivered": delivered, "promised": promised}


def _type_row(state: TypeState) -> Facts:
    facts = type_facts(state)
    enqueued, delivered = state.minutes.get(state.now_us // MINUTE_US - 1, [0, 0])
    row = {name: facts[name] for name in ("queued", "delayed", "leased", "dead", "blocked_by")}
    return {"queue_type": state.queue_type, **row, "enqueued": enqueued, "delivered": delivered}


def _done(state: TypeState, *, was_found: bool) -> Reply:
    state.settle()
    if not was_found:
        raise errors.NotFound(_NO_QUEUE)
    return reply({})


def _queue_change(form: QueueForm) -> QueueChange:
    if not isinstance(form.window, UnsetType):
        refuse("windows")
    if form.caps is not UNSET:
        refuse("caps")
    return QueueChange(
        interval_us=_interval_setting(form),
        burst=burst_of(form.burst) if isinstance(form.burst, int | float) else form.burst,
        pin=form.pin,
        max_leased=form.max_leased,
        weight=form.weight,
        hold_us=_us(form.hold),
        retry=_retry(form.retry),
        expires_us=_us(form.expires),
        on_expiry=_fate(form.on_expiry),
    )


def _interval_setting(form: QueueForm) -> int | UnsetType | None:
    check_exclusive(form.rate, form.interval, ("rate", "interval"))
    if form.interval is None or form.rate is None:
        return None
    found_us = interval_us(form.interval, form.rate)
    return UNSET if found_us is None else found_us


def _type_change(form: TypeForm) -> TypeChange:
    if not isinstance(form.window, UnsetType):
        refuse("windows")
    if not isinstance(form.quotas, UnsetType):
        refuse("quotas")
    limits = form.limits
    return TypeChange(
        limits=[_limit(text, f"limits[{index}]") for index, text in enumerate(limits)]
        if isinstance(limits, list)
        else limits,
        max_leased=form.max_leased,
        hold_us=_us(form.hold),
        retry=_retry(form.retry),
        expires_us=_us(form.expires),
        on_expiry=_fate(form.on_expiry),
    )


def _limit(text: Raw, place: str) -> SharedLimit:
    form = decode(text, LimitForm, place)
    found_us = interval_us(form.interval, form.rate, f"{place}.")
    if found_us is None:
        raise errors.InvalidRequest(f"{place}.rate: required, or interval instead")
    return SharedLimit(form.unit, found_us, burst_of(form.burst, f"{place}."))


def _us(duration_ms: float | UnsetType | None) -> int | UnsetType | None:
    return to_us(duration_ms) if isinstance(duration_ms, int | float) else duration_ms


def _retry(form: RetryForm | UnsetType | None) -> RetryPolicy | UnsetType | None:
    return retry_of(form) if isinstance(form, RetryForm) else form


def _fate(fate: str | UnsetType | None) -> OnExpiry | UnsetType | None:
    return OnExpiry(fate) if isinstance(fate, str) else fate
