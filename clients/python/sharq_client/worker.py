"""Runs a handler over leased jobs: leases, heartbeats, outcomes, a graceful stop.

A job starts the moment it is leased, and no more are leased than may run: the lease is when the queue's rate
lets the job go, and a job that waited in a worker would blur the spacing. Not here: what may be a handler, and the
threads of plain functions (handlers.py), and reporting outcomes (outcomes.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from types import TracebackType
from typing import Self

from sharq_client import errors, failures, handlers
from sharq_client.answers import LeasedJob
from sharq_client.client import SharqClient
from sharq_client.handlers import Handler, Threads, Unfit
from sharq_client.outcomes import OnReported, Outcome, Outcomes

log = logging.getLogger("sharq.worker")

QUIET_PAUSE_S = 0.25
"""Pause after an empty answer that came before its wait was over, as a draining server gives them."""


class Worker:
    """Leases jobs of one type and runs the handler for each: finished when it returns, released when it raises. An
    `async def` handler runs on the event loop, a plain function in a thread.

    `await worker.run()` works until `stop()`; `async with Worker(...)` works in the background of its block.
    A job is
    delivered at least once: a handler may see it again after a crash, so it should be safe to run twice.
    """

    def __init__(
        self,
        client: SharqClient,
        queue_type: str,
        handler: Handler,
        *,
        concurrency: int = 10,
        batch: int = 100,
        lease_ms: float = 30_000,
        wait_ms: float = 2_000,
        release_delay_ms: float = 1_000,
        stop_timeout_s: float = 30.0,
        on_reported: OnReported | None = None,
    ) -> None:
        """Nothing is leased yet.

        Args:
            handler: an `async def` function, or a plain one, which runs in a thread; anything that behaves as one of
                them. What it returns is not looked at; an awaitable is awaited.
            concurrency: most jobs in hand, 1 or more: running, or done and not yet reported. Also the most threads.
            batch: most jobs asked for at once, 1 to 1,000.
            lease_ms: length of a lease, 100 to 86,400,000. Half-way it is extended, for as long as the
                handler runs.
            wait_ms: how long the server holds a request while nothing is ready, 0 to 60,000. A stop waits for
                it, so that no lease is left behind in an answer that nobody reads.
            release_delay_ms: how long a job whose handler raised stays away.
            stop_timeout_s: how long a stop waits for handlers, and then for the reports.
            on_reported: called for each job once the server has taken its outcome, or refused it for good.

        Raises:
            TypeError: the handler is neither, as a class or a generator function.
            ValueError: concurrency or batch is out of range.
        """
        if concurrency < 1 or not 1 <= batch <= 1_000:
            raise ValueError("concurrency: expected 1 or more; batch: expected 1 to 1,000")
        self._client = client
        self._queue_type = queue_type
        self._handler = handler
        self._threads = None if handlers.is_async(handler) else Threads(concurrency)
        self._concurrency = concurrency
        self._batch = batch
        self._lease_ms = lease_ms
        self._wait_ms = wait_ms
        self._stop_timeout_s = stop_timeout_s
        self._outcomes = Outcomes(client, release_delay_ms, self._settle)
        self._on_reported = on_reported
        self._in_hand: set[str] = set()
        self._running: dict[asyncio.Task[None], LeasedJob] = {}
        self._cancelled: set[asyncio.Task[None]] = set()
        self._extend_at_s: dict[str, float] = {}
        self._has_room = asyncio.Event()
        self._stopping = asyncio.Event()
        self._background: asyncio.Task[None] | None = None
        self._unfit: Unfit | None = None

    async def __aenter__(self) -> Self:
        self._background = asyncio.create_task(self.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._background is not None:
            await self._background

    def stop(self) -> None:
        """Lease nothing more; run() returns when what is in hand is done and reported. Fit for a signal
        handler."""
        self._stopping.set()
        self._has_room.set()

    async def run(self) -> None:
        """Work until stop(), through restarts of the server. Runs once; cancelling it stops it gracefully
        too.

        Raises:
            InvalidRequest, Unauthorized, Forbidden, NotFound: the server refuses to lease, and repeating
                cannot help.
            TypeError: the handler returned a generator, so that no job would ever be worked on.
        """
        log.info("worker_started queue_type=%s concurrency=%d", self._queue_type, self._concurrency)
        reports = asyncio.create_task(self._outcomes.run())
        heartbeat = asyncio.create_task(self._heartbeat())
        for task in (reports, heartbeat):
            task.add_done_callback(lambda ended: self.stop())
        try:
            await self._lease_until_stopped()
        finally:
            await self._finish_handlers()
            await _cancel(heartbeat)
            await self._finish_reports(reports)
            if self._threads is not None:
                self._threads.close()
            log.info("worker_stopped queue_type=%s", self._queue_type)
        if self._unfit is not None:
            raise self._unfit

    async def _lease_until_stopped(self) -> None:
        failed_tries = 0
        while await self._room():
            try:
                await self._lease_some()
                failed_tries = 0
            except errors.SharqError as error:
                if error.retry_after_s is None and not error.perhaps_done:
                    raise
                failed_tries += 1
                pause_s = failures.pause_s(error, failed_tries)
                log.warning(
                    "dequeue_failed queue_type=%s retry_in_s=%.1f error=%s", self._queue_type, pause_s, error
                )
                await self._pause(pause_s)

    async def _lease_some(self) -> None:
        asked_at_s = time.monotonic()
        count = min(self._batch, self._concurrency - len(self._in_hand))
        jobs = await self._client.dequeue(
            self._queue_type, count, wait_ms=self._wait_ms, lease_ms=self._lease_ms
        )
        for job in jobs:
            self._take(job)
        if not jobs and time.monotonic() - asked_at_s < self._wait_ms / 1000:
            await self._pause(QUIET_PAUSE_S)

    def _take(self, job: LeasedJob) -> None:
        """Starts a job, or gives it back unstarted when the worker was stopped while it was on its way."""
        self._in_hand.add(job.lease)
        if self._stopping.is_set():
            self._outcomes.add(Outcome.RELEASE, job)
            return
        self._extend_at_s[job.lease] = self._next_extend_s()
        task = asyncio.create_task(self._handle(job))
        self._running[task] = job
        task.add_done_callback(self._on_handled)

    async def _handle(self, job: LeasedJob) -> None:
        """Runs the handler; the outcome is noted when the task ends, however it ends."""
        if self._threads is None:
            await handlers.settle(self._handler(job))
        else:
            await handlers.settle(await self._threads.run(self._handler, job))

    def _on_handled(self, task: asyncio.Task[None]) -> None:
        job = self._running.pop(task)
        self._extend_at_s.pop(job.lease, None)
        if task.cancelled() and self._threads is not None and self._threads.holds(job):
            log.warning(
                "job_abandoned job_id=%s: its thread runs on, and its lease is left to end", job.job_id
            )
            return
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Unfit):
            self._unfit = error
            self.stop()
        if error is not None or (task.cancelled() and task not in self._cancelled):
            log.error(
                "job_failed queue_type=%s queue_id=%s job_id=%s attempt=%d",
                job.queue_type, job.queue_id, job.job_id, job.attempt, exc_info=error,
            )  # fmt: skip
        is_done = error is None and not task.cancelled()
        self._outcomes.add(Outcome.FINISH if is_done else Outcome.RELEASE, job)

    def _settle(self, job: LeasedJob, outcome: Outcome, error: errors.SharqError | None) -> None:
        self._in_hand.discard(job.lease)
        self._has_room.set()
        if self._on_reported is not None:
            self._on_reported(job, outcome, error)

    async def _room(self) -> bool:
        """Waits until another job may be leased; False once the worker is stopping."""
        while len(self._in_hand) >= self._concurrency and not self._stopping.is_set():
            self._has_room.clear()
            await self._has_room.wait()
        return not self._stopping.is_set()

    async def _pause(self, pause_s: float) -> None:
        """Sleeps, but no longer than until stop()."""
        await asyncio.wait([stopped := asyncio.create_task(self._stopping.wait())], timeout=pause_s)
        await _cancel(stopped)

    def _next_extend_s(self) -> float:
        return time.monotonic() + self._lease_ms / 2000

    async def _heartbeat(self) -> None:
        """Extends each lease half-way to its end; looks eight times a lease, so the extend is early
        enough."""
        while True:
            await asyncio.sleep(self._lease_ms / 8000)
            now_s = time.monotonic()
            due = [
                job for job in self._running.values() if self._extend_at_s.get(job.lease, now_s + 1) <= now_s
            ]
            for job, error in zip(due, await self._client.extend_many(due, self._lease_ms), strict=True):
                self._on_extended(job, error)

    def _on_extended(self, job: LeasedJob, error: errors.SharqError | None) -> None:
        """Plans the next extend; a lost lease gets none: its handler may end, and its finish will be
        refused."""
        if error is None:
            if job.lease in self._extend_at_s:
                self._extend_at_s[job.lease] = self._next_extend_s()
            return
        if not failures.may_repeat(error, is_safe_twice=True):
            self._extend_at_s.pop(job.lease, None)
        log.warning(
            "extend_failed queue_type=%s queue_id=%s job_id=%s error=%s",
            job.queue_type, job.queue_id, job.job_id, error.code,
        )  # fmt: skip

    async def _finish_handlers(self) -> None:
        """Wait for the handlers. Those that are still running at the timeout are cancelled and their jobs released;
        a thread cannot be cancelled, so its job keeps its lease, lest another worker begins it beside that thread.
        """
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=self._stop_timeout_s)
        for task in late:
            log.warning("job_cancelled job_id=%s", self._running[task].job_id)
            self._cancelled.add(task)
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=self._stop_timeout_s)

    async def _finish_reports(self, reports: asyncio.Task[None]) -> None:
        self._outcomes.close()
        await asyncio.wait([reports], timeout=self._stop_timeout_s)
        if self._outcomes.unreported():
            log.error("outcomes_left_unreported count=%d", self._outcomes.unreported())
        await _cancel(reports)


async def _cancel(task: asyncio.Task[object]) -> None:
    """Ends a task; raises what it failed with."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
