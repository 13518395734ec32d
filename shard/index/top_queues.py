"""Finds the queues of a type that have waited longest or hold most jobs, in some partitions of this node.

The store keeps the order by age, so a query costs O(log n) per returned queue. It keeps no order by depth, which would
cost two writes per job. A query by depth therefore scans the queue records in small consecutive calls, within the
bounds below, and one by dead letters the counts of the queues that have any. sharq_core/top_queues.py defines the
order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

from shard.batching.pipeline import Pipeline
from sharq_core.link.messages import GetTop
from sharq_core.scheduler.functions import Functions
from sharq_core.top_queues import TopOrder, TopQueue, TopQueues, first

RECORDS_A_CALL = 250
"""Records of one call, which takes about half a millisecond of the store's time."""

MAX_RECORDS = 100_000
"""Most records that one query scans."""

MAX_TIME_S = 1.0
"""Longest scan: a router waits only slightly longer for an answer than a call to the store may take."""


PARTITIONS_AT_ONCE = 8
"""Partitions that are scanned concurrently; with thousands of them, one after the other would take too long."""


async def top_queues(pipeline: Pipeline, functions: Functions, call: GetTop) -> TopQueues:
    """Answer a GetTop call.

    Cost: by age O(log n) per partition and queue; by depth and dead letters O(queues of the type, or those with dead
    letters), bounded by MAX_RECORDS.

    Raises:
        SharqError: a partition could not be read.
    """
    search = _Search(pipeline, functions, call)
    await asyncio.gather(*(search.run() for _ in range(PARTITIONS_AT_ONCE)))
    return TopQueues(search.found, is_complete=search.is_complete)


class _Search:
    """The queues found so far, and the partitions still to scan."""

    def __init__(self, pipeline: Pipeline, functions: Functions, call: GetTop) -> None:
        self.found: list[TopQueue] = []
        self.is_complete = True
        self._pipeline = pipeline
        self._functions = functions
        self._call = call
        self._remaining = deque(call.partitions)
        self._looked_at = 0
        self._give_up_at = monotonic() + MAX_TIME_S

    async def run(self) -> None:
        """Scan one partition after the other until all are done or a bound is reached."""
        while self._remaining and self.is_complete:
            await self._scan(self._remaining.popleft())

    async def _scan(self, partition: int) -> None:
        call, scan = self._call, 0
        while True:
            is_long = call.by is not TopOrder.AGE and self._looked_at >= MAX_RECORDS
            if is_long or monotonic() > self._give_up_at:
                self.is_complete = False
                return
            make = self._functions.top_queues
            reply = await self._pipeline.value(
                make(partition, call.queue_type, call.by, call.limit, scan=scan, count=RECORDS_A_CALL)
            )
            # Only the first ones so far are kept, so that memory does not grow with the scan.
            self.found = first([*self.found, *reply.queues], call.by, call.limit)
            self._looked_at, scan = self._looked_at + reply.looked_at, reply.scan
            if not scan:
                return
