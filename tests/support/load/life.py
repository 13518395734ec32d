"""The life that the jobs of a run are given: priority, expiry, retries and the requeue limit, by a job's number."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Fields: TypeAlias = dict[str, Any]
"""Fields of an enqueue."""


class Backoff(msgspec.Struct, frozen=True):
    """A retry policy; see sharq_core.job_life.Retry."""

    delay: int
    factor: float = 2
    max: int = 10_000
    jitter: float = 0

    def least_wait_ms(self, attempt: int) -> float:
        """Return the shortest wait after an attempt, in ms."""
        return min(self.max, self.delay * self.factor ** (attempt - 1)) * (1 - self.jitter)


class Life(msgspec.Struct, frozen=True):
    """The life of a run's jobs. The job of number n has the n-th priority and expiry, and then the first one again.

    Every second expiry drops the job; every third one is sent as a time.

    Attributes:
        priorities: 1 to 9 each.
        expiries_ms: from the enqueue on; None for never.
        requeue_limit: of every job; -1 for none.
        retry: of every job; None for none.
    """

    priorities: tuple[int, ...] = (5,)
    expiries_ms: tuple[int | None, ...] = (None,)
    requeue_limit: int = -1
    retry: Backoff | None = None

    def priority(self, number: int) -> int:
        """Return the priority of a queue's job of this number."""
        return self.priorities[number % len(self.priorities)]

    def expires_ms(self, number: int) -> int | None:
        """Return the time after which that job expires."""
        return self.expiries_ms[number % len(self.expiries_ms)]

    def is_dropped(self, number: int) -> bool:
        """Return True if that job is dropped when it expires, False if it becomes a dead letter, as it does by default.

        A job that is given an expiry later does so.
        """
        return number % 2 == 0 and self.expires_ms(number) is not None

    def fields(self, number: int, now_ms: float) -> Fields:
        """Return the fields of an enqueue that is sent now; none for an ordinary life."""
        found: Fields = {}
        if self.priorities != (5,):
            found["priority"] = self.priority(number)
        expires_ms = self.expires_ms(number)
        if expires_ms is not None:
            found["on_expiry"] = "drop" if self.is_dropped(number) else "dead"
            if number % 3:
                found["expires"] = expires_ms
            else:
                found["expires_at"] = round(now_ms) + expires_ms
        if self.requeue_limit >= 0:
            found["requeue_limit"] = self.requeue_limit
        if self.retry is not None:
            found["retry"] = msgspec.structs.asdict(self.retry)
        return found


ORDINARY = Life()
"""All jobs have the same priority, never expire and are requeued for ever."""
