"""Runs a worker once, from its first lease to its stop: leases, handlers, heartbeats and reports side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sharq_client.aio.client import AsyncClient
from sharq_client.worker.calls import Calls
from sharq_client.worker.handlers.kinds import Unfit
from sharq_client.worker.handlers.registry import Registration, Registry
from sharq_client.worker.handlers.threads import Threads
from sharq_client.worker.lanes import Lane
from sharq_client.worker.options import WorkerOptions
from sharq_client.worker.watchdog import Watchdog

if TYPE_CHECKING:
    from sharq_client.worker.metrics import WorkerMetrics

log = logging.getLogger("sharq.worker")

ABORT_REPORT_S = 5.0
"""The time that the reports of outcomes have if the worker shall end at once."""


class Run:
    """One run of a worker."""

    def __init__(
        self, client: AsyncClient, options: WorkerOptions, registry: Registry, metrics: WorkerMetrics | None
    ) -> None:
        """Prepare the run, of the running event loop."""
        self._options = options
        self._names = ",".join(registry.queue_types)
        self._threads = _threads_of(registry.handlers, options.concurrency)
        self._calls = Calls(client, options, registry.middleware, self._threads, metrics, self._on_unfit)
        self._lanes = [
            Lane(client, options, group, self._calls, metrics) for group in _lanes_of(registry.handlers)
        ]
        self._leasing: list[asyncio.Task[None]] = []
        self._aborted = asyncio.Event()
        self._unfit: Unfit | None = None

    def stop(self) -> None:
        """Stop leasing. `work` returns once all current jobs are done and reported."""
        for lane in self._lanes:
            lane.stop()

    def abort(self) -> None:
        """End at once: cancel the handlers and release their jobs."""
        self._aborted.set()
        self.stop()
        for task in self._leasing:
            task.cancel()
        self._calls.abort()

    async def work(self) -> None:
        """Work until `stop`.

        Raises:
            InvalidRequest, Unauthorized, Forbidden, NotFound: the server refuses to lease, and a retry cannot help.
            TypeError: the handler returned a generator, so that it would never handle a job.
        """
        log.info("worker_started queue_type=%s concurrency=%d", self._names, self._options.concurrency)
        reports = asyncio.create_task(self._calls.outcomes.run())
        heartbeat = asyncio.create_task(self._calls.leases.extend_in_time())
        progress = asyncio.create_task(self._calls.leases.report_progress())
        self._leasing = [asyncio.create_task(lane.run()) for lane in self._lanes]
        # None ends by itself before the stop: if one fails, the worker must not go on without it.
        for task in (reports, heartbeat, progress, *self._leasing):
            task.add_done_callback(lambda _: self.stop())
        try:
            with Watchdog(self._calls.running_in).watching():
                await asyncio.wait(self._leasing)
        finally:
            for task in self._leasing:
                task.cancel()
            await self._calls.finish(self._options.stop_timeout_s)
            await _cancel(heartbeat)
            await _cancel(progress)
            await self._finish_reports(reports)
            if self._threads is not None:
                self._threads.close()
            log.info("worker_stopped queue_type=%s", self._names)
        failed = await asyncio.gather(*self._leasing, return_exceptions=True)
        if error := self._unfit or next((each for each in failed if isinstance(each, Exception)), None):
            raise error

    def _on_unfit(self, error: Unfit) -> None:
        self._unfit = error
        self.stop()

    async def _finish_reports(self, reports: asyncio.Task[None]) -> None:
        outcomes = self._calls.outcomes
        outcomes.close()
        aborted = asyncio.create_task(self._aborted.wait())
        await asyncio.wait(
            [reports, aborted], timeout=self._options.stop_timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        aborted.cancel()
        if self._aborted.is_set():
            await asyncio.wait([reports], timeout=ABORT_REPORT_S)
        if outcomes.unreported():
            log.error("outcomes_left_unreported count=%d", outcomes.unreported())
        await _cancel(reports)


def _lanes_of(registrations: Sequence[Registration]) -> list[list[Registration]]:
    """Return the handlers that share a lane: all that get one job, and each batch handler alone."""
    single = [each for each in registrations if each.batch is None]
    return [*([single] if single else []), *([each] for each in registrations if each.batch is not None)]


def _threads_of(registrations: Sequence[Registration], concurrency: int) -> Threads | None:
    """Return enough threads for all calls that may run at once; None if all handlers are async."""
    lanes = [lane for lane in _lanes_of(registrations) if not all(each.is_async for each in lane)]
    return Threads(concurrency * len(lanes)) if lanes else None


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end. Raise its exception if it failed."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
