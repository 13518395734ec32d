"""One listing looks at a bounded number of pages, and says where to go on."""

from __future__ import annotations

from typing import Any

from router.shards.dispatch import Dispatch
from router.shards.one_shard import OneShard
from router.shards.walks.listings import MAX_SCANS, PARTITIONS_AT_ONCE
from sharq_core.link.job_watches import JobKey, OnEnd
from sharq_core.link.messages import Call, ListQueues, OnDue
from sharq_core.models import QueuePage


class IdleQueues:
    """A shard each of whose partitions has a million queues without jobs.

    Attributes:
        asked: how often so far.
    """

    def __init__(self) -> None:
        self.asked = 0

    async def call(self, call: Call[Any]) -> Any:
        assert isinstance(call, ListQueues)
        self.asked += 1
        return QueuePage([], call.scan + 1 if call.scan < 10_000 else 0)

    def watch(self, queue_type: str, on_due: OnDue) -> None:
        """These tests do not call it."""

    def unwatch(self, queue_type: str, on_due: OnDue) -> None:
        """These tests do not call it."""

    def watch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""

    def unwatch_job(self, job: JobKey, on_end: OnEnd) -> None:
        """Ignore it."""


async def listed(dispatch: Dispatch, cursor: str | None) -> tuple[list[str], str | None]:
    """Return the ids of one list of up to 10 queues, and its cursor."""
    walk = dispatch.list_queues("t", 10, cursor)
    return [name async for page in walk.pages() for name in page], walk.cursor


async def test_a_listing_of_queues_without_jobs_ends_and_goes_on_where_it_stopped() -> None:
    shard = IdleQueues()
    dispatch = Dispatch(OneShard(shard, 64))
    assert await listed(dispatch, None) == ([], f"0-{MAX_SCANS}")
    assert shard.asked <= MAX_SCANS * PARTITIONS_AT_ONCE
    assert await listed(dispatch, f"0-{MAX_SCANS}") == ([], f"0-{2 * MAX_SCANS}")
