"""Reads which queues with caps wait, after the reply of a dequeue has told that something has changed."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from shard.batching.pipeline import Pipeline
from shard.caps.parked_index import ParkedIndex, ParkedReading
from sharq_core.errors import SharqError
from sharq_core.scheduler.caps.capped_calls import CappedCalls
from sharq_core.scheduler.executor import value_of

log = logging.getLogger(__name__)

SETS_A_CALL = 100
"""Sets of one page, which takes the store a fraction of a millisecond."""

PARTITIONS_AT_ONCE = 16
"""Partitions that are read concurrently."""


class Listings:
    """The reader of parked queues."""

    def __init__(self, pipeline: Pipeline, calls: CappedCalls, parked: ParkedIndex) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._parked = parked
        self._reads: dict[str, asyncio.Task[None]] = {}

    def read_soon(self, queue_type: str) -> asyncio.Task[None]:
        """Read the news of a type in the background; one read at a time goes on until there is none."""
        read = self._reads.get(queue_type)
        # One that has ended does not read what came after its last look.
        if read is None or read.done():
            read = self._reads[queue_type] = asyncio.create_task(self._read(queue_type))
            read.add_done_callback(partial(self._on_end, queue_type))
        return read

    def _on_end(self, queue_type: str, read: asyncio.Task[None]) -> None:
        if self._reads.get(queue_type) is read:
            del self._reads[queue_type]

    async def drained(self) -> None:
        """Wait until nothing is being read."""
        while self._reads:
            await asyncio.wait(self._reads.values())

    async def _read(self, queue_type: str) -> None:
        try:
            while news := self._parked.news(queue_type):
                some = news[:PARTITIONS_AT_ONCE]
                await asyncio.gather(*(self._page(partition, queue_type, since) for partition, since in some))
        except SharqError as error:
            level = logging.DEBUG if error.is_away else logging.WARNING
            log.log(level, "parked_not_listed queue_type=%s error=%r", queue_type, error.message)
            self._parked.drop_news(queue_type)
        except Exception:
            log.exception("parked_not_listed queue_type=%s", queue_type)
            self._parked.drop_news(queue_type)

    async def _page(self, partition: int, queue_type: str, since: int) -> None:
        call = self._calls.list_parked(partition, queue_type, since, SETS_A_CALL)
        reply, _ = await self._pipeline.submit(call, is_urgent=True)
        page = value_of(reply)
        # First this: a reading under a stopped type asks for another listing.
        self._parked.note_listed(partition, queue_type, page.changed, has_more=page.has_more)
        for cap_set in page.sets:
            reading = ParkedReading(cap_set.due_us, cap_set.due_queues, page.now_us, page.type_ready_us)
            self._parked.settle(partition, queue_type, cap_set.names, reading)
