"""A load through the Python client on all routers of a cluster: producers, workers, and what they saw.

Every queue is sent as much as its rate on top of a backlog, so that at any time it is the rate that holds jobs back.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from sharq_client import AsyncClient, EnqueueJob, LeasedJob, Outcome, Worker
from sharq_client.errors import SharqError

DEADLINE_S = 60.0
PAUSE_S = 0.02
QUEUES = 20
INTERVAL_MS = 100
BURST = 2
"""One late lease is caught up, so that the rate over time is the promised one also on a busy machine."""

PROMISED_PER_S = QUEUES * 1000 / INTERVAL_MS
BACKLOG = 40
"""Jobs of a queue that are sent ahead: four seconds of its rate."""

TICK_S = 0.1
LEASE_MS = 3_000
ROUNDING_MS = 1
"""Times on the wire are whole milliseconds."""


class ClientLoad:
    """Producers and workers through the client, and the record of what they did.

    Attributes:
        acknowledged, finished: jobs, by queue and id.
        leased_ms: when the leases of each queue were made, by the store's clock.
    """

    def __init__(self, clients: Sequence[AsyncClient], kind: str) -> None:
        self.acknowledged: set[tuple[str, str]] = set()
        self.finished: set[tuple[str, str]] = set()
        self.leased_ms: dict[str, list[int]] = defaultdict(list)
        self._kind = kind
        self._clients = itertools.cycle(clients)
        self._is_over = False

    @property
    def lost(self) -> set[tuple[str, str]]:
        """Jobs that were acknowledged and not finished."""
        return self.acknowledged - self.finished

    @property
    def too_early(self) -> list[str]:
        """Leases that came before an interval was over since the BURST-th before them."""
        found = []
        for queue, times in self.leased_ms.items():
            ordered = sorted(times)
            gaps = [later - earlier for earlier, later in zip(ordered, ordered[BURST:], strict=False)]
            found += [f"{queue}: {gap} ms" for gap in gaps if gap < INTERVAL_MS - ROUNDING_MS]
        return found

    def leased_per_s(self, from_ms: float, until_ms: float) -> float:
        """Leases a second between two times of the store's clock."""
        times = sorted(itertools.chain.from_iterable(self.leased_ms.values()))
        return (bisect_left(times, until_ms) - bisect_left(times, from_ms)) * 1000 / (until_ms - from_ms)

    def queues_leased_from(self, from_ms: float, until_ms: float) -> set[str]:
        """Return the queues of which a job was leased between two times of the store's clock."""
        return {
            queue for queue, times in self.leased_ms.items() if any(from_ms <= at < until_ms for at in times)
        }

    async def go_on_until(self, store_ms: float) -> None:
        """Let it run until a lease was made at or after a time of the store's clock."""
        async with asyncio.timeout(DEADLINE_S):
            while max((times[-1] for times in self.leased_ms.values()), default=0) < store_ms:
                await asyncio.sleep(PAUSE_S)

    async def finish(self) -> None:
        """Send no more, and wait until everything that was acknowledged is finished."""
        self._is_over = True
        async with asyncio.timeout(DEADLINE_S):
            while self.lost:
                await asyncio.sleep(PAUSE_S)

    async def produce(self) -> None:
        """Send the backlog, then each queue's rate."""
        await self._send(BACKLOG)
        begin_s = time.monotonic()
        for tick in itertools.count(1):
            if self._is_over:
                return
            await self._send(round(TICK_S * 1000 / INTERVAL_MS))
            await asyncio.sleep(max(0.0, begin_s + tick * TICK_S - time.monotonic()))

    async def handle(self, job: LeasedJob) -> None:
        """Note the lease of a job."""
        self.leased_ms[job.queue_id].append(job.lease_expires_at - LEASE_MS)

    def on_reported(self, job: LeasedJob, outcome: Outcome, error: SharqError | None) -> None:
        """Note a finish that the cluster has accepted."""
        if outcome is Outcome.FINISH and error is None:
            self.finished.add((job.queue_id, job.job_id))

    async def _send(self, count: int) -> None:
        """Send that many jobs to every queue; those that are refused were not acknowledged."""
        jobs = [self._job(f"q{number}") for number in range(QUEUES) for _ in range(count)]
        answers = await next(self._clients).enqueue_many(jobs)
        for job, answer in zip(jobs, answers, strict=True):
            if not isinstance(answer, SharqError):
                self.acknowledged.add((job.queue_id, answer.job_id))

    def _job(self, queue: str) -> EnqueueJob:
        return EnqueueJob(
            queue_type=self._kind, queue_id=queue, payload=None, interval=INTERVAL_MS, burst=BURST
        )


@asynccontextmanager
async def client_load(urls: Sequence[str], kind: str) -> AsyncIterator[ClientLoad]:
    """A load for the length of the block, which calls `finish` before its end: as many clients as routers, each with
    two workers; each begins at another router.
    """
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient([*urls[first:], *urls[:first]]))
            for first in range(len(urls))
        ]
        load = ClientLoad(clients, kind)
        for client in clients * 2:
            worker = Worker(
                client, kind, load.handle, concurrency=200, lease_ms=LEASE_MS, wait_ms=500,
                on_reported=load.on_reported,
            )  # fmt: skip
            await stack.enter_async_context(worker)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        producing = group.create_task(load.produce())
        stack.callback(producing.cancel)
        yield load
