"""Sends the reports of progress of a worker's handlers, several a second at most, with extensions of their leases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec
from msgspec import Raw

from sharq_client import errors, failures
from sharq_client.aio.client import AsyncClient
from sharq_client.answers import LeasedJob
from sharq_client.worker.results import RunningJob

log = logging.getLogger("sharq.worker")

REPORT_EVERY_S = 0.2
"""The time in which reports of progress gather. Of several reports of a job in that time the latest is sent."""


class ProgressReports:
    """The reports of progress that a worker has not sent yet. Each also extends the lease of its job."""

    def __init__(
        self,
        client: AsyncClient,
        lease_ms: float,
        on_extended: Callable[[LeasedJob, errors.SharqError | None], None],
    ) -> None:
        """Create an empty set of reports.

        Args:
            on_extended: called for each job with None if its lease is extended, else with the error.
        """
        self._client = client
        self._lease_ms = lease_ms
        self._on_extended = on_extended
        self._jobs: dict[str, LeasedJob] = {}
        self._latest: dict[str, Raw] = {}
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, job: LeasedJob) -> RunningJob:
        """Return a leased job in the form in which a handler gets it."""
        self._loop = self._loop or asyncio.get_running_loop()
        self._jobs[job.lease] = job
        return RunningJob(**msgspec.structs.asdict(job), report=self._report)

    def end(self, job: LeasedJob) -> None:
        """Forget a job whose handler has ended: its outcome says the rest."""
        self._jobs.pop(job.lease, None)
        self._latest.pop(job.lease, None)

    async def run(self) -> None:
        """Send reports until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(REPORT_EVERY_S)
            self._changed.clear()
            reports, self._latest = self._latest, {}
            jobs = [self._jobs[lease] for lease in reports]
            errors = await self._client.extend_many(jobs, self._lease_ms, progress=list(reports.values()))
            for job, error in zip(jobs, errors, strict=True):
                if error is not None and failures.may_repeat(error, is_safe_twice=True):
                    self._put(job.lease, reports[job.lease], is_newer=False)
                if job.lease in self._jobs:
                    self._on_extended(job, error)

    def _report(self, lease: str, text: Raw) -> None:
        """Add a report from any thread."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._put, lease, text)
        except RuntimeError:
            log.debug("progress_lost lease=%s: the event loop is closed", lease)

    def _put(self, lease: str, text: Raw, *, is_newer: bool = True) -> None:
        if lease in self._jobs and (is_newer or lease not in self._latest):
            self._latest[lease] = text
            self._changed.set()
