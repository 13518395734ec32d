"""Runs the three phases of the load on types of its own, and removes what it made.

First jobs are enqueued, then leased and finished as fast as possible, and then each customer gets a rate whose spacing
is measured by the store's clock.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from sharq_client.aio.client import AsyncClient
from sharq_client.answers import LeasedJob
from sharq_client.cli.bench.figures import (
    MS_ROUNDING,
    CallTimes,
    Figures,
    Plan,
    Spacing,
    Throughput,
    smallest_distance,
)
from sharq_client.errors import SharqError
from sharq_client.requests import EnqueueJob

PREFIX = "bench-"
"""The first characters of the types that a benchmark makes."""

LEASE_MS = 30_000
WAIT_MS = 200
"""The time for which the server holds a dequeue: short, so that a phase ends in time."""


class Load:
    """One benchmark.

    Args:
        client: it should make no retries, so that latencies are those of single calls.
        say: is called at the beginning of each phase.
    """

    def __init__(self, client: AsyncClient, plan: Plan, url: str, say: Callable[[str], None]) -> None:
        self._client = client
        self._plan = plan
        self._url = url
        self._say = say
        run = uuid.uuid4().hex[:12]
        self._fast_type, self._rated_type = f"{PREFIX}{run}", f"{PREFIX}{run}-rate"
        self._queues = [f"customer-{number}" for number in range(plan.customers)]
        self._errors = 0
        self._first_error: SharqError | None = None

    async def run(self) -> Figures:
        """Run the phases. Whatever happens, the queues are gone afterwards.

        Raises:
            SharqError: the first error, if no call of a phase succeeded.
        """
        try:
            self._say(f"enqueueing up to {self._plan.jobs:,} jobs of {self._plan.customers} customers")
            enqueued = await self._enqueue()
            self._say("leasing and finishing them")
            whole = await self._work(enqueued.jobs)
            self._say(f"spacing at {self._plan.rate_per_s:g}/s for each customer")
            spacing = await self._space()
        finally:
            self._say("removing the queues")
            await self._clean_up()
        return Figures(self._url, enqueued, whole, spacing, self._errors)

    async def _enqueue(self) -> Throughput:
        times, done = CallTimes(), 0
        numbers = itertools.count()
        payload = {"text": "x" * max(self._plan.payload_bytes - 11, 0)}

        def jobs() -> list[EnqueueJob]:
            taken = [next(numbers) for _ in range(self._plan.batch)]
            return [
                EnqueueJob(
                    queue_type=self._fast_type,
                    queue_id=self._queues[number % len(self._queues)],
                    interval=0,
                    payload=payload,
                )
                for number in taken
                if number < self._plan.jobs
            ]

        async def send() -> bool:
            nonlocal done
            batch = jobs()
            if not batch:
                return False
            with times.timed("enqueue"):
                if self._plan.batch == 1:
                    await self._client.enqueue(batch[0])
                    done += 1
                else:
                    answers = await self._client.enqueue_many(batch)
                    done += len(answers) - self._count(answers)
            return True

        await self._in_parallel(send, self._plan.phase_s)
        self._check(done)
        return times.throughput(done)

    async def _work(self, expected: int) -> Throughput:
        times, done = CallTimes(), 0

        async def work() -> bool:
            nonlocal done
            with times.timed("dequeue"):
                jobs = await self._client.dequeue(
                    self._fast_type, self._plan.batch, wait_ms=WAIT_MS, lease_ms=LEASE_MS
                )
            if jobs:
                with times.timed("finish"):
                    finished = await self._finish(jobs)
                done += finished  # in a line of its own: other tasks add to it during an await
            return done < expected

        await self._in_parallel(work, self._plan.phase_s)
        self._check(done)
        return times.throughput(done)

    async def _space(self) -> Spacing:
        plan = self._plan
        leases_ms: dict[str, list[int]] = defaultdict(list)
        promised = int(plan.rate_per_s * plan.phase_s) + 1
        jobs = [
            EnqueueJob(
                queue_type=self._rated_type,
                queue_id=queue_id,
                interval=1000 / plan.rate_per_s,
                payload=number,
            )
            for queue_id in self._queues
            for number in range(promised)
        ]
        self._count(await self._client.enqueue_many(jobs))
        began_s = time.monotonic()

        async def work() -> bool:
            jobs = await self._client.dequeue(self._rated_type, 100, wait_ms=WAIT_MS, lease_ms=LEASE_MS)
            for job in jobs:
                leases_ms[job.queue_id].append(job.lease_expires_at - LEASE_MS)
            await self._finish(jobs)
            return True

        await self._in_parallel(work, plan.phase_s)
        elapsed_s = time.monotonic() - began_s
        interval_ms = 1000 / plan.rate_per_s
        smallest_ms = smallest_distance(list(leases_ms.values()))
        allowed = min(int(plan.rate_per_s * min(elapsed_s, plan.phase_s)) + 1, promised)
        return Spacing(
            len(self._queues),
            f"{plan.rate_per_s:g}/s",
            round(interval_ms, 3),
            smallest_ms,
            allowed * len(self._queues),
            sum(map(len, leases_ms.values())),
            smallest_ms is None or smallest_ms >= interval_ms - MS_ROUNDING,
        )

    async def _finish(self, jobs: Sequence[LeasedJob]) -> int:
        """Finish jobs. Return the number of those that are finished."""
        if len(jobs) == 1:
            await self._client.finish(jobs[0])
            return 1
        answers = await self._client.finish_many(jobs)
        return len(answers) - self._count(answers)

    async def _in_parallel(self, step: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Repeat a step in as many tasks as the plan says, until each has returned False or the time is over."""
        end_s = time.monotonic() + seconds

        async def repeat() -> None:
            while time.monotonic() < end_s:
                try:
                    if not await step():
                        return
                except SharqError as error:
                    self._count([error])
                    await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._plan.concurrency):
                tasks.create_task(repeat())

    def _count(self, answers: Sequence[object]) -> int:
        """Count the errors among answers, and return their number."""
        errors = [answer for answer in answers if isinstance(answer, SharqError)]
        self._errors += len(errors)
        self._first_error = self._first_error or next(iter(errors), None)
        return len(errors)

    def _check(self, done: int) -> None:
        if not done and self._first_error is not None:
            raise self._first_error

    async def _clean_up(self) -> None:
        places = itertools.product((self._fast_type, self._rated_type), self._queues)
        while some := list(itertools.islice(places, self._plan.concurrency)):
            calls = (self._client.delete_queue(*place, purge_all=True) for place in some)
            await asyncio.gather(*calls, return_exceptions=True)
