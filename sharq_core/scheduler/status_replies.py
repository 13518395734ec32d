"""Decodes the replies about queues, single jobs and dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Any

from msgspec import structs

from sharq_core.job_changes import (
    CancelOutcome,
    CancelPage,
    CancelStatus,
    ChangedJob,
    ChangeStatus,
    JobPage,
    JobRow,
)
from sharq_core.job_life import DeadLetter, DeadPage, DeadReason, JobError, OnExpiry, RedriveStatus, Retry
from sharq_core.limits import BlockedBy
from sharq_core.models import JobState, JobStatus, QueuePage, QueueStats, QueueStatsPage
from sharq_core.scheduler.keys import shown_id
from sharq_core.scheduler.replies import TopReply, decoder, minute_counts, triples
from sharq_core.top_queues import TopQueue

WITH_ALL = "4"
"""The argument with which get_queue.lua adds the fields of _LIMITS, which a node of revision 3 cannot decode, those of
_LIFE, which a node of revision 4 cannot decode, the window, which a node of revision 5 cannot decode, and the caps,
which a node of revision 9 cannot decode.
"""

WITH_CAPS = "3"
"""The argument with which list_queue_stats.lua adds those of _LIFE, the window and the caps."""

UNKNOWN_WINDOW = [-1]
"""All that follows the head in a reply of set_queue.lua or set_type.lua that names a window which does not exist."""

_QUEUE_ROW = 9
_LIMITS = 7
_LIFE = 6

BLOCKED_BY = (None, *BlockedBy)
"""The reasons by their numbers in blocked_by.lua."""

_SETTINGS = {1: "interval", 2: "max_leased", 4: "weight", 8: "burst", 32: "caps"}
"""The settings by their flags in queue_limits.lua."""

_NO_INTERVAL = 16
"""A flag beside them: the queue has no interval yet."""

_UNKNOWN: list[Any] = [0, 1, 0, 0, 0, 0, 0, -1, -1, 0, 0, -1, 1, 0, 0, 0, *[0] * _LIFE, b"", b""]

_HEAD = Struct(">BIQQIBIiQBIHIBB")
"""job_status.lua's HEAD, a retry policy and a reason."""

_REMEMBERED = Struct(">BIQ")
_ERROR = Struct(">IQ")
_WINDOW = Struct(">BQ")
"""job_status.lua's WINDOW: 1 if the job ignores windows, when it may leave (µs, 0 for None). The name follows."""
_PROGRESS = Struct(">Q")
_JOB = 8
_ROW = 1 + _JOB
_DEAD_ROW = 8

STATES = {
    1: JobState.QUEUED,
    2: JobState.DELAYED,
    3: JobState.LEASED,
    4: JobState.DEAD,
    5: JobState.FINISHED,
    6: JobState.CANCELLED,
    7: JobState.EXPIRED,
}
"""The states by their numbers in job_record.lua and remembered.lua."""

STATE_NUMBERS = {state: number for number, state in STATES.items()}

_FATES: tuple[OnExpiry | None, ...] = (None, *OnExpiry)
_REASONS: tuple[DeadReason | None, ...] = (None, *DeadReason)


def _queue(now_us: int, row: list[Any]) -> QueueStats:
    """Return the statistics in the form of queue_stats.lua; an empty row belongs to an unknown queue."""
    life_at, minutes_at = _QUEUE_ROW + _LIMITS, _QUEUE_ROW + _LIMITS + _LIFE + 2
    numbers, minutes = row[:minutes_at] or _UNKNOWN, triples(row[minutes_at:])
    interval_us, burst, pinned, paused, queued, delayed, leased, next_ready_us, age_us = numbers[:_QUEUE_ROW]
    hundredths, max_leased, held_until_us, weight, dead, blocked_by, settings = numbers[_QUEUE_ROW:life_at]
    *retry, expires_us, on_expiry, window, caps = numbers[life_at:]
    return QueueStats(
        is_known=bool(row),
        interval_us=interval_us,
        burst=(100 * burst + hundredths) / 100 if hundredths else burst,
        is_pinned=bool(pinned),
        is_paused=bool(paused),
        queued=queued,
        delayed=delayed,
        leased=leased,
        next_ready_in_us=next_ready_us if next_ready_us >= 0 else None,
        oldest_age_us=age_us if age_us >= 0 else None,
        enqueue_counts=minute_counts(now_us, minutes, 1),
        dequeue_counts=minute_counts(now_us, minutes, 2),
        max_leased=max_leased or None,
        held_until_us=held_until_us if held_until_us >= 0 else None,
        weight=weight,
        dead=dead,
        blocked_by=BLOCKED_BY[blocked_by] if row else BlockedBy.EMPTY,
        settings=tuple(name for flag, name in _SETTINGS.items() if settings & flag),
        retry=retry_of(*retry),
        expires_us=expires_us or None,
        on_expiry=fate_of(on_expiry),
        window=window.decode() or None,
        caps=cap_names_of(caps),
        has_interval=bool(row) and not settings & _NO_INTERVAL,
    )


def cap_names_of(names: bytes) -> tuple[str, ...]:
    """Return the names of caps that the store keeps as one text (cap_sets.lua); empty for none."""
    return tuple(names.decode().split("\0")) if names else ()


@decoder
def decode_queue(raw: list[Any]) -> QueueStats:
    """Decode the reply of get_queue and set_queue."""
    if raw[4:] == UNKNOWN_WINDOW:
        return structs.replace(_queue(raw[1], []), is_window_unknown=True)
    return _queue(raw[1], raw[4:])


@decoder
def decode_queue_stats_page(raw: list[Any]) -> QueueStatsPage:
    """Decode the reply of list_queue_stats."""
    rows = zip(raw[5::2], raw[6::2], strict=True)
    return QueueStatsPage([(shown_id(queue_id), _queue(raw[1], row)) for queue_id, row in rows], int(raw[4]))


@decoder
def decode_most_dead(raw: list[Any]) -> TopReply:
    """Decode the reply of top_queues in the order of dead letters, which has no other numbers of the queues."""
    rows = zip(raw[6::2], raw[7::2], strict=True)
    queues = [TopQueue(shown_id(queue_id), 0, 0, 0, None, None, None, dead) for queue_id, dead in rows]
    return TopReply(queues, int(raw[4]), int(raw[5]))


@decoder
def decode_queue_page(raw: list[Any]) -> QueuePage:
    """Decode the reply of list_queues."""
    return QueuePage([shown_id(queue_id) for queue_id in raw[5:]], int(raw[4]))


def _error(raw: bytes) -> JobError | None:
    if not raw:
        return None
    attempt, at_us = _ERROR.unpack_from(raw)
    return JobError(raw[_ERROR.size :].decode(errors="replace"), attempt, at_us)


def as_short(number: int) -> int | float:
    """Return a number of hundredths as a whole number if it is one."""
    return number / 100 if number % 100 else number // 100


def retry_of(delay_ms: int, factor: int, max_ms: int, jitter: int) -> Retry | None:
    """Return the retry policy of four numbers, None if the factor is 0 (retry_policy.lua)."""
    return Retry(delay_ms, as_short(factor), max_ms, as_short(jitter)) if factor else None


def fate_of(number: int) -> OnExpiry | None:
    """Return the fate of expired jobs by its number in queue_life.lua, None for 0."""
    return _FATES[number]


def _status(
    head: bytes,
    payload: bytes,
    error: bytes,
    output: bytes,
    batch: bytes,
    window: bytes,
    trace: bytes = b"",
    reason: bytes = b"",
) -> JobStatus:
    """Return the status of a job from the values of job_status.lua.

    Args:
        output: the result of a finished job, the progress of any other; empty for none.
        batch: the id of its batch; empty for none.
        window: job_status.lua's WINDOW; empty if no window holds it back and it has none of its own.
        trace: its trace; empty for none.
        reason: the number of the reason why it waits, and the names of caps; empty for a job that does not wait.
    """
    state = STATES[head[0]]
    if len(head) < _HEAD.size:
        _, attempt, enqueued_us = _REMEMBERED.unpack(head)
        return JobStatus(state, attempt, enqueued_us, result=output or None)
    numbers = _HEAD.unpack(head)
    _, attempt, enqueued_us, due_us, position, priority, cost, limit, expires_us, fate = numbers[:10]
    *retry, death = numbers[10:]
    progress, progress_at_us = _progress(output)
    ignores, opens_us = _WINDOW.unpack_from(window) if window else (0, 0)
    return JobStatus(
        state=state,
        attempt=attempt,
        enqueued_at_us=enqueued_us,
        lease_expires_at_us=due_us if state is JobState.LEASED else None,
        position=position or None,
        payload=payload,
        priority=priority,
        cost=cost,
        retry=retry_of(*retry),
        requeue_limit=limit,
        delayed_until_us=due_us if state is JobState.DELAYED else None,
        expires_at_us=expires_us or None,
        on_expiry=fate_of(fate),
        dead_at_us=due_us if state is JobState.DEAD else None,
        reason=_REASONS[death],
        error=_error(error),
        progress=progress,
        progress_at_us=progress_at_us,
        batch=batch.decode() or None,
        window=window[_WINDOW.size :].decode() or None,
        ignores_window=bool(ignores),
        opens_at_us=opens_us or None,
        trace=trace,
        is_explained=bool(reason),
        blocked_by=BLOCKED_BY[reason[0]] if reason else None,
        caps=cap_names_of(reason[1:]),
    )


def _progress(raw: bytes) -> tuple[bytes | None, int | None]:
    return (raw[_PROGRESS.size :], _PROGRESS.unpack_from(raw)[0]) if raw else (None, None)


@decoder
def decode_job(raw: list[Any]) -> JobStatus | None:
    """Decode the reply of get_job for a caller that knows the life of a job."""
    return _status(*raw[4:]) if len(raw) > 4 else None


@decoder
def decode_job_without_life(raw: list[Any]) -> JobStatus | None:
    """Decode the reply of get_job as nodes of revision 4 read it."""
    if len(raw) == 4:
        return None
    state = STATES[raw[4]]
    return JobStatus(
        state=state,
        attempt=raw[5],
        enqueued_at_us=raw[6],
        lease_expires_at_us=raw[7] if state is JobState.LEASED else None,
        position=raw[8] if state is JobState.QUEUED else None,
        payload=raw[9] if state is not JobState.FINISHED else None,
    )


@decoder
def decode_cancelled(raw: list[Any]) -> list[CancelOutcome]:
    """Decode the reply of cancel."""
    return [CancelOutcome(CancelStatus(raw[at]), STATES.get(raw[at + 1])) for at in range(4, len(raw), 2)]


@decoder
def decode_cancel_page(raw: list[Any]) -> CancelPage:
    """Decode the reply of cancel_matching."""
    return CancelPage(raw[4], ".".join(map(str, raw[5:])))


@decoder
def decode_changed(raw: list[Any]) -> ChangedJob:
    """Decode the reply of change_job."""
    status = ChangeStatus(raw[4])
    return ChangedJob(status, _status(*raw[5:]) if status is ChangeStatus.DONE else None)


@decoder
def decode_job_page(raw: list[Any]) -> JobPage:
    """Decode the reply of list_jobs."""
    jobs = [JobRow(raw[at].decode(), _status(*raw[at + 1 : at + _ROW])) for at in range(6, len(raw), _ROW)]
    first, remaining = (part.decode() if isinstance(part, bytes) else str(part) for part in raw[4:6])
    return JobPage(jobs, f"{first}.{remaining}" if first else "")


@decoder
def decode_dropped(raw: list[Any]) -> list[bool]:
    """Decode the reply of drop_letters."""
    return [bool(is_dropped) for is_dropped in raw[4:]]


@decoder
def decode_redrive(raw: list[Any]) -> list[RedriveStatus]:
    """Decode the reply of redrive."""
    return [RedriveStatus(status) for status in raw[4:]]


@decoder
def decode_dead_page(raw: list[Any]) -> DeadPage:
    """Decode the reply of list_dead."""
    is_more, died_us, field = raw[4:7]
    return DeadPage(list(_dead_letters(raw)), f"{died_us}:{field.decode()}" if is_more else "", int(raw[1]))


def _dead_letters(raw: list[Any]) -> Iterator[DeadLetter]:
    for at in range(7, len(raw), _DEAD_ROW):
        queue_id, job_id, payload, attempt, enqueued_us, died_us, reason, error = raw[at : at + _DEAD_ROW]
        yield DeadLetter(
            shown_id(queue_id),
            job_id.decode(),
            payload,
            attempt,
            enqueued_us,
            died_us,
            DeadReason.EXPIRED if reason[0] == _REASONS.index(DeadReason.EXPIRED) else DeadReason.LIMIT,
            _error(error),
        )
