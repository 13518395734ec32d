"""Sends jobs to the new server until each has an answer that settles it."""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from sharq_client.answers import Enqueued
from sharq_client.errors import InvalidRequest, QueueFull, SharqError, TooLarge

if TYPE_CHECKING:
    from sharq_client.sync.client import Client

MOST_JOBS = 4_000
"""The most jobs that are sent, and kept in journals, at a time. The client makes several calls of them."""

MOST_JOBS_A_CLAIM = 1_000
"""The most jobs that one script takes from the source. It keeps the source busy for some milliseconds."""

MOST_BYTES = 4 * 1024 * 1024
"""The bytes of payloads from which on no further jobs are taken at a time."""

PATIENCE_S = 60.0
"""The time for which a job is sent again while the new server is away or overloaded."""

PAUSE_S = 1.0
"""The pause between two tries, unless the server asks for a longer one."""


PERHAPS_MOVED = "perhaps moved by an interrupted run, and finished and forgotten since"
"""The reason to refuse a job that the new server perhaps had once, so that it must not be sent again unasked."""

REMEMBERED_MS = 240_000
"""The time for which a server remembers finished jobs (`finished_retention`, 5 minutes by default), less a minute."""


class Fate(enum.Enum):
    """The fate of a job.

    The server has it, it had it already, its queue is full, it was refused for good, or it is not known if the server
    had it once.
    """

    MOVED = enum.auto()
    DUPLICATE = enum.auto()
    FULL = enum.auto()
    REFUSED = enum.auto()
    UNKNOWN = enum.auto()


class Verdict(msgspec.Struct, frozen=True):
    """The fate of one job, and the reason if the server refused it."""

    fate: Fate
    reason: str = ""


def deliver(client: Client, jobs: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """Send jobs until each is settled. Return one verdict for each, in order.

    A job is sent again with `repeat`, so that it is never queued twice.

    Raises:
        SharqError: the server did not take a job for PATIENCE_S, or it refuses the caller. The other jobs of the call
            may have been queued.
    """
    verdicts: list[Verdict | None] = [None] * len(jobs)
    to_send = dict(enumerate(jobs))
    end_s = time.monotonic() + PATIENCE_S
    while to_send:
        failures: list[SharqError] = []
        answers = client.enqueue_many(list(to_send.values()))
        for (index, job), answer in zip(list(to_send.items()), answers, strict=True):
            verdict = _verdict(answer)
            if verdict is None:
                assert isinstance(answer, SharqError)
                failures.append(answer)
                to_send[index] = {**job, "repeat": True}
            else:
                verdicts[index] = verdict
                del to_send[index]
        if failures:
            _pause(failures, end_s)
    return [verdict for verdict in verdicts if verdict is not None]


def _verdict(answer: Enqueued | SharqError) -> Verdict | None:
    """Return the verdict of an answer; None if the job has to be sent again."""
    if isinstance(answer, Enqueued):
        return Verdict(Fate.DUPLICATE if answer.duplicate else Fate.MOVED)
    if isinstance(answer, QueueFull):
        return Verdict(Fate.FULL, answer.message)
    if isinstance(answer, InvalidRequest | TooLarge):
        return Verdict(Fate.REFUSED, answer.message)
    return None


def _pause(failures: Sequence[SharqError], end_s: float) -> None:
    """Wait before jobs are sent again, or raise the first error if that cannot help."""
    pause_s = max(PAUSE_S, *(error.retry_after_s or 0 for error in failures))
    hopeless = [error for error in failures if error.retry_after_s is None and not error.perhaps_done]
    if hopeless or time.monotonic() + pause_s > end_s:
        raise (hopeless or failures)[0]
    time.sleep(pause_s)
