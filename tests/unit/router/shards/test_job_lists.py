"""One list of jobs or dead letters takes a bounded number of calls, and says where to go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.api.life.parsing import JobsPage
from router.handlers.caps.reasons import CapReasons
from router.handlers.job_lists import (
    JOB_WORK_BYTES,
    MAX_STEPS,
    STEP_JOBS,
    JobListing,
    ListTurns,
)
from router.handlers.list_answers import MAX_LIST_BYTES
from router.shards.dispatch import Dispatch
from router.shards.one_shard import OneShard
from router.shards.walks.listings import MAX_SCANS
from router.shards.walks.unread import Unread
from sharq_core.errors import InvalidRequest
from sharq_core.job_changes import JobPage, JobRow
from sharq_core.job_life import DeadPage
from sharq_core.link.job_calls import ListDead, ListJobs
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import FORMATS, Call, OnDue
from sharq_core.models import JobState, JobStatus, QueueKey
from sharq_core.partitions import partition_of

PARTITIONS = 64
KEY = QueueKey("sms", "acme")


class Shard:
    """A shard whose lists never end.

    Args:
        jobs: the jobs on each page of the jobs of a queue.

    Attributes:
        calls: the calls so far.
    """

    def __init__(self, jobs: int, payload: bytes = b"1") -> None:
        self.calls: list[Any] = []
        self._rows = [
            JobRow(f"j{number}", JobStatus(JobState.QUEUED, 0, 1, payload=payload)) for number in range(jobs)
        ]

    async def call(self, call: Call[Any]) -> Any:
        self.calls.append(call)
        if isinstance(call, ListDead):
            return DeadPage([], f"{len(self.calls)}:x", 1)
        assert isinstance(call, ListJobs)
        return JobPage(self._rows[: call.limit], f"132.{len(self.calls)}")

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        """These tests do not call it."""

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        """These tests do not call it."""

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""


def dispatch_to(shard: Shard) -> Dispatch:
    directory = OneShard(shard, PARTITIONS)
    directory.formats = FORMATS
    return Dispatch(directory)


async def listed(
    shard: Shard, limit: int, cursor: str = "", turns: ListTurns | None = None
) -> tuple[int, str | None]:
    """Return the number of jobs in one answer, and its cursor."""
    page = JobsPage(JobState.QUEUED, limit, cursor, "x")
    dispatch = dispatch_to(shard)
    turns = turns or ListTurns(1 << 40, 1 << 40)
    listing = JobListing(dispatch, turns, CapReasons(dispatch), KEY, page)
    count = sum([len(page) async for page in listing.pages()])
    return count, listing.cursor


async def test_a_list_without_a_match_ends_with_a_cursor() -> None:
    shard = Shard(jobs=0)
    assert await listed(shard, 100) == (0, f"132.{MAX_STEPS}")
    assert len(shard.calls) == MAX_STEPS
    assert [call.scan for call in shard.calls[:3]] == ["", "132.1", "132.2"]


async def test_a_list_asks_for_no_more_than_the_page_needs() -> None:
    shard = Shard(jobs=1000)
    assert await listed(shard, 250, "132.9") == (250, "132.3")
    assert [call.limit for call in shard.calls] == [STEP_JOBS, STEP_JOBS, 50]
    assert shard.calls[0].scan == "132.9"


async def test_a_list_ends_once_it_has_its_bytes() -> None:
    shard = Shard(jobs=10, payload=b"x" * (1 << 20))
    count, cursor = await listed(shard, 1000)
    assert count == MAX_LIST_BYTES // (10 << 20) * 10 + 10
    assert cursor is not None


async def test_lists_one_after_the_other_keep_to_the_rate_of_all_lists() -> None:
    shard, loop = Shard(jobs=10), asyncio.get_running_loop()
    turns = ListTurns(bytes_s=1000 * JOB_WORK_BYTES, burst_bytes=100 * JOB_WORK_BYTES)
    began_s = loop.time()
    for _ in range(4):
        assert (await listed(shard, 50, turns=turns))[0] == 50
    assert (
        loop.time() - began_s >= 0.08
    )  # 200 jobs, of which 100 at once, and the last page counts for the next list


async def test_a_list_whose_client_leaves_while_it_waits_gives_its_turn_back() -> None:
    turns = ListTurns(bytes_s=JOB_WORK_BYTES, burst_bytes=0)
    async with turns:
        turns.count(1000, 0)
    waiting = asyncio.ensure_future(listed(Shard(jobs=1), 1, turns=turns))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    turns.count(-1000, 0)
    assert (await asyncio.wait_for(listed(Shard(jobs=1), 1, turns=turns), 5))[0] == 1


async def test_the_letters_of_one_queue_are_searched_in_its_partition_in_bounded_steps() -> None:
    shard, home = Shard(jobs=0), partition_of(KEY.queue_type, KEY.queue_id, PARTITIONS)
    dispatch = dispatch_to(shard)
    letters, cursor = await dispatch.list_dead(KEY.queue_type, 100, None, KEY.queue_id, Unread(PARTITIONS))
    assert (letters, cursor) == ([], f"{home}-{MAX_SCANS}:x")
    assert {(call.partition, call.queue_id) for call in shard.calls} == {(home, KEY.queue_id)}
    await dispatch.list_dead(KEY.queue_type, 100, cursor, KEY.queue_id, Unread(PARTITIONS))
    assert shard.calls[MAX_SCANS].scan == f"{MAX_SCANS}:x"
    with pytest.raises(InvalidRequest, match="cursor"):
        await dispatch.list_dead(
            KEY.queue_type, 100, f"{(home + 1) % PARTITIONS}-1:x", KEY.queue_id, Unread(1)
        )
