"""Offers the calls about queues as a whole: their rates, pauses, states, counts and dead letters.

They are methods of AsyncClient; not here: settings of operators and lists with numbers (control.py).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sharq_client import errors
from sharq_client.aio.caller import AsyncCaller
from sharq_client.answers import Answers, Counts, DeadLetter, JobStatus, QueueStats
from sharq_client.bodies import RateBody
from sharq_client.decoders import COUNTS, DEAD_LETTERS, JOB, QUEUE, QUEUE_IDS, SMALL_ANSWER
from sharq_client.paths import path_of
from sharq_client.requests import DeadRef, value_of

log = logging.getLogger(__name__)


class AsyncQueues:
    """The part of AsyncClient about queues as a whole: one class with it, in a file of its own."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    async def set_interval(
        self,
        queue_type: str,
        queue_id: str,
        interval_ms: float | None = None,
        *,
        rate: str | None = None,
        burst: float | None = None,
        pin: bool | None = None,
    ) -> bool:
        """Change a queue's rate at once. Return False if there is no such queue.

        A rate that the queue cannot keep at its burst is logged as a warning, in the words of the server.

        Args:
            interval_ms: the least time between two leases: 0 (unlimited) to 365 days, fractions allowed.
            rate: the rate instead of interval_ms: "40/s", "90/min", "2000/h", "10000/day".
            burst: the most leases back to back, at least 1; None keeps the current one.
            pin: True to also create the rate and keep enqueues from changing it; False to unpin it; None to keep it.
        """
        path = path_of("interval", queue_type, queue_id)
        try:
            reply = await self._caller.ask(
                "POST", path, SMALL_ANSWER, RateBody(interval_ms, burst, pin, rate), is_safe_twice=True
            )
        except errors.NotFound:
            return False
        if reply.warning:
            log.warning("queue %s %s: %s", queue_type, queue_id, reply.warning)
        return True

    async def pause(self, queue_type: str, queue_id: str) -> bool:
        """Pause a queue: it accepts jobs but hands none out. Return False if there is no such queue."""
        path = path_of("queue", queue_type, queue_id) + "pause/"
        return await self._caller.done("POST", path, is_safe_twice=True)

    async def resume(self, queue_type: str, queue_id: str) -> bool:
        """Let a paused queue hand out jobs again. Return False if there is no such queue."""
        path = path_of("queue", queue_type, queue_id) + "resume/"
        return await self._caller.done("POST", path, is_safe_twice=True)

    async def delete_queue(self, queue_type: str, queue_id: str, *, purge_all: bool = False) -> bool:
        """Drop the queued and delayed jobs of a queue. Return True if there were any.

        Leased jobs may still be finished, but are not requeued. A retry is made only if nothing was done, since a
        second delete would drop jobs that were enqueued in between.

        Args:
            purge_all: True to forget the rate, too, once the queue's ready time has passed.
        """
        path = path_of("deletequeue", queue_type, queue_id)
        reply = await self._caller.ask(
            "DELETE", path, SMALL_ANSWER, {"purge_all": purge_all}, is_safe_twice=False
        )
        return reply.status == "Success"

    async def queue(self, queue_type: str, queue_id: str) -> QueueStats | None:
        """Return the state of a queue; None if there is no such queue."""
        return await self._caller.find(path_of("queue", queue_type, queue_id), QUEUE)

    async def job(self, queue_type: str, queue_id: str, job_id: str) -> JobStatus | None:
        """Return the state of a job; None if the server does not know it."""
        return await self._caller.find(path_of("job", queue_type, queue_id, job_id), JOB)

    async def counts(self) -> Counts:
        """Return the counts of enqueued and leased jobs in the last ten minutes, over all types."""
        return await self._caller.ask("GET", "/metrics/", COUNTS)

    async def queue_counts(self, queue_type: str, queue_id: str) -> Counts:
        """Return the counts of one queue in the last ten minutes; zeros for an unknown queue."""
        return await self._caller.ask("GET", path_of("metrics", queue_type, queue_id), COUNTS)

    async def queues(self, queue_type: str, *, page: int = 1_000) -> AsyncIterator[str]:
        """Yield the ids of a type's queues that have queued, delayed or leased jobs.

        Args:
            page: the number of ids for each request, 1 to 10,000.
        """
        async for answer in self._caller.pages(path_of("metrics", queue_type), QUEUE_IDS, page):
            for queue_id in answer.queue_ids:
                yield queue_id

    async def dead(
        self, queue_type: str, *, queue_id: str | None = None, page: int = 100
    ) -> AsyncIterator[DeadLetter]:
        """Yield the dead letters of a type.

        Args:
            queue_id: the queue whose dead letters are wanted; None for those of all queues.
            page: the number of dead letters for each request.
        """
        path = path_of("dead", queue_type)
        async for answer in self._caller.pages(path, DEAD_LETTERS, page, queue_id=queue_id):
            for letter in answer.jobs:
                yield letter

    async def redrive(self, queue_type: str) -> int:
        """Queue every dead letter of a type again, with attempts from 0. Return the number of jobs.

        A second call queues the dead letters that remain.
        """
        path = path_of("dead", queue_type) + "redrive/"
        return (await self._caller.ask("POST", path, SMALL_ANSWER, is_safe_twice=False)).redriven

    async def redrive_many(
        self, queue_type: str, letters: Sequence[DeadLetter | DeadRef | Mapping[str, Any]]
    ) -> Answers[errors.SharqError | None]:
        """Queue these dead letters again, which may be mappings with the fields of DeadRef.

        Return one answer for each, in order; None for success.
        """
        path = path_of("dead", queue_type) + "redrive/"
        return await self._caller.redrive_many(path, _refs_of(letters))

    async def drop_dead(self, queue_type: str) -> int:
        """Drop every dead letter of a type. Return the number of dropped jobs."""
        path = path_of("dead", queue_type)
        return (await self._caller.ask("DELETE", path, SMALL_ANSWER, is_safe_twice=False)).dropped

    async def drop_dead_many(
        self, queue_type: str, letters: Sequence[DeadLetter | DeadRef | Mapping[str, Any]]
    ) -> int:
        """Drop these dead letters of a type, 1 to 1,000, which may be mappings with the fields of DeadRef.

        Return how many there were. A retry is made only if nothing was done.

        Raises:
            OutcomeUnknown: some were perhaps dropped. Call again to drop the others.
        """
        path = path_of("dead", queue_type) + "drop/"
        body = {"jobs": _refs_of(letters)}
        return (await self._caller.ask("POST", path, SMALL_ANSWER, body, is_safe_twice=False)).dropped


def _refs_of(letters: Sequence[DeadLetter | DeadRef | Mapping[str, Any]]) -> list[DeadRef]:
    """Return the names of dead letters."""
    return [
        DeadRef(letter.queue_id, letter.job_id)
        if isinstance(letter, DeadLetter)
        else value_of(DeadRef, letter, "letter")
        for letter in letters
    ]
