"""The queues of a type that wait longest or hold most, within some partitions of this node.

By age the store has them in order: O(log n) for each that is named. By depth it has no order, and one kept up to date
would cost every job two writes; so the records are looked at, in small calls one after the other, as many and as long
as the bounds here allow. Not here: what comes before what (sharq_core/ranking.py).
"""

from __future__ import annotations

from time import monotonic

from shard.pipeline import Pipeline
from sharq_core.messages import GetTop
from sharq_core.models import TopOrder, TopQueue, TopQueues
from sharq_core.ranking import first
from sharq_core.scheduler.functions import Functions

RECORDS_A_CALL = 250
"""About half a millisecond of the store's time."""

MAX_RECORDS = 100_000
"""Records that one call looks at."""

MAX_TIME_S = 1.0
"""Time after which nothing more is looked at: a router waits little longer for an answer than the store may take."""


async def top_queues(pipeline: Pipeline, functions: Functions, call: GetTop) -> TopQueues:
    """Answer a call. Cost: age O(log n) a partition and queue; depth O(queues of the type), bounded by MAX_RECORDS.

    Raises:
        SharqError: a partition could not be read.
    """
    give_up_at = monotonic() + MAX_TIME_S
    found: list[TopQueue] = []
    looked_at = 0
    for partition in call.partitions:
        scan = 0
        while True:
            if monotonic() > give_up_at or (call.by is TopOrder.DEPTH and looked_at >= MAX_RECORDS):
                return TopQueues(found, is_complete=False)
            reply = await pipeline.value(
                functions.top_queues(
                    partition, call.queue_type, call.by, call.limit, scan=scan, count=RECORDS_A_CALL
                )
            )
            found = first([*found, *reply.queues], call.by, call.limit)
            looked_at, scan = looked_at + reply.looked_at, reply.scan
            if not scan:
                break
    return TopQueues(found, is_complete=True)
