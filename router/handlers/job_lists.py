"""Handlers of the lists of jobs: those of a queue in one state, and the dead letters of a type."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType

from msgspec import UNSET, Raw

from router.api import parsing
from router.api.life import parsing as life_parsing
from router.api.life.answers import DeadJob, ListedJob
from router.handlers.caps.reasons import CapReasons
from router.handlers.job_answers import job_facts
from router.handlers.list_answers import MAX_LIST_BYTES, end_of, list_answer, list_pieces
from router.http.request import Request
from router.http.response import Response
from router.shards.dispatch import Dispatch
from router.shards.walks.unread import Unread
from sharq_core.job_changes import JobRow
from sharq_core.job_life import DeadLetter
from sharq_core.link.job_calls import ListJobs
from sharq_core.models import QueueKey

LISTINGS_AT_ONCE = 1
"""Pages of jobs that are read at the same time. The limit leaves room for other requests."""

LISTED_BYTES_S = 64 << 20
"""Bytes of jobs per second that all lists together may read, apart from the first LISTED_BURST_BYTES.

That takes the event loop and the store about 0.1 s of processor time each.
"""

LISTED_BURST_BYTES = 64 << 20
"""Bytes of jobs that lists may read without waiting: more than one full list, whatever its jobs are."""

JOB_WORK_BYTES = 4 << 10
"""Bytes that a job counts in addition to its payload. To list a job takes as long as to list this many bytes."""

MAX_STEPS = 100
"""Calls of a shard for one list of the jobs of a queue. Past them the answer ends with a cursor."""

STEP_JOBS = 100
"""Maximum number of jobs requested in one call, and of jobs or dead letters that one piece of an answer holds."""

_JOB_BYTES = 300
"""Size of a job in an answer without its payload and its error, in bytes."""


class JobListHandlers:
    """The handlers of lists of jobs."""

    def __init__(self, dispatch: Dispatch, reasons: CapReasons) -> None:
        self._dispatch = dispatch
        self._reasons = reasons
        self._turns = ListTurns(LISTED_BYTES_S, LISTED_BURST_BYTES)

    async def list_jobs(self, request: Request) -> Response:
        """Return a page of the jobs of a queue in one state."""
        key = parsing.queue_key(request.path_values)
        page = life_parsing.jobs(request.query)
        listing = JobListing(self._dispatch, self._turns, self._reasons, key, page)
        return await list_answer(list_pieces("jobs", listing.pages(), lambda: {"cursor": listing.cursor}))

    async def list_dead(self, request: Request) -> Response:
        """Return a page of the dead letters of a type, or of one of its queues."""
        queue_type = parsing.queue_type_of(request.path_values)
        listing = DeadListing(self._dispatch, self._turns, queue_type, life_parsing.letters(request.query))
        return await list_answer(
            list_pieces("jobs", listing.pages(), lambda: end_of(listing.cursor, listing.unread))
        )


class ListTurns:
    """The turns of the lists: LISTINGS_AT_ONCE pages are read at a time, and all pages together keep to a rate.

    Clients that read long lists one after the other would otherwise take most of the time of the event loop and the
    store.

    Args:
        bytes_s: the rate, in bytes per second.
        burst_bytes: the bytes that may be read without waiting, after a pause.
    """

    def __init__(self, bytes_s: float, burst_bytes: float) -> None:
        self._turns = asyncio.Semaphore(LISTINGS_AT_ONCE)
        self._bytes_s = bytes_s
        self._burst_s = burst_bytes / bytes_s
        self._free_s = 0.0  # the loop time at which nothing of what was read counts any more

    async def __aenter__(self) -> None:
        """Wait for a turn, and until the rate allows another page."""
        await self._turns.acquire()
        try:
            wait_s = self._free_s - self._burst_s - asyncio.get_running_loop().time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
        except asyncio.CancelledError:
            self._turns.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the turn."""
        self._turns.release()

    def count(self, jobs: int, size_bytes: int) -> None:
        """Count a page that was read.

        Args:
            jobs: the number of jobs on the page.
            size_bytes: their size.
        """
        read_s = (size_bytes + jobs * JOB_WORK_BYTES) / self._bytes_s
        self._free_s = max(self._free_s, asyncio.get_running_loop().time()) + read_s


class JobListing:
    """A listing of the jobs of a queue, read step by step.

    Args:
        turns: bounds what this and all other lists read.
        reasons: names the cap for which jobs wait.

    Attributes:
        cursor: the start of the next page; None at the end.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        turns: ListTurns,
        reasons: CapReasons,
        key: QueueKey,
        page: life_parsing.JobsPage,
    ) -> None:
        self.cursor: str | None = page.cursor
        self._dispatch = dispatch
        self._turns = turns
        self._reasons = reasons
        self._key = key
        self._page = page

    async def pages(self) -> AsyncIterator[list[ListedJob]]:
        """Yield the jobs of the page, fewer if they reach MAX_LIST_BYTES or take MAX_STEPS calls."""
        page, size, remaining = self._page, 0, self._page.limit
        for _ in range(MAX_STEPS):
            call = ListJobs(self._key, page.state, min(STEP_JOBS, remaining), page.prefix, self.cursor or "")
            async with self._turns:
                step = await self._dispatch.route(call)
                page_bytes = sum(map(_row_bytes, step.jobs))
                self._turns.count(len(step.jobs), page_bytes)
            self.cursor = step.scan or None
            reasons = await self._reasons.of_jobs([row.status for row in step.jobs])
            yield [
                job_facts(ListedJob, row.status, blocked_by, job_id=row.job_id)
                for row, blocked_by in zip(step.jobs, reasons, strict=True)
            ]
            remaining -= len(step.jobs)
            size += page_bytes
            if self.cursor is None or remaining <= 0 or size >= MAX_LIST_BYTES:
                return


class DeadListing:
    """A listing of dead letters, read page by page.

    Args:
        turns: bounds what this and all other lists read.

    Attributes:
        cursor: the start of the next page; None at the end.
        unread: the partitions that were left out.
    """

    def __init__(
        self, dispatch: Dispatch, turns: ListTurns, queue_type: str, page: life_parsing.LettersPage
    ) -> None:
        self.cursor = page.cursor
        self.unread = Unread(dispatch.partitions)
        self._dispatch = dispatch
        self._turns = turns
        self._queue_type = queue_type
        self._page = page

    async def pages(self) -> AsyncIterator[list[DeadJob]]:
        """Yield the dead letters of the page, fewer if they reach MAX_LIST_BYTES."""
        size, remaining, queue_id = 0, self._page.limit, self._page.queue_id
        while True:
            async with self._turns:
                letters, self.cursor = await self._dispatch.list_dead(
                    self._queue_type, min(STEP_JOBS, remaining), self.cursor, queue_id, self.unread
                )
                page_bytes = sum(map(_letter_bytes, letters))
                self._turns.count(len(letters), page_bytes)
            yield [_dead_job(letter) for letter in letters]
            remaining -= len(letters)
            size += page_bytes
            # The letters of a queue may be few among many: an answer without any ends with a cursor, too.
            is_sparse = bool(queue_id) and not letters
            if self.cursor is None or remaining <= 0 or size >= MAX_LIST_BYTES or is_sparse:
                return


def _row_bytes(row: JobRow) -> int:
    error = row.status.error
    return _JOB_BYTES + len(row.status.payload or b"") + (0 if error is None else len(error.text))


def _dead_job(letter: DeadLetter) -> DeadJob:
    error = letter.error
    return DeadJob(
        queue_id=letter.queue_id,
        job_id=letter.job_id,
        payload=Raw(letter.payload),
        attempt=letter.attempt,
        enqueued_at=letter.enqueued_at_us // 1000,
        dead_at=letter.dead_at_us // 1000,
        reason=letter.reason,
        error=UNSET if error is None else error.text,
        error_attempt=UNSET if error is None else error.attempt,
        error_at=UNSET if error is None else error.at_us // 1000,
    )


def _letter_bytes(letter: DeadLetter) -> int:
    return _JOB_BYTES + len(letter.payload) + (0 if letter.error is None else len(letter.error.text))
