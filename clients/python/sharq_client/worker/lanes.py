"""Leases jobs for handlers, never more than may run, and goes on while the server is away.

A job starts as soon as it is leased. The queue's rate spaces the leases, and a job that waited in the worker would blur
that spacing. Not here: running the handlers (calls.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sharq_client import errors, failures
from sharq_client.aio.client import AsyncClient
from sharq_client.answers import LeasedJob
from sharq_client.worker.calls import Calls
from sharq_client.worker.handlers.registry import Registration
from sharq_client.worker.options import WorkerOptions

if TYPE_CHECKING:
    from sharq_client.worker.metrics import WorkerMetrics

log = logging.getLogger("sharq.worker")

QUIET_PAUSE_S = 0.25
"""The pause after an empty answer that came before its wait was over, as from a draining server."""


class Lane:
    """A stream of leases: for all handlers that get one job, or for one batch handler.

    Its limit is `concurrency` calls at once, which run, or have ended and are not yet reported.
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
        self._calls = calls
        self._metrics = metrics
        self._in_hand = 0
        self._has_room = asyncio.Event()
        self._is_stopping = asyncio.Event()

    def stop(self) -> None:
        """Lease nothing more. `run` returns once the request in flight is answered, so that no lease is lost in it."""
        self._is_stopping.set()
        self._has_room.set()

    async def run(self) -> None:
        """Lease jobs and start their handlers until `stop`, also across restarts of the server.

        Raises:
            InvalidRequest, Unauthorized, Forbidden, NotFound: the server refuses to lease, and a retry cannot help.
        """
        failed_tries = 0
        while await self._room():
            try:
                await self._lease()
                failed_tries = 0
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

    async def _lease(self) -> None:
        loop = asyncio.get_running_loop()
        asked_at_s = loop.time()
        jobs = await self._client.dequeue(
            self._types[0] if len(self._types) == 1 else self._types,
            self._count(),
            wait_ms=self._options.wait_ms,
            lease_ms=self._options.lease_ms,
        )
        if self._batch is not None and jobs:
            self._start(self._batch, jobs)
        else:
            for job in jobs:
                self._start(self._by_type[job.queue_type], [job])
        # A draining server answers at once; without a pause the worker would ask it in a busy loop.
        if not jobs and loop.time() - asked_at_s < self._options.wait_ms / 1000:
            await self._pause(QUIET_PAUSE_S)

    def _start(self, registration: Registration, jobs: Sequence[LeasedJob]) -> None:
        """Start a handler, or release its jobs if the lane was stopped in the meantime."""
        self._in_hand += 1
        start = self._calls.refuse if self._is_stopping.is_set() else self._calls.start
        start(registration, jobs, self._on_reported)

    def _count(self) -> int:
        if self._batch is not None and self._batch.batch is not None:
            return self._batch.batch
        return min(self._options.batch, self._options.concurrency - self._in_hand)

    def _on_reported(self) -> None:
        self._in_hand -= 1
        self._has_room.set()

    async def _room(self) -> bool:
        """Wait until another call may start. Return False once the lane is stopping."""
        while self._in_hand >= self._options.concurrency and not self._is_stopping.is_set():
            self._has_room.clear()
            await self._has_room.wait()
        return not self._is_stopping.is_set()

    async def _pause(self, pause_s: float) -> None:
        """Sleep, but wake up at `stop`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._is_stopping.wait()
