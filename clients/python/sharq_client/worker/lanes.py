"""Leases jobs for handlers, never more than may run, and goes on while the server is away.

A job starts as soon as it is leased. The queue's rate spaces the leases, and a job that waited in the worker would blur
that spacing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sharq_client import errors, failures
from sharq_client.aio.client import AsyncClient
from sharq_client.answers import LeasedJob
from sharq_client.worker.calls import Calls
from sharq_client.worker.handlers.registry import Registration
from sharq_client.worker.options import WorkerOptions
from sharq_client.worker.turns import pass_turns

if TYPE_CHECKING:
    from sharq_client.worker.metrics import WorkerMetrics

log = logging.getLogger("sharq.worker")

QUIET_PAUSE_S = 0.25
"""The pause after an empty answer that came before its wait was over, as from a draining server, and after one
without a wait."""

MAX_UNREPORTED = 1_000
"""The outcomes that may be unreported while further jobs are leased. One call reports as many."""

YIELD_AFTER_S = 0.05
"""The time for which the handlers of one answer may keep the event loop before others get a turn."""

BACKLOG_REQUESTS = 2
"""The most requests for further jobs at once, beside the usual one, while more jobs are ready than one request takes.

With one request at a time, the worker and the server would wait for each other.
"""


class Lane:
    """A stream of leases: for all handlers that get one job, or for one batch handler.

    Its limit is `concurrency` calls at once. It leases nothing while MAX_UNREPORTED outcomes are unreported.
    """

    def __init__(
        self,
        client: AsyncClient,
        options: WorkerOptions,
        registrations: Sequence[Registration],
        calls: Calls,
        metrics: WorkerMetrics | None,
    ) -> None:
        self._client = client
        self._options = options
        self._by_type = {name: each for each in registrations for name in each.queue_types}
        self._types = list(self._by_type)
        self._batch = next((each for each in registrations if each.batch is not None), None)
        self._most = options.batch if self._batch is None else self._batch.batch or 1
        self._calls = calls
        self._metrics = metrics
        self._free = options.concurrency
        self._is_backlogged = False
        self._is_stopping = False
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Lease nothing more. `run` returns once the requests in flight are answered, so that no lease is lost."""
        self._is_stopping = True
        self._changed.set()

    def wake(self) -> None:
        """Look again if there is room, because fewer outcomes are unreported."""
        self._changed.set()

    async def run(self) -> None:
        """Lease jobs and start their handlers until `stop`, also across restarts of the server.

        Raises:
            InvalidRequest, Unauthorized, Forbidden, NotFound: the server refuses to lease, and a retry cannot help.
        """
        backlog = [asyncio.create_task(self._lease_backlog()) for _ in range(BACKLOG_REQUESTS)]
        try:
            await self._lease_until_stopped()
            await asyncio.gather(*backlog)
        finally:
            for task in backlog:
                task.cancel()

    async def _lease_until_stopped(self) -> None:
        loop = asyncio.get_running_loop()
        failed_tries = 0
        least_s = self._options.wait_ms / 1000 or QUIET_PAUSE_S
        while await self._wait_for_room(1):
            asked_at_s = loop.time()
            try:
                is_empty = not await self._lease(self._options.wait_ms)
                failed_tries = 0
                # A draining server answers at once; without a pause the worker would ask it in a busy loop.
                if is_empty and loop.time() - asked_at_s < least_s:
                    await self._pause(QUIET_PAUSE_S)
            except errors.SharqError as error:
                if self._metrics is not None:
                    self._metrics.dequeue_failures += 1
                if error.retry_after_s is None and not error.perhaps_done:
                    raise
                failed_tries += 1
                pause_s = failures.pause_s(error, failed_tries)
                log.warning(
                    "dequeue_failed queue_type=%s retry_in_s=%.1f error=%s",
                    ",".join(self._types), pause_s, error,
                )  # fmt: skip
                await self._pause(pause_s)

    async def _lease_backlog(self) -> None:
        """Lease what else is ready, whenever an answer was full and there is room for another full one."""
        needed = self._most if self._batch is None else 1
        while await self._wait_for_room(needed, is_backlog=True):
            try:
                await self._lease(wait_ms=0)
            except errors.SharqError:
                self._is_backlogged = False  # the usual request meets the error, too, and handles it

    async def _lease(self, wait_ms: float) -> int:
        """Lease up to as many jobs as there is room for, and start their handlers. Return the number of jobs."""
        count = self._most if self._batch is not None else min(self._most, self._free)
        reserved = 1 if self._batch is not None else count
        self._free -= reserved
        try:
            jobs = await self._client.dequeue(
                self._types[0] if len(self._types) == 1 else self._types,
                count,
                wait_ms=wait_ms,
                lease_ms=self._options.lease_ms,
            )
        finally:
            self._free += reserved
        self._is_backlogged = len(jobs) == count
        if self._batch is not None and jobs:
            self._start(self._batch, jobs)
        else:
            await self._start_each(jobs)
        self._changed.set()
        return len(jobs)

    async def _start_each(self, jobs: Sequence[LeasedJob]) -> None:
        """Start the handler of each job.

        Others get their turn if the handlers take their time before they wait for something. (Before Python 3.12 they
        start together in the next round of the loop.)
        """
        remaining = deque(jobs)
        yielded_at_s = time.monotonic()
        try:
            while remaining:
                if time.monotonic() - yielded_at_s > YIELD_AFTER_S:
                    await asyncio.sleep(0)
                    yielded_at_s = time.monotonic()
                job = remaining.popleft()
                self._start(self._by_type[job.queue_type], [job])
        finally:
            # Only a cancellation leaves any: they are released, so that another worker may have them at once.
            self._calls.refuse(remaining)

    def _start(self, registration: Registration, jobs: Sequence[LeasedJob]) -> None:
        """Start a handler, or release its jobs if the lane was stopped in the meantime."""
        if self._is_stopping:
            self._calls.refuse(jobs)
            return
        self._free -= 1
        self._calls.start(registration, jobs, self._on_ended)

    def _on_ended(self) -> None:
        self._free += 1
        self._changed.set()

    async def _wait_for_room(self, calls: int, *, is_backlog: bool = False) -> bool:
        """Wait until this number of calls may start. Return False once the lane is stopping.

        Args:
            is_backlog: True to wait also until more jobs are ready than one request takes.
        """
        # Handlers that end together make room for one request, and not for one each.
        await pass_turns()
        while not self._is_stopping:
            has_room = self._free >= calls and self._calls.outcomes.unreported() < MAX_UNREPORTED
            if has_room and (self._is_backlogged or not is_backlog):
                return True
            self._changed.clear()
            await self._changed.wait()
            await pass_turns()
        return False

    async def _pause(self, pause_s: float) -> None:
        """Sleep, but wake up at `stop`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                while not self._is_stopping:
                    self._changed.clear()
                    await self._changed.wait()
