"""Defines the values about the life of a job: when it expires, how it is tried again, and why it died."""

from __future__ import annotations

import enum

import msgspec

FIRST_PRIORITY = 1
LAST_PRIORITY = 9
PRIORITY = 5
"""The priority of a job that names none; 1 is served first."""

MAX_RETRY_MS = 30 * 24 * 3600 * 1000
"""The longest delay of a retry policy: 30 days."""

MAX_ERROR_BYTES = 2048
"""The length at which the error of a release is cut, in bytes of UTF-8."""


class OnExpiry(enum.StrEnum):
    """The fate of a job that expires: it becomes a dead letter, or it is dropped and counts as cancelled."""

    DEAD = "dead"
    DROP = "drop"


class DeadReason(enum.StrEnum):
    """The reason why a job became a dead letter: it passed its requeue limit, or it expired."""

    LIMIT = "limit"
    EXPIRED = "expired"


class Retry(msgspec.Struct, frozen=True, array_like=True):
    """How long a job waits after an attempt that failed.

    The wait is min(max, delay * factor^(attempt - 1)) * (1 - jitter * u), with u from 0 to 1 by chance.

    Attributes:
        delay_ms: the wait after the first attempt.
        factor: by which the wait grows with each further attempt, 1 to 10, with up to two decimals.
        max_ms: the longest wait.
        jitter: the share of the wait that chance may take off, 0 to 1, with up to two decimals.
    """

    delay_ms: int
    factor: int | float = 2
    max_ms: int = MAX_RETRY_MS
    jitter: int | float = 0


class JobError(msgspec.Struct, frozen=True, array_like=True):
    """The error that a worker gave when it released a job; the latest one is kept.

    Attributes:
        attempt: the attempt that failed.
        at_us: the time of the release, by the store's clock.
    """

    text: str
    attempt: int
    at_us: int
