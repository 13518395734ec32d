"""Extends the leases of jobs whose handlers run: half-way to their ends, and with each report of progress."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from msgspec import Raw

from sharq_client import errors, failures
from sharq_client.aio.client import AsyncClient
from sharq_client.answers import LeasedJob

log = logging.getLogger("sharq.worker")

REPORT_EVERY_S = 0.2
"""The time in which reports of progress gather. Of several reports of a job in that time the latest is sent."""


class Leases:
    """The leases of running jobs, and the reports of their progress that are not sent yet."""

    def __init__(self, client: AsyncClient, lease_ms: float, on_lost: Callable[[LeasedJob], None]) -> None:
        """Create an empty set of leases, of the running event loop.

        Args:
            lease_ms: the length of a lease, and of each extension.
            on_lost: called once for each job whose lease is lost while its handler runs.
        """
        self._client = client
        self._lease_ms = lease_ms
        self._on_lost = on_lost
        self._jobs: dict[str, LeasedJob] = {}
        self._extend_at_s: dict[str, float] = {}
        self._told: dict[str, str] = {}
        self._latest: dict[str, Raw] = {}
        self._has_news = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def begin(self, jobs: Iterable[LeasedJob]) -> None:
        """Extend the leases of these jobs from now on."""
        extend_at_s = self._next_extend_s()
        for job in jobs:
            self._jobs[job.lease] = job
            self._extend_at_s[job.lease] = extend_at_s

    def end(self, jobs: Iterable[LeasedJob]) -> None:
        """Forget jobs whose handler has ended: their outcomes say the rest."""
        for job in jobs:
            self._jobs.pop(job.lease, None)
            self._extend_at_s.pop(job.lease, None)
            self._told.pop(job.lease, None)
            self._latest.pop(job.lease, None)

    def report(self, lease: str, text: Raw) -> None:
        """Add a report of progress, as JSON text. Any thread may call it."""
        try:
            self._loop.call_soon_threadsafe(self._put, lease, text)
        except RuntimeError:
            log.debug("progress_lost lease=%s: the event loop is closed", lease)

    async def extend_in_time(self) -> None:
        """Extend each lease half-way to its end, until cancelled.

        The check runs eight times a lease, so that no extension is late.
        """
        while True:
            await asyncio.sleep(self._lease_ms / 8000)
            now_s = asyncio.get_running_loop().time()
            due = [self._jobs[lease] for lease, at_s in self._extend_at_s.items() if at_s <= now_s]
            for job, error in zip(due, await self._client.extend_many(due, self._lease_ms), strict=True):
                self._on_extended(job, error)

    async def report_progress(self) -> None:
        """Send reports of progress, several a second at most, until cancelled."""
        while True:
            await self._has_news.wait()
            await asyncio.sleep(REPORT_EVERY_S)
            self._has_news.clear()
            reports, self._latest = self._latest, {}
            jobs = [self._jobs[lease] for lease in reports]
            answers = await self._client.extend_many(jobs, self._lease_ms, progress=list(reports.values()))
            for job, error in zip(jobs, answers, strict=True):
                if error is not None and failures.may_repeat(error, is_safe_twice=True):
                    self._put(job.lease, reports[job.lease], is_newer=False)
                self._on_extended(job, error, is_report=True)

    def _put(self, lease: str, text: Raw, *, is_newer: bool = True) -> None:
        if lease in self._jobs and (is_newer or lease not in self._latest):
            self._latest[lease] = text
            self._has_news.set()

    def _on_extended(
        self, job: LeasedJob, error: errors.SharqError | None, *, is_report: bool = False
    ) -> None:
        """Schedule the next extension. A lost lease gets none: its handler may end, and its finish will be refused.

        Args:
            is_report: the extension carried a progress. If that is refused, the lease is as it was.
        """
        if job.lease not in self._extend_at_s:
            return
        if error is None:
            self._extend_at_s[job.lease] = self._next_extend_s()
            self._told.pop(job.lease, None)
            return
        self._tell(job, error)
        is_lost = isinstance(error, errors.LeaseLost | errors.NotFound)
        # The same request would be refused again, eight times a lease. Any other error may pass.
        if is_lost or (isinstance(error, errors.InvalidRequest) and not is_report):
            del self._extend_at_s[job.lease]
        if is_lost:
            self._on_lost(job)

    def _tell(self, job: LeasedJob, error: errors.SharqError) -> None:
        """Log an error, once for each lease until it changes or the lease is extended."""
        if self._told.get(job.lease) != error.code:
            self._told[job.lease] = error.code
            log.warning(
                "extend_failed queue_type=%s queue_id=%s job_id=%s error=%s",
                job.queue_type, job.queue_id, job.job_id, error.code,
            )  # fmt: skip

    def _next_extend_s(self) -> float:
        return asyncio.get_running_loop().time() + self._lease_ms / 2000
