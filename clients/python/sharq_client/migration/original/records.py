"""Defines what the import reads at the original: queues, claimed jobs, and parked queues that need attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

Queue: TypeAlias = tuple[str, str]
"""A queue: its type and its id."""


class ClaimedJob(msgspec.Struct, frozen=True):
    """A job in the journal of its queue.

    Attributes:
        was_returned: True if a requeue of the original had put it back at the head of its queue.
        requeues: the number of requeues that remain; -1 for no limit.
        payload: msgpack, in quotes if a version for Python 2 wrote it.
    """

    job_id: str
    was_returned: bool
    requeues: int
    payload: bytes


class Claim(msgspec.Struct, frozen=True):
    """The journal of a queue.

    Attributes:
        now_ms: the time by the source's clock.
        age_ms: how long ago an interrupted run claimed it; None if it was claimed just now.
        interval_ms: the interval of the queue; None if the original has none.
        dropped: the number of ids that had no payload.
    """

    queue: Queue
    now_ms: int
    age_ms: int | None
    interval_ms: int | None
    dropped: int
    jobs: Sequence[ClaimedJob]


class Settlement(msgspec.Struct, frozen=True):
    """The fate of the jobs of a claim that the new server does not have.

    Attributes:
        full: the ids of the jobs to put back into their queue.
        refused: the ids of the jobs that stay behind, each with the reason.
    """

    full: Sequence[str] = ()
    refused: Sequence[tuple[str, str]] = ()


class Parked(msgspec.Struct, frozen=True):
    """A queue that was parked.

    Attributes:
        hold_ms: how long its next lease must wait; 0 for not at all.
        has_interval: False if the original has forgotten its interval, and no other source states it.
    """

    queue: Queue
    hold_ms: int
    has_interval: bool


class Finding(msgspec.Struct, frozen=True):
    """A parked queue that needs attention.

    Attributes:
        is_loose: True if the original may serve it.
        is_busy: True if it has jobs, or lacks its mark.
        interval_ms: the interval if it changed at the original; None if it did not.
    """

    queue: Queue
    is_loose: bool
    is_busy: bool
    interval_ms: int | None
