"""The queues of a type that wait longest or hold most, within some partitions of this node.

By age the store has them in order: O(log n) for each that is named. By depth it has no order, and one kept up to date
would cost every job two writes; so the records are looked at, in small calls one after the other, as many and as long
as the bounds here allow. Not here: what comes before what (sharq_core/top_queues.py).
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

from shard.batching.pipeline import Pipeline
from sharq_core.link.messages import GetTop
from sharq_core.models import TopOrder, TopQueue, TopQueues
from sharq_core.scheduler.functions import Functions
from sharq_core.top_queues import first

RECORDS_A_CALL = 250
"""About half a millisecond of the store's time."""

MAX_RECORDS = 100_000
"""Records that one call looks at."""

MAX_TIME_S = 1.0
"""Time after which nothing more is looked at: a router waits little longer for an answer than the store may take."""


PARTITIONS_AT_ONCE = 8
"""Partitions looked at side by side: with thousands of them the time of one after the other would not be enough."""


async def top_queues(pipeline: Pipeline, functions: Functions, call: GetTop) -> TopQueues:
    """Answer a call. Cost: age O(log n) a partition and queue; depth O(queues of the type), bounded by MAX_RECORDS.

    Raises:
        SharqError: a partition could not be read.
    """
    search = _Search(pipeline, functions, call)
    await asyncio.gather(*(search.run() for _ in range(PARTITIONS_AT_ONCE)))
    return TopQueues(search.found, is_complete=search.is_complete)


class _Search:
    """What was found so far, and what is still to be looked at."""

    def __init__(self, pipeline: Pipeline, functions: Functions, call: GetTop) -> None:
        self.found: list[TopQueue] = []
        self.is_complete = True
        self._pipeline = pipeline
        self._functions = functions
        self._call = call
        self._left = deque(call.partitions)
        self._looked_at = 0
        self._give_up_at = monotonic() + MAX_TIME_S

    async def run(self) -> None:
        """Look at one partition after the other, until all were or a bound is reached."""
        while self._left and self.is_complete:
            await self._look_at(self._left.popleft())

    async def _look_at(self, partition: int) -> None:
        call, scan = self._call, 0
        while True:
            is_long = call.by is TopOrder.DEPTH and self._looked_at >= MAX_RECORDS
            if is_long or monotonic() > self._give_up_at:
                self.is_complete = False
                return
            make = self._functions.top_queues
            reply = await self._pipeline.value(
                make(partition, call.queue_type, call.by, call.limit, scan=scan, count=RECORDS_A_CALL)
            )
            self.found = first([*self.found, *reply.queues], call.by, call.limit)
            self._looked_at, scan = self._looked_at + reply.looked_at, reply.scan
            if not scan:
                return
