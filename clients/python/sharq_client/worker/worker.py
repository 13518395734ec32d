"""Runs a handler for leased jobs, with heartbeats, reports of outcomes, and a graceful stop.

The worker starts a job as soon as it is leased and leases no more jobs than may run. The queue's rate spaces the
leases, and a job that waited in the worker would blur that spacing. Not here: the kinds of handlers and the threads of
plain functions (handlers.py), and reporting outcomes (outcomes.py).
"""

from __future__ import annotations

import asyncio
import logging
import operator
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from sharq_client import errors, failures
from sharq_client.aio.client import AsyncClient
from sharq_client.answers import LeasedJob
from sharq_client.requests import Types
from sharq_client.worker import handlers
from sharq_client.worker.handlers import Handler, Threads, Throttled, Unfit
from sharq_client.worker.outcomes import OnReported, Outcome, Outcomes
from sharq_client.worker.progress import ProgressReports
from sharq_client.worker.results import result_of

log = logging.getLogger("sharq.worker")

QUIET_PAUSE_S = 0.25
"""The pause after an empty answer that came before its wait was over, as from a draining server."""


class Worker:
    """A worker that leases jobs of one type, or of several, and runs a handler for each.

    A job is finished if the handler returns, and released with the text of the error if it raises; the retry policy of
    the job then decides when it comes back. A handler that raises Throttled also holds the job's queue, and the attempt
    does not count. An `async def` handler runs on the event loop, a plain function in a
    thread. `await worker.run()` works until `stop()`; `async with Worker(...)` works in the background of its block.

    Delivery is at least once: a handler may get a job again after a crash, so it must be safe to run twice.
    """

    def __init__(
        self,
        client: AsyncClient,
        queue_type: Types,
        handler: Handler | Mapping[str, Handler],
        *,
        concurrency: int = 10,
        batch: int = 100,
        lease_ms: float = 30_000,
        wait_ms: float = 2_000,
        release_delay_ms: float | None = None,
        stop_timeout_s: float = 30.0,
        on_reported: OnReported | None = None,
    ) -> None:
        """Configure the worker. This leases nothing yet.

        Args:
            queue_type: the type to lease from, or up to 16 types. Of several, the job that has been due longest comes
                first; its `queue_type` tells them apart.
            handler: an `async def` function, or a plain function, which runs in a thread; or a callable that behaves
                like one of them. An awaitable result is awaited. A JobResult is kept with the finished job; any other
                result is ignored. The job is a RunningJob, whose `progress` says how far the work is. For several types
                also a mapping with a handler for each.
            concurrency: the most jobs at once, 1 or more: running, or done and not yet reported. It is also the most
                threads.
            batch: the most jobs to lease with one call, 1 to 1,000.
            lease_ms: the length of a lease, 100 to 86,400,000. The worker extends a lease half-way to its end, for as
                long as the handler runs.
            wait_ms: the time that the server holds a request while no job is ready, 0 to 60,000. A stop waits for the
                request, so that no lease is lost in an unread response.
            release_delay_ms: the delay of a job whose handler raised, 0 for none. None for that of the retry policy of
                the job, its queue or its gathered type, or a second if there is none, as for a job from a program that
                does not use this client.
            stop_timeout_s: the time that a stop waits for handlers, and then again for the reports.
            on_reported: called for each job once the server has accepted its outcome, or refused it for good.

        Raises:
            TypeError: the handler is of neither kind, such as a class or a generator function.
            ValueError: concurrency or batch is out of range, or a mapping of handlers has other types than queue_type.
        """
        if concurrency < 1 or not 1 <= batch <= 1_000:
            raise ValueError("concurrency: expected 1 or more; batch: expected 1 to 1,000")
        self._client = client
        self._queue_type = queue_type
        self._names = queue_type if isinstance(queue_type, str) else ",".join(queue_type)
        self._handlers = handlers.by_type(queue_type, handler)
        is_async = [handlers.is_async(each) for each in self._handlers.values()]
        self._in_thread = dict(zip(self._handlers, map(operator.not_, is_async), strict=True))
        self._threads = None if all(is_async) else Threads(concurrency)
        self._concurrency = concurrency
        self._batch = batch
        self._lease_ms = lease_ms
        self._wait_ms = wait_ms
        self._stop_timeout_s = stop_timeout_s
        self._outcomes = Outcomes(client, release_delay_ms, self._settle)
        self._on_reported = on_reported
        self._in_hand: set[str] = set()
        self._running: dict[asyncio.Task[object], LeasedJob] = {}
        self._cancelled: set[asyncio.Task[object]] = set()
        self._progress = ProgressReports(client, lease_ms, self._on_extended)
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
        """Stop leasing. run() returns once all current jobs are done and reported. Signal handlers may call it."""
        self._stopping.set()
        self._has_room.set()

    async def run(self) -> None:
        """Work until stop(), also across restarts of the server. Call it once. Cancelling it stops it gracefully, too.

        Raises:
            InvalidRequest, Unauthorized, Forbidden, NotFound: the server refuses to lease, and a retry cannot help.
            TypeError: the handler returned a generator, so that it would never handle a job.
        """
        log.info("worker_started queue_type=%s concurrency=%d", self._names, self._concurrency)
        reports = asyncio.create_task(self._outcomes.run())
        heartbeat = asyncio.create_task(self._heartbeat())
        progress = asyncio.create_task(self._progress.run())
        # None ends by itself before the stop: if one fails, the worker must not go on without it.
        for task in (reports, heartbeat, progress):
            task.add_done_callback(lambda _: self.stop())
        try:
            await self._lease_until_stopped()
        finally:
            await self._finish_handlers()
            await _cancel(heartbeat)
            await _cancel(progress)
            await self._finish_reports(reports)
            if self._threads is not None:
                self._threads.close()
            log.info("worker_stopped queue_type=%s", self._names)
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
                    "dequeue_failed queue_type=%s retry_in_s=%.1f error=%s", self._names, pause_s, error
                )
                await self._pause(pause_s)

    async def _lease_some(self) -> None:
        asked_at_s = _now_s()
        count = min(self._batch, self._concurrency - len(self._in_hand))
        jobs = await self._client.dequeue(
            self._queue_type, count, wait_ms=self._wait_ms, lease_ms=self._lease_ms
        )
        for job in jobs:
            self._take(job)
        # A draining server answers at once; without a pause the worker would ask it in a busy loop.
        if not jobs and _now_s() - asked_at_s < self._wait_ms / 1000:
            await self._pause(QUIET_PAUSE_S)

    def _take(self, job: LeasedJob) -> None:
        """Start a job, or release it if the worker was stopped in the meantime."""
        self._in_hand.add(job.lease)
        if self._stopping.is_set():
            self._outcomes.add_unstarted(job)
            return
        self._extend_at_s[job.lease] = self._next_extend_s()
        task = asyncio.create_task(self._handle(job))
        self._running[task] = job
        task.add_done_callback(self._on_handled)

    async def _handle(self, job: LeasedJob) -> object:
        """Return what the handler returns. The callback of the task notes the outcome, however the task ends."""
        handler = self._handlers[job.queue_type]
        running = self._progress.begin(job)
        if self._threads is not None and self._in_thread[job.queue_type]:
            return await handlers.settle(await self._threads.run(handler, running))
        return await handlers.settle(handler(running))

    def _on_handled(self, task: asyncio.Task[object]) -> None:
        job = self._running.pop(task)
        self._extend_at_s.pop(job.lease, None)
        self._progress.end(job)
        if task.cancelled() and self._threads is not None and self._threads.holds(job):
            log.warning(
                "job_abandoned job_id=%s: its thread still runs, and its lease will expire", job.job_id
            )
            return
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Throttled):
            log.info(
                "job_throttled queue_type=%s queue_id=%s job_id=%s hold_s=%.1f",
                job.queue_type, job.queue_id, job.job_id, error.hold_ms / 1000,
            )  # fmt: skip
            self._outcomes.add_throttled(job, error)
            return
        if isinstance(error, Unfit):
            self._unfit = error
            self.stop()
        if error is None and not task.cancelled():
            self._outcomes.add_finished(job, result_of(job, task.result()))
        elif error is None and task in self._cancelled:
            self._outcomes.add_failed(job, None)
        else:
            log.error(
                "job_failed queue_type=%s queue_id=%s job_id=%s attempt=%d requeues_remaining=%d",
                job.queue_type, job.queue_id, job.job_id, job.attempt, job.requeues_remaining, exc_info=error,
            )  # fmt: skip
            self._outcomes.add_failed(job, error or asyncio.CancelledError("the handler was cancelled"))

    def _settle(self, job: LeasedJob, outcome: Outcome, error: errors.SharqError | None) -> None:
        self._in_hand.discard(job.lease)
        self._has_room.set()
        if self._on_reported is not None:
            self._on_reported(job, outcome, error)

    async def _room(self) -> bool:
        """Wait until another job may be leased. Return False once the worker is stopping."""
        while len(self._in_hand) >= self._concurrency and not self._stopping.is_set():
            self._has_room.clear()
            await self._has_room.wait()
        return not self._stopping.is_set()

    async def _pause(self, pause_s: float) -> None:
        """Sleep, but wake up at stop()."""
        await asyncio.wait([stopped := asyncio.create_task(self._stopping.wait())], timeout=pause_s)
        await _cancel(stopped)

    def _next_extend_s(self) -> float:
        return _now_s() + self._lease_ms / 2000

    async def _heartbeat(self) -> None:
        """Extend each lease half-way to its end. The check runs eight times a lease, so that no extend is late."""
        while True:
            await asyncio.sleep(self._lease_ms / 8000)
            now_s = _now_s()
            due = [
                job for job in self._running.values() if self._extend_at_s.get(job.lease, now_s + 1) <= now_s
            ]
            for job, error in zip(due, await self._client.extend_many(due, self._lease_ms), strict=True):
                self._on_extended(job, error)

    def _on_extended(self, job: LeasedJob, error: errors.SharqError | None) -> None:
        """Schedule the next extend. A lost lease gets none: its handler may end, and its finish will be refused."""
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
        """Wait for the handlers, and cancel those that still run at the timeout.

        The jobs of cancelled handlers are released. A thread cannot be cancelled, so its job keeps its lease; otherwise
        another worker could start the job while the thread still runs.
        """
        if not self._running:
            return
        _, unfinished = await asyncio.wait(self._running, timeout=self._stop_timeout_s)
        for task in unfinished:
            log.warning("job_cancelled job_id=%s", self._running[task].job_id)
            self._cancelled.add(task)
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished, timeout=self._stop_timeout_s)

    async def _finish_reports(self, reports: asyncio.Task[None]) -> None:
        self._outcomes.close()
        await asyncio.wait([reports], timeout=self._stop_timeout_s)
        if self._outcomes.unreported():
            log.error("outcomes_left_unreported count=%d", self._outcomes.unreported())
        await _cancel(reports)


def _now_s() -> float:
    """Return the time of the event loop, in which the worker also sleeps; in tests it is that of a fake server."""
    return asyncio.get_running_loop().time()


async def _cancel(task: asyncio.Task[object]) -> None:
    """Cancel a task and wait for its end. Raise its exception if it failed."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
