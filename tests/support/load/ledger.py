"""Loads a node in the test's own process and keeps book: what was acknowledged, delivered and finished."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from sharq_core.errors import SharqError
from sharq_core.link.messages import GetQueue
from sharq_core.models import Enqueued, FinishJob, LeasedJob, LeaseOutcome, LeaseStatus, QueueKey
from tests.support.nodes.parts import Parts, job

KIND = "sms"
LEASE_US = 2_000_000
WAIT_US = 1_000_000
"""Far above the time between two jobs: a poll that ends as it is served gives its jobs back, behind later ones."""

PAUSE_S = 0.02
"""The pause of a producer between two calls. Each call takes some milliseconds, so that of a dozen producers some have
one under way when a server is killed. More calls would only keep the processors busy during a failover.
"""

CLOSE_S = 0.01
"""The same for what lasts milliseconds only."""

RETRY_S = 0.01
LOOK_AGAIN_S = 0.1
BULK = 3
DRAIN_WITHIN_S = 90.0

JobName: TypeAlias = tuple[str, str]
"""queue_id, job_id."""


class Ledger:
    """One producer a queue and one consumer on a node; a producer repeats what it is not sure of, a consumer does not.

    Attributes:
        acknowledged: jobs whose enqueue was answered.
        delivered: how often each job was, in the order of the first times.
        finished: jobs whose finish was answered.
        came_back: jobs that were delivered after that.
        failures: every error that a request came to.
    """

    def __init__(
        self, parts: Parts, queues: Sequence[str], queue_type: str, lease_us: int, pause_s: float
    ) -> None:
        self.acknowledged: set[JobName] = set()
        self.delivered: Counter[JobName] = Counter()
        self.finished: set[JobName] = set()
        self.came_back: list[JobName] = []
        self.failures: list[SharqError] = []
        self._parts = parts
        self._queues = queues
        self._queue_type = queue_type
        self._lease_us = lease_us
        self._pause_s = pause_s
        self._is_over = False

    @property
    def lost(self) -> set[JobName]:
        """Acknowledged jobs that nobody was given."""
        return self.acknowledged - self.delivered.keys()

    @property
    def flaws(self) -> set[JobName]:
        """Jobs that were lost, delivered twice, or delivered after a younger one; ids are in alphabetical order."""
        twice = {name for name, times in self.delivered.items() if times > 1}
        return self.lost | twice | self._overtaken()

    def _overtaken(self) -> set[JobName]:
        youngest: dict[str, str] = defaultdict(str)
        found = set()
        for queue, job_id in self.delivered:
            if job_id < youngest[queue]:
                found.add((queue, job_id))
            youngest[queue] = max(job_id, youngest[queue])
        return found

    async def run(self) -> None:
        """Go on until `end`, then until the queues are empty."""
        producers = [asyncio.create_task(self._produce(queue)) for queue in self._queues]
        consumer = asyncio.create_task(self._consume())
        await asyncio.gather(*producers)
        while not await self._is_drained():
            await asyncio.sleep(LOOK_AGAIN_S)
        consumer.cancel()
        await asyncio.gather(consumer, return_exceptions=True)

    def end(self) -> None:
        """Enqueue no more."""
        self._is_over = True

    async def _produce(self, queue: str) -> None:
        number = 0
        while not self._is_over:
            names = {f"{number + step:06}" for step in range(BULK)}
            number += BULK
            while names:
                names -= await self._enqueue(queue, sorted(names))
                await asyncio.sleep(self._pause_s)

    async def _enqueue(self, queue: str, names: list[str]) -> set[str]:
        """Return the jobs that were acknowledged."""
        bulk = [job(self._queue_type, queue, name, repeat=True) for name in names]
        outcomes = await self._parts.dispatch.enqueue(bulk)
        self.failures += [outcome for outcome in outcomes if isinstance(outcome, SharqError)]
        done = {name for name, it in zip(names, outcomes, strict=True) if isinstance(it, Enqueued)}
        self.acknowledged |= {(queue, name) for name in done}
        return done

    async def _consume(self) -> None:
        while True:
            try:
                await self._finish(await self._parts.dequeue(self._queue_type, 100, WAIT_US, self._lease_us))
            except SharqError as error:
                self.failures.append(error)
                await asyncio.sleep(RETRY_S)

    async def _finish(self, leased: list[LeasedJob]) -> None:
        names = [(one.queue_id, one.job_id) for one in leased]
        self.delivered.update(names)
        self.came_back += [name for name in names if name in self.finished]
        ends = [FinishJob(self._queue_type, one.queue_id, one.job_id, one.lease) for one in leased]
        outcomes = await self._parts.dispatch.finish(ends)
        self.failures += [outcome for outcome in outcomes if isinstance(outcome, SharqError)]
        done = LeaseOutcome(LeaseStatus.DONE)
        self.finished |= {name for name, outcome in zip(names, outcomes, strict=True) if outcome == done}

    async def _is_drained(self) -> bool:
        try:
            found = await asyncio.gather(
                *(
                    self._parts.dispatch.route(GetQueue(QueueKey(self._queue_type, queue)))
                    for queue in self._queues
                )
            )
        except SharqError:
            return False
        return not any(stats.queued or stats.leased for stats in found)


@asynccontextmanager
async def kept_books(
    parts: Parts,
    queues: Sequence[str],
    queue_type: str = KIND,
    lease_us: int = LEASE_US,
    pause_s: float = PAUSE_S,
) -> AsyncIterator[Ledger]:
    """Run a load for the length of the block; at the end it is drained."""
    ledger = Ledger(parts, queues, queue_type, lease_us, pause_s)
    task = asyncio.create_task(ledger.run())
    try:
        yield ledger
    finally:
        ledger.end()
        async with asyncio.timeout(DRAIN_WITHIN_S):
            await task
