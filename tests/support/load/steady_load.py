"""A light, steady load on one node: jobs are enqueued in small bulks, leased and finished, and all is written down."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sharq_core.errors import SharqError
from sharq_core.models import Enqueued, FinishJob, LeasedJob
from tests.support.nodes.parts import Parts, job

BULK = 3
PAUSE_S = 0.01
WAIT_US = 1_000_000
"""Far above the time between two jobs: a poll that ends as it is served gives its jobs back, behind later ones."""


class Load:
    """What was done.

    Attributes:
        acknowledged, delivered: job ids by queue, in order.
        failures: every error that a request came to.
    """

    def __init__(self, parts: Parts, queue_type: str, queues: Sequence[str]) -> None:
        self.acknowledged: dict[str, list[str]] = defaultdict(list)
        self.delivered: dict[str, list[str]] = defaultdict(list)
        self.failures: list[SharqError] = []
        self._parts = parts
        self._queue_type = queue_type
        self._queues = queues
        self._is_over = False

    @property
    def count(self) -> int:
        """Jobs acknowledged so far."""
        return sum(map(len, self.acknowledged.values()))

    async def run(self) -> None:
        """Go on until `end`, then until nothing is left."""
        consumer = asyncio.create_task(self._consume())
        await asyncio.gather(*(self._produce(queue) for queue in self._queues))
        await consumer

    def end(self) -> None:
        """Enqueue no more."""
        self._is_over = True

    async def _produce(self, queue: str) -> None:
        number = 0
        while not self._is_over:
            bulk = [job(self._queue_type, queue, f"{number + step:06}") for step in range(BULK)]
            number += BULK
            try:
                outcomes = await self._parts.dispatch.enqueue(bulk)
            except SharqError as error:
                outcomes = [error]
            self.failures += [outcome for outcome in outcomes if isinstance(outcome, SharqError)]
            pairs = zip(bulk, outcomes, strict=False)
            self.acknowledged[queue] += [one.job_id for one, it in pairs if isinstance(it, Enqueued)]
            await asyncio.sleep(PAUSE_S)

    async def _consume(self) -> None:
        while True:
            try:
                leased = await self._parts.dequeue(self._queue_type, 100, WAIT_US)
                await self._finish(leased)
            except SharqError as error:
                self.failures.append(error)
                await asyncio.sleep(PAUSE_S)
                continue
            if self._is_over and not leased:
                return

    async def _finish(self, leased: list[LeasedJob]) -> None:
        for one in leased:
            self.delivered[one.queue_id].append(one.job_id)
        ends = [FinishJob(one.queue_type, one.queue_id, one.job_id, one.lease) for one in leased]
        outcomes = await self._parts.dispatch.finish(ends)
        self.failures += [outcome for outcome in outcomes if isinstance(outcome, SharqError)]


@asynccontextmanager
async def steady_load(parts: Parts, queue_type: str, queues: Sequence[str]) -> AsyncIterator[Load]:
    """A load that runs meanwhile; at the end it is drained."""
    load = Load(parts, queue_type, queues)
    task = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        load.end()
        async with asyncio.timeout(60):
            await task
