"""Starts the handlers of leased jobs, each in a task of its own, and ends them at the stop of the worker."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

from sharq_client import errors
from sharq_client.aio.client import AsyncClient
from sharq_client.answers import LeasedJob
from sharq_client.worker.handlers.kinds import Unfit, Work, settle
from sharq_client.worker.handlers.middleware import Middleware, wrap
from sharq_client.worker.handlers.registry import Registration
from sharq_client.worker.handlers.results import Drop, RunningJob, Throttled, to_running
from sharq_client.worker.handlers.threads import ThreadCall, Threads
from sharq_client.worker.leases import Leases
from sharq_client.worker.options import WorkerOptions
from sharq_client.worker.outcomes import Outcomes, Report
from sharq_client.worker.verdicts import Verdicts

if TYPE_CHECKING:
    from sharq_client.worker.metrics import WorkerMetrics

log = logging.getLogger("sharq.worker")

_Task: TypeAlias = asyncio.Task[object]

_NO_FAILURES = {Throttled: "throttled", Drop: "dropped"}
"""Exceptions of a handler that do not fail its span → the outcome, as the metrics name it."""

ABORT_WAIT_S = 2.0
"""The time that cancelled handlers have to end if the worker shall end at once.

A program of `--exec` takes up to half a second of it, and more on a busy machine.
"""


class Call:
    """One call of a handler: with one job, or with the jobs of a batch.

    Attributes:
        on_ended: called once the handler has ended.
        thread: the thread that runs the handler; None before it starts, and for an async handler.
        started_s: the start, on the monotonic clock; 0 without metrics.
        is_stopped: True once the stop of the worker has cancelled it.
    """

    __slots__ = ("is_stopped", "jobs", "on_ended", "registration", "started_s", "thread")

    def __init__(
        self, registration: Registration, jobs: list[RunningJob], on_ended: Callable[[], None]
    ) -> None:
        self.registration = registration
        self.jobs = jobs
        self.on_ended = on_ended
        self.thread: ThreadCall | None = None
        self.started_s = 0.0
        self.is_stopped = False

    @property
    def work(self) -> Work:
        """The argument of the handler."""
        return self.jobs[0] if self.registration.batch is None else self.jobs


class Calls:
    """The calls of handlers of one run of a worker."""

    def __init__(
        self,
        client: AsyncClient,
        options: WorkerOptions,
        middleware: Sequence[Middleware],
        threads: Threads | None,
        metrics: WorkerMetrics | None,
        on_answered: Callable[[], None],
        on_unfit: Callable[[Unfit], None],
    ) -> None:
        """Create an empty set of calls, of the running event loop.

        Args:
            middleware: what runs around each handler, the outermost first.
            threads: the threads of plain functions; None if all handlers are async.
            on_answered: called each time that the server has answered reports of outcomes.
            on_unfit: called with the error of a handler that can never handle a job.
        """
        self.outcomes = Outcomes(client, options.release_delay_ms, self._on_reported, on_answered)
        self.leases = Leases(client, options.lease_ms, self._on_lost)
        self._verdicts = Verdicts(self.outcomes, metrics, on_unfit)
        self._options = options
        self._middleware = middleware
        self._threads = threads
        self._metrics = metrics
        self._tracing = client.tracing if options.tracing else None
        self._running: dict[_Task, Call] = {}
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._is_aborted = False
        self._start_task = _task_starter()
        if metrics is not None:
            metrics.in_flight = self._in_flight

    def start(
        self, registration: Registration, jobs: Sequence[LeasedJob], on_ended: Callable[[], None]
    ) -> None:
        """Start a handler for leased jobs. An async one runs up to its first wait before this returns.

        Args:
            on_ended: called once the handler has ended.
        """
        report = self.leases.report
        call = Call(registration, [to_running(job, report) for job in jobs], on_ended)
        if self._metrics is not None:
            call.started_s = time.perf_counter()
        task = self._start_task(self._run(call))
        if task.done():
            self._judge(call, task)
            return
        self._running[task] = call
        self._is_idle.clear()
        self.leases.begin(call.jobs)
        task.add_done_callback(self._on_ended)

    def refuse(self, jobs: Sequence[LeasedJob]) -> None:
        """Release jobs that came too late to be started. Their attempts do not count."""
        for job in jobs:
            self.outcomes.add_unstarted(job)

    async def finish(self, timeout_s: float) -> None:
        """Wait for the handlers. Cancel those that still run at the timeout or at `abort`, and wait as long again."""
        await self._wait_until_idle(timeout_s)
        self._cancel_all()
        if self._running and not self._is_aborted:
            self._is_idle.clear()
            await self._wait_until_idle(timeout_s)
        if self._running:
            await asyncio.wait(self._running, timeout=ABORT_WAIT_S)

    def abort(self) -> None:
        """Cancel all handlers at once. `finish` returns soon, even if some do not end."""
        self._is_aborted = True
        self._cancel_all()
        self._is_idle.set()

    def running_in(self, frame: FrameType | None) -> str | None:
        """Return the name of the handler that runs in a stack of frames; None if none does."""
        while frame is not None:
            if frame.f_code is Calls._run.__code__ and frame.f_locals.get("self") is self:
                call: Call = frame.f_locals["call"]
                return call.registration.name
            frame = frame.f_back
        return None

    async def _run(self, call: Call) -> object:
        """Return what the handler returns, with the middleware and the span around it."""
        is_batch = call.registration.batch is not None
        processing = None if self._tracing is None else self._tracing.process(call.jobs, is_batch=is_batch)
        try:
            if processing is None:
                # Without middleware and span this is the whole way, so it takes one coroutine less.
                return await (self._handle(call) if self._middleware else self._invoke(call, call.work))
            with processing.span(_NO_FAILURES):
                value = await self._handle(call)
                processing.returned(value, _NO_FAILURES)
                return value
        except SystemExit as error:  # in a task it would end the event loop, and with it all other jobs
            raise RuntimeError("a middleware raised SystemExit") from error

    async def _handle(self, call: Call) -> object:
        """Return what the handler returns, with the middleware around it."""
        if self._middleware:
            return await wrap(functools.partial(self._invoke, call), self._middleware)(call.work)
        return await self._invoke(call, call.work)

    async def _invoke(self, call: Call, work: Any) -> object:
        handler: Callable[[Any], Any] = call.registration.handler
        try:
            if self._threads is None or call.registration.is_async:
                return await handler(work)
            call.thread = self._threads.start(handler, work)
            return await settle(await call.thread.result())
        except SystemExit as error:  # the middleware around it sees an error like any other
            raise RuntimeError("the handler raised SystemExit") from error

    def _on_ended(self, task: _Task) -> None:
        call = self._running.pop(task)
        self.leases.end(call.jobs)
        if not self._running:
            self._is_idle.set()
        self._judge(call, task)

    def _judge(self, call: Call, task: _Task) -> None:
        """Give the jobs of a call their outcomes, however its task has ended."""
        call.on_ended()
        if self._metrics is not None:
            self._metrics.observe(call.jobs[0].queue_type, time.perf_counter() - call.started_s)
        if task.cancelled():
            if call.thread is not None and not call.thread.withdraw():
                self._verdicts.abandoned(call.jobs)
            elif call.is_stopped:
                self._verdicts.stopped(call.jobs)
            else:
                self._verdicts.cancelled(call.jobs)
        elif (error := task.exception()) is not None:
            self._verdicts.raised(call.jobs, error)
        elif call.registration.batch is None:
            self._verdicts.returned(call.jobs[0], task.result())
        else:
            self._verdicts.returned_batch(call.jobs, task.result())

    async def _wait_until_idle(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_idle.wait()

    def _cancel_all(self) -> None:
        for task, call in self._running.items():
            if not call.is_stopped:
                call.is_stopped = True
                task.cancel()

    def _on_reported(self, report: Report, error: errors.SharqError | None) -> None:
        if error is not None and isinstance(error, errors.LeaseLost | errors.NotFound):
            self._on_lost(report.job)
        if self._options.on_reported is None:
            return
        try:
            self._options.on_reported(report.job, report.outcome, error)
        except Exception:
            # The other jobs of this answer must not stay unreported for it.
            log.exception("on_reported_failed job_id=%s", report.job.job_id)

    def _on_lost(self, job: LeasedJob) -> None:
        if self._metrics is not None:
            self._metrics.count_lost(job.queue_type)

    def _in_flight(self) -> list[str]:
        """Return the queue type of each job whose handler runs. Any thread may call it."""
        return [job.queue_type for call in list(self._running.values()) for job in call.jobs]


def _task_starter() -> Callable[[Coroutine[Any, Any, object]], _Task]:
    """Return what starts a task of the running event loop.

    From Python 3.12 on a task starts at once, up to its first wait. A handler that waits for nothing then costs a
    quarter of what a task costs that starts in the next round of the loop.
    """
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12) and loop.get_task_factory() is None:
        return functools.partial(asyncio.Task, loop=loop, eager_start=True)
    return loop.create_task
