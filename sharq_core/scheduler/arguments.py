"""Makes calls, and packs the fields of their jobs: identifiers, lease tokens and the headers that the Lua unpacks."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from msgspec import UNSET

from sharq_core.job_changes import CancelJob, JobChange
from sharq_core.job_life import PRIORITY, DeadRef, OnExpiry, Retry
from sharq_core.limits import Burst, QueueSettings
from sharq_core.models import ExtendJob, FinishJob, NewJob, ReleaseJob
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.keys import COLON, Keys, stored_id
from sharq_core.scheduler.library import Function
from sharq_core.scheduler.replies import Reply
from sharq_core.store.commands import FcallCommand, KeyList, Word

T = TypeVar("T")

_OWN_TIME, _UNIT_US, _MOST_SECONDS = 1 << 52, 64, 63
"""clock.lua's OWN_TIME and UNIT_US: how a deadline in the partition's time is written."""

TERMS = struct.Struct(">QQQ")
"""unit.lua's TERMS: not_after_us, and how long finished jobs and dead letters are remembered (µs)."""

DEMAND = struct.Struct(">QHHQI8sB")
"""rounds.lua's DEMAND: not_after_us, count, jobs per queue, lease (µs), payload bytes, random bytes, KNOWS_CAPS."""

MOST_TIME = struct.Struct(">I")
"""rounds.lua's MOST_TIME, which may follow the demand of a dequeue and the slots of one of queues with caps."""

KNOWS_CAPS = 15
"""Says that the caller can decode the cost, the priority, the expiry and the trace of a leased job, the number of jobs
that expired, and the news of parked queues. The bit 1 alone is that of callers that know the cost only, 3 that of
callers without traces, 7 that of callers that do not know caps.
"""

SLOTS = struct.Struct(">Iq")
"""dequeue_capped.lua's SLOTS: most cost of a job, and the number of changes of the partition's time (-1 for any)."""

ASKS_ABOUT_PERMITS = "3"
"""Says in a reap that the caller can decode the number of jobs that expired, and asks about ended batches and about the
permits of leases that ended. "2" is that of callers that do not know permits, "1" that of callers that do not ask.
"""

IS_RENEWED = 4
"""Says in the byte after the terms of an extend that the permits of the leases were renewed."""

RENEWED = struct.Struct(">Bq")
"""The bytes after the terms of such an extend: that byte, and the number of changes of the partition's time."""

KNOWS_EXPIRED = 2
"""Says in the flags of a job of an enqueue or a release that the caller can decode the number of jobs that expired."""

HAS_REPORTS = b"\x02"
"""Follows the terms of a finish, an extend or a release whose last arguments are reports, one for each job.

It also says that the caller can decode corrections of jobs whose queues have caps. b"\x01" is that of callers that do
not know caps.
"""

TELLS_REASON = "4"
"""Says that the caller can decode the progress, the result and the trace of a job, and the reason why it waits. "3" is
that of callers that do not know the reason, "2" that of callers without traces, "1" that of callers that know none of
them.
"""

_ENQUEUE_HEADER = struct.Struct(">qiQiqB")
_ENQUEUE_LIMITS = struct.Struct(">BII")
"""enqueue_job.lua's LIMITS: hundredths of the burst, cost, max_leased (0 for None)."""
_ENQUEUE_LIFE = struct.Struct(">BQBQB")
"""enqueue_job.lua's LIFE: priority, at_us (0 for None), 0 never 1 after 2 at, when it expires (µs), on_expiry."""

_IGNORES_WINDOW, _HAS_CAPS = 1, 2
"""enqueue_job.lua's flags of a job that ignores windows and of one that names caps, the first byte of its CAMPAIGN."""

_TRACED = 4
"""enqueue_job.lua's flag of a job with a trace, which ends the header, with its length (_TRACE_LENGTH) behind it."""
_TRACE_LENGTH = struct.Struct(">H")

_RETRY = struct.Struct(">IHIB")
"""retry_policy.lua's FORMAT: delay (ms), factor (hundredths, 0 for no policy), max (ms), jitter (hundredths)."""
_NO_RETRY = bytes(_RETRY.size)

_REPORT = struct.Struct(">iQQB")
"""reports.lua's FORMAT: actual cost (-1 for None), hold (µs), hold of the type (µs), 1 if the attempt counts. The error
of a release follows.
"""

_CHANGE = struct.Struct(">BQQBIBQ")
"""change_job.lua's CHANGE: which fields are given, delay (µs), at_us (0 for the delay), priority, cost, 0 never 1 after
2 at, when it expires (µs).
"""
_PAYLOAD, _DUE, _PRIORITY, _COST, _EXPIRY = 1, 2, 4, 8, 16

_AnyJob: TypeAlias = NewJob | FinishJob | ExtendJob | ReleaseJob | DeadRef | CancelJob


def make_call(
    keys: Keys,
    function: Function,
    partition: int,
    queue_type: str,
    now_us: int | None,
    arguments: list[Word],
    decode: Callable[[list[Any]], Reply[T]],
    jobs: int = 1,
    size: int = 0,
    key_list: KeyList | None = None,
) -> FunctionCall[T]:
    """Return the call of a function for a type in a partition, at `now_us` (None: the store's clock).

    Args:
        key_list: the keys of the call; None for those that the function names, of the type in the partition.
    """
    now: int | str = "" if now_us is None else now_us
    if key_list is None:
        key_list = keys.of(partition, queue_type, function.keys)
    name = function.wire_name
    command = FcallCommand(name, (key_list,), [now, queue_type, *arguments], ((name, key_list.names[0]),))
    return FunctionCall(partition, function, command, decode, jobs, size)


def own_deadline(now_us: int, remaining_us: int) -> int:
    """Return the `not_after_us` of a call in the partition's time; one that is not made here is by the store's clock.

    Args:
        now_us: the partition's time now.
        remaining_us: the time that the call has left.
    """
    latest_us, seconds = now_us + remaining_us, -(-remaining_us // 1_000_000)
    return _OWN_TIME + latest_us - latest_us % _UNIT_US + min(max(seconds, 0), _MOST_SECONDS)


def token(lease: str | None) -> bytes:
    """Return a lease token as the store keeps it (16 bytes), empty for None.

    Malformed input becomes a token that no job can have.
    """
    if lease is None:
        return b""
    try:
        decoded = bytes.fromhex(lease)
    except ValueError:
        decoded = b""
    return decoded if len(decoded) == 16 else b"\xff" * 16


def field(queue_id: str, job_id: str) -> str:
    """Return the field of a job in the store's hashes. Its first colon ends the queue id; more may follow."""
    return f"{stored_id(queue_id)}:{job_id}"


def names(jobs: Sequence[_AnyJob]) -> list[str]:
    """Return the queue ids of the jobs, then their fields, so that the store reads each group with one command."""
    # Without the price of a call for each job, most of which have no colon.
    ids = [stored_id(queue_id) if COLON in (queue_id := job.queue_id) else queue_id for job in jobs]
    return ids + [f"{queue_id}:{job.job_id}" for queue_id, job in zip(ids, jobs, strict=True)]


def enqueue_header(job: NewJob) -> bytes:
    """Return the settings of a new job as enqueue_job.lua unpacks them; -1 stands for None, except for burst (0).

    Limits that few jobs have follow only if the job has one of them.
    """
    burst, hundredths = (0, 0) if job.burst is None else burst_parts(job.burst)
    header = _ENQUEUE_HEADER.pack(
        -1 if job.interval_us is None else job.interval_us,
        burst,
        job.delay_us,
        job.requeue_limit,
        -1 if job.max_queued_length is None else job.max_queued_length,
        job.repeat | (KNOWS_EXPIRED | _TRACED if job.trace else KNOWS_EXPIRED),
    )
    says_nothing_of_its_life = (
        job.retry is None
        and job.priority == PRIORITY
        and job.at_us is None
        and job.expires_us is None
        and job.expires_at_us is None
        and job.on_expiry is None
    )
    is_campaign = (
        job.window is not None
        or job.batch is not None
        or job.ignores_window
        or job.trace
        or job.caps is not None
    )
    campaign = _campaign(job) if is_campaign else b""
    says_nothing_of_its_life = says_nothing_of_its_life and not is_campaign
    if says_nothing_of_its_life and not hundredths and job.cost == 1 and job.max_leased is None:
        return header
    limits = _ENQUEUE_LIMITS.pack(hundredths, job.cost, job.max_leased or 0)
    return header + limits + (b"" if says_nothing_of_its_life else _life(job) + campaign)


def _life(job: NewJob) -> bytes:
    """Return the packed life of a new job: priority, due time and expiry."""
    expiry_kind, when_us = (2, job.expires_at_us) if job.expires_us is None else (1, job.expires_us)
    if when_us is None:
        expiry_kind, when_us = 0, 0
    head = _ENQUEUE_LIFE.pack(job.priority, job.at_us or 0, expiry_kind, when_us, on_expiry(job.on_expiry))
    return head + retry(job.retry)


def _campaign(job: NewJob) -> bytes:
    """Return the packed window, batch, caps and trace of a new job."""
    window, batch = (job.window or "").encode(), (job.batch or "").encode()
    flags = _IGNORES_WINDOW if job.ignores_window else 0
    caps = b""
    if job.caps is not None:
        flags, names = flags | _HAS_CAPS, cap_names(job.caps).encode()
        caps = bytes((len(names),)) + names
    campaign = bytes((flags, len(window))) + window + bytes((len(batch),)) + batch + caps
    return campaign + job.trace + _TRACE_LENGTH.pack(len(job.trace)) if job.trace else campaign


def cap_names(names: Sequence[str]) -> str:
    """Return the names of caps, which are sorted, as cap_sets.lua keeps them; empty for none."""
    return "\0".join(names)


def on_expiry(fate: OnExpiry | None) -> int:
    """Return the fate of an expired job as its number in queue_life.lua, 0 for None."""
    return 0 if fate is None else 1 + tuple(OnExpiry).index(fate)


def retry(policy: Retry | None) -> bytes:
    """Return a retry policy as retry_policy.lua unpacks it."""
    if policy is None:
        return _NO_RETRY
    factor, jitter = round(policy.factor * 100), round(policy.jitter * 100)
    return _RETRY.pack(policy.delay_ms, factor, policy.max_ms, jitter)


def burst_parts(burst: Burst) -> tuple[int, int]:
    """Return the whole part of a burst and its hundredths."""
    return divmod(round(burst * 100), 100)


def reports(jobs: Sequence[FinishJob] | Sequence[ReleaseJob]) -> list[bytes]:
    """Return the report of each job besides the end of its lease; an empty list if no job has one."""
    packed = [_report(job) for job in jobs]
    return packed if any(packed) else []


def _report(job: FinishJob | ReleaseJob) -> bytes:
    counts, error = True, ""
    if isinstance(job, ReleaseJob):
        counts, error = job.counts, job.error
    if job.cost is None and counts and not job.hold_us and not job.hold_type_us and not error:
        return b""
    head = _REPORT.pack(-1 if job.cost is None else job.cost, job.hold_us, job.hold_type_us, counts)
    return head + error.encode() if error else head


def progress(jobs: Sequence[ExtendJob]) -> list[bytes]:
    """Return the progress reported for each job; an empty list if no job has any."""
    packed = [job.progress for job in jobs]
    return packed if any(packed) else []


def change(wanted: JobChange) -> tuple[bytes, bytes]:
    """Return a change of a job as change_job.lua unpacks it, and the new payload (empty if it stays)."""
    flags, delay_us, at_us, priority, cost = 0, 0, 0, 0, 0
    expiry_kind, expires_us, payload = 0, 0, b""
    if wanted.payload is not UNSET:
        flags, payload = flags + _PAYLOAD, wanted.payload
    if wanted.delay_us is not UNSET:
        flags, delay_us = flags + _DUE, wanted.delay_us
    elif wanted.at_us is not UNSET:
        flags, at_us = flags + _DUE, wanted.at_us
    if wanted.priority is not UNSET:
        flags, priority = flags + _PRIORITY, wanted.priority
    if wanted.cost is not UNSET:
        flags, cost = flags + _COST, wanted.cost
    if wanted.expires_us is not UNSET or wanted.expires_at_us is not UNSET:
        flags += _EXPIRY
        if isinstance(wanted.expires_us, int):
            expiry_kind, expires_us = 1, wanted.expires_us
        elif isinstance(wanted.expires_at_us, int):
            expiry_kind, expires_us = 2, wanted.expires_at_us
    return _CHANGE.pack(flags, delay_us, at_us, priority, cost, expiry_kind, expires_us), payload


def queue_settings(settings: QueueSettings) -> list[Word]:
    """Return the name and the value of each field that is given; an empty value clears.

    The last pair says that the caller can decode the defaults of the lives of jobs, the window and the caps.
    """
    fields: list[Word] = []
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if value is not UNSET:
            fields += (name, _setting(value))
    return [*fields, "life", "3"]


def _setting(value: bool | Burst | Retry | OnExpiry | str | tuple[str, ...] | None, /) -> Word:  # noqa: FBT001 - a setting of any kind
    if value is None:
        return ""
    if isinstance(value, Retry):
        return retry(value)
    if isinstance(value, OnExpiry):
        return on_expiry(value)
    if isinstance(value, tuple):
        return cap_names(value)
    return value if isinstance(value, str) else number(value)


def number(value: bool | Burst, /) -> Word:  # noqa: FBT001 - a setting of any kind
    """Return a number as the store reads it: a burst has at most two decimals."""
    return f"{value:.2f}" if isinstance(value, float) else int(value)
