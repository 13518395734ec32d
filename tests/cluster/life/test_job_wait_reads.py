"""The reads of jobs that many requests wait for, when shards change or fail."""

from __future__ import annotations

import asyncio

import pytest

from router.longpoll import job_waits
from router.longpoll.job_waits import READS_AT_ONCE, JobWaits
from router.shards.dispatch import Dispatch
from sharq_core.errors import Unavailable
from sharq_core.link.messages import GetJob
from sharq_core.models import FinishJob, JobState, JobStatus, QueueKey
from tests.cluster.life.test_job_waits import KIND, LONG_US, OneLink, end_of, leased
from tests.support.nodes.parts import Parts
from tests.support.waits import until

JOBS = 1_000


class Readings:
    """A dispatch to a real node that counts the reads of jobs, and refuses them at will.

    Attributes:
        most: the most reads at one time.
        reads: all reads.
    """

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._now = self.most = self.reads = 0
        self.is_away = False

    async def route(self, call: GetJob, /) -> JobStatus | None:
        self._now += 1
        self.most, self.reads = max(self.most, self._now), self.reads + 1
        try:
            if self.is_away:
                raise Unavailable("no shard can be reached")
            return await self._dispatch.route(call)
        finally:
            self._now -= 1


async def test_a_change_of_shards_reads_many_jobs_a_few_at_a_time(parts: Parts) -> None:
    """All at once would take every place of a link, and other requests would be refused."""
    directory, readings = OneLink(parts.node, 64), Readings(parts.dispatch)
    waits = JobWaits(directory, readings)  # type: ignore[arg-type] # as far as it is asked
    ids = [f"j{number}" for number in range(JOBS)]
    leases = await leased(parts, *ids)
    waiting = [asyncio.create_task(waits.status(QueueKey(KIND, "q"), job_id, LONG_US)) for job_id in ids]
    await until(lambda: readings.reads == 2 * JOBS)
    readings.most = readings.reads = 0
    directory.change(None)
    directory.change(parts.node)
    await until(lambda: readings.reads == JOBS)
    assert 0 < readings.most <= READS_AT_ONCE
    await parts.dispatch.finish([FinishJob(KIND, "q", job_id, leases[job_id]) for job_id in ids])
    assert {(await end_of(wait)).state for wait in waiting} == {JobState.FINISHED}


async def test_an_end_while_no_job_can_be_read_is_found_soon_afterwards(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many watched jobs, the usual time until the next read is long."""
    monkeypatch.setattr(job_waits, "READS_A_SECOND", 1)
    directory, readings = OneLink(parts.node, 64), Readings(parts.dispatch)
    waits = JobWaits(directory, readings)  # type: ignore[arg-type] # as far as it is asked
    ids = [f"j{number}" for number in range(100)]
    leases = await leased(parts, *ids)
    waiting = [asyncio.create_task(waits.status(QueueKey(KIND, "q"), job_id, LONG_US)) for job_id in ids]
    await until(lambda: readings.reads == 2 * len(ids))
    readings.is_away = True
    await parts.dispatch.finish([FinishJob(KIND, "q", job_id, leases[job_id]) for job_id in ids])
    before = readings.reads
    await asyncio.sleep(1)
    assert readings.reads - before < 15 * len(ids), "they are tried with pauses in between"
    readings.is_away = False
    assert {(await end_of(wait)).state for wait in waiting} == {JobState.FINISHED}
