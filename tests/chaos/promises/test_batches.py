"""A batch counts exactly its jobs, and a cancellation is finished by a repeat, while shards and routers die.

What became of each job is asked for by its id: the numbers of the batch must say the same.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter

import pytest

from sharq_client import AsyncClient, BatchStatus, EnqueueJob, JobState, errors
from tests.chaos.stage import QUIET_S, Stage, is_quick
from tests.chaos.test_processes import come_back, until_serving
from tests.support.processes.servers import SharqProcess
from tests.support.waits import until_answer

pytestmark = pytest.mark.timeout(600)

BATCH = "campaign7"
QUEUES = 40
JOBS = 1_500 if is_quick() else 20_000
CHUNK = 50
LEASE_MS = 2_000
WORKERS = 4


class Campaign:
    """The batch of one run, with what its producer and its workers know of it.

    Attributes:
        accepted: ids of jobs that the server has accepted for sure.
        finished: ids of jobs whose finish was answered.
        cancelled_at_s: when the first cancellation was sent (time.monotonic).
        leased_late: jobs that a dequeue returned that was sent after a cancellation had been answered.
    """

    def __init__(self, stage: Stage) -> None:
        self.kind = f"t-{uuid.uuid4().hex[:12]}"
        self.client = AsyncClient(stage.cluster.urls, timeout_s=5, retries=8)
        self.accepted: set[str] = set()
        self.refused = 0
        self.finished: set[str] = set()
        self.leased_late: list[str] = []
        self.is_cancelled = self.is_over = False

    def job(self, number: int) -> EnqueueJob:
        return EnqueueJob(
            queue_type=self.kind,
            queue_id=f"q{number % QUEUES}",
            job_id=f"j{number}",
            payload=number,
            interval=1,
            delay=LEASE_MS if number % 7 == 0 else 0,
            batch=BATCH,
            repeat=True,
        )

    async def produce(self) -> None:
        """Enqueue all jobs; what fails is sent again, until it is accepted or refused."""
        waiting = [self.job(number) for number in range(JOBS)]
        while waiting:
            some, waiting = waiting[:CHUNK], waiting[CHUNK:]
            for job, answer in zip(some, await self.client.enqueue_many(some), strict=True):
                assert job.job_id is not None
                if not isinstance(answer, errors.SharqError):
                    self.accepted.add(job.job_id)
                elif isinstance(answer, errors.BatchCancelled):
                    self.refused += 1
                else:
                    waiting.append(job)
            await asyncio.sleep(0.01)

    async def work(self) -> None:
        """Lease jobs and finish most of them until all is over."""
        choices = random.Random(7)
        while not self.is_over:
            was_cancelled = self.is_cancelled
            try:
                jobs = await self.client.dequeue(self.kind, 10, lease_ms=LEASE_MS, wait_ms=200)
            except errors.SharqError:
                await asyncio.sleep(0.1)
                continue
            if was_cancelled:
                self.leased_late += [job.job_id for job in jobs]
            kept = [job for job in jobs if choices.random() < 0.8]
            for job, error in zip(kept, await self.client.finish_many(kept), strict=True):
                if error is None:
                    self.finished.add(job.job_id)

    async def cancel(self) -> None:
        """Cancel the batch, again and again until a call is answered."""
        deadline_s = time.monotonic() + QUIET_S
        while not self.is_cancelled:
            try:
                await self.client.jobs.cancel_batch(self.kind, BATCH)
                self.is_cancelled = True
            except (errors.OutcomeUnknown, errors.Unavailable, errors.Overloaded):
                assert time.monotonic() < deadline_s, "the cancellation was never answered"
                await asyncio.sleep(0.05)

    async def numbers(self) -> BatchStatus | None:
        try:
            return await self.client.jobs.batch(self.kind, BATCH)
        except errors.SharqError:
            return None

    async def fates(self) -> Counter[JobState]:
        """Ask for the state of each job."""
        found: Counter[JobState] = Counter()
        for number in range(JOBS):
            status = await self.client.job(self.kind, f"q{number % QUEUES}", f"j{number}")
            if status is not None:
                found[status.state] += 1
        return found


async def kill_and_return(stage: Stage, processes: list[SharqProcess]) -> None:
    """Kill processes one after the other, each in the middle of what happens."""
    for process in processes:
        await asyncio.sleep(0.2)
        process.kill()
        await asyncio.sleep(stage.pace.hold_s / 2)
        await come_back(process)
    await until_serving(stage, len(stage.cluster.shards))


async def test_a_batch_is_exact_and_its_cancellation_is_finished_by_a_repeat(shared_stage: Stage) -> None:
    stage = shared_stage
    campaign = Campaign(stage)
    async with campaign.client:
        workers = [asyncio.create_task(campaign.work()) for _ in range(WORKERS)]
        producer = asyncio.create_task(campaign.produce())
        await kill_and_return(stage, [stage.cluster.shards[0], stage.cluster.routers[0]])
        await asyncio.gather(
            campaign.cancel(), kill_and_return(stage, [stage.cluster.shards[1], stage.cluster.routers[1]])
        )
        await producer
        counts = await until_answer(
            campaign.numbers, lambda found: found is not None and found.has_ended, QUIET_S
        )
        campaign.is_over = True
        await asyncio.gather(*workers)
        fates = await campaign.fates()
    assert counts is not None
    assert fates.keys() <= {JobState.FINISHED, JobState.CANCELLED}
    assert (counts.finished, counts.cancelled) == (fates[JobState.FINISHED], fates[JobState.CANCELLED])
    assert counts.total == len(campaign.accepted), "each job that was accepted counts once"
    assert len(campaign.finished) <= counts.finished
    assert campaign.leased_late == []
    assert counts.finished > 0 and counts.cancelled > 0, "the cancellation came in the middle"
