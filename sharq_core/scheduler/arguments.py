"""Packs what a call says of each job: identifiers, lease tokens and the binary headers that the Lua unpacks."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias

from msgspec import UNSET

from sharq_core.limits import Burst, QueueSettings
from sharq_core.models import DeadRef, ExtendJob, FinishJob, NewJob, ReleaseJob
from sharq_core.store.commands import Word

TERMS = struct.Struct(">QQQ")
"""unit.lua's TERMS: not_after_us, and how long finished jobs and dead letters are remembered (µs)."""

DEMAND = struct.Struct(">QHHQI8sB")
"""dequeue.lua's DEMAND: not_after_us, count, jobs per queue, lease (µs), payload bytes, random bytes, KNOWS_COST."""

KNOWS_COST = 1
"""Says that the caller can decode the cost of a leased job."""

HAS_REPORTS = b"\x01"
"""Follows the terms of a finish or a release whose last arguments are reports, one for each job."""

_ENQUEUE_HEADER = struct.Struct(">qiQiqB")
_ENQUEUE_LIMITS = struct.Struct(">BII")
"""enqueue.lua's LIMITS: hundredths of the burst, cost, max_leased (0 for None)."""

_REPORT = struct.Struct(">iQQB")
"""reports.lua's FORMAT: actual cost (-1 for None), hold (µs), hold of the type (µs), 1 if the attempt counts."""

_AnyJob: TypeAlias = NewJob | FinishJob | ExtendJob | ReleaseJob | DeadRef


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


def field(job: _AnyJob) -> str:
    """Return the job's field in the store's hashes."""
    return f"{job.queue_id}:{job.job_id}"


def names(jobs: Sequence[_AnyJob]) -> list[str]:
    """Return the queue ids of the jobs, then their fields, so that the store reads each group with one command."""
    return [job.queue_id for job in jobs] + [f"{job.queue_id}:{job.job_id}" for job in jobs]


def enqueue_header(job: NewJob) -> bytes:
    """Return the settings of a new job as enqueue.lua unpacks them; -1 stands for None, except for burst (0).

    Limits that few jobs have follow only if the job has one of them.
    """
    burst, hundredths = (0, 0) if job.burst is None else burst_parts(job.burst)
    header = _ENQUEUE_HEADER.pack(
        -1 if job.interval_us is None else job.interval_us,
        burst,
        job.delay_us,
        job.requeue_limit,
        -1 if job.max_queued_length is None else job.max_queued_length,
        job.repeat,
    )
    if not hundredths and job.cost == 1 and job.max_leased is None:
        return header
    return header + _ENQUEUE_LIMITS.pack(hundredths, job.cost, job.max_leased or 0)


def burst_parts(burst: Burst) -> tuple[int, int]:
    """Return the whole part of a burst and its hundredths."""
    return divmod(round(burst * 100), 100)


def reports(jobs: Sequence[FinishJob] | Sequence[ReleaseJob]) -> list[bytes]:
    """Return what the workers report of each job beside the end of its lease; an empty list if nobody reports."""
    found = [_report(job) for job in jobs]
    return found if any(found) else []


def _report(job: FinishJob | ReleaseJob) -> bytes:
    counts = not isinstance(job, ReleaseJob) or job.counts
    if job.cost is None and counts and not job.hold_us and not job.hold_type_us:
        return b""
    return _REPORT.pack(-1 if job.cost is None else job.cost, job.hold_us, job.hold_type_us, counts)


def queue_settings(settings: QueueSettings) -> list[Word]:
    """Return the name and the value of each field that is given; an empty value clears."""
    found: list[Word] = []
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if value is not UNSET:
            found += (name, "" if value is None else number(value))
    return found


def number(value: bool | Burst, /) -> Word:  # noqa: FBT001 - a setting of any kind
    """Return a number as the store reads it: a burst has at most two decimals."""
    return f"{value:.2f}" if isinstance(value, float) else int(value)
