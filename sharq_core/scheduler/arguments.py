"""Packs what a call says of each job: identifiers, lease tokens and the binary headers that the Lua unpacks."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias

from sharq_core.models import DeadRef, ExtendJob, FinishJob, NewJob, ReleaseJob

TERMS = struct.Struct(">QQQ")
"""unit.lua's TERMS: not_after_us, and how long finished jobs and dead letters are remembered (µs)."""

DEMAND = struct.Struct(">QHHQI8s")
"""dequeue.lua's DEMAND: not_after_us, count, jobs per queue, lease (µs), payload bytes, random bytes."""

_ENQUEUE_HEADER = struct.Struct(">qiQiqB")

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
    """Return the settings of a new job as enqueue.lua unpacks them; -1 stands for None, except for burst (0)."""
    return _ENQUEUE_HEADER.pack(
        -1 if job.interval_us is None else job.interval_us,
        job.burst or 0,
        job.delay_us,
        job.requeue_limit,
        -1 if job.max_queued_length is None else job.max_queued_length,
        job.repeat,
    )
