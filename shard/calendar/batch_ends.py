"""Forgets batches that ended a retention ago in all partitions.

A partition alone does not know that a batch goes on elsewhere, so it keeps its numbers and names the batch to the
reaper's call (reap.lua), again each time that the retention has passed. The node then asks all partitions, those of
other nodes, too. A node that ends before it has done so is followed by another one that is told the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence

from shard.batching.pipeline import Pipeline
from shard.cluster.partition_clocks import PartitionClocks
from sharq_core.errors import SharqError
from sharq_core.partitions import partition_of
from sharq_core.scheduler.campaigns.batch_calls import BatchCalls

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""The maximum number of batches that wait to be asked about. Partitions name the others again."""

ASK_EVERY_S = 60.0
"""A batch that goes on elsewhere is not asked about again for this time, or for the retention if that is shorter,
although several partitions name it.
"""

PAUSE_S = 0.01
"""Pause between two batches, so that thousands that end at one time do not hold up other calls."""


class BatchEnds:
    """The batches that may be forgotten.

    Args:
        partitions: P.
        retention_us: how long an ended batch is kept, in µs.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        calls: BatchCalls,
        clocks: PartitionClocks,
        partitions: int,
        retention_us: int,
    ) -> None:
        self._pipeline = pipeline
        self._calls = calls
        self._clocks = clocks
        self._partitions = partitions
        self._ask_every_s = min(ASK_EVERY_S, retention_us / 1e6)
        self._loop = asyncio.get_running_loop()
        self._waiting: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._asked: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._news = asyncio.Event()

    def note(self, queue_type: str, batches: Sequence[str]) -> None:
        """Record batches of a type that a partition named."""
        for batch in batches:
            asked_at = self._asked.get((queue_type, batch), -self._ask_every_s)
            if len(self._waiting) < MAX_WAITING and self._loop.time() - asked_at >= self._ask_every_s:
                self._waiting[queue_type, batch] = None
                self._news.set()

    async def run(self) -> None:
        """Ask about the batches, one after the other, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                (queue_type, batch), _ = self._waiting.popitem(last=False)
                try:
                    await self._settle(queue_type, batch)
                except SharqError as error:
                    level = logging.DEBUG if error.is_away else logging.WARNING
                    log.log(
                        level,
                        "batch_not_forgotten queue_type=%s batch=%s error=%r",
                        queue_type,
                        batch,
                        error.message,
                    )
                except Exception:
                    log.exception("batch_not_forgotten queue_type=%s batch=%s", queue_type, batch)
                await asyncio.sleep(PAUSE_S)

    async def _settle(self, queue_type: str, batch: str) -> None:
        """Forget a batch in all partitions if it is over in all of them."""
        partitions = self._partitions_of(queue_type)
        answers = await asyncio.gather(
            *(self._pipeline.run(self._calls.get_batch(p, queue_type, batch)) for p in partitions)
        )
        parts = {p: reply.value for p, (reply, _) in zip(partitions, answers, strict=True) if reply.value}
        if all(part.is_over for part in parts.values()):
            await asyncio.gather(*(self._drop(partition, queue_type, batch) for partition in parts))
            return
        self._asked[queue_type, batch] = self._loop.time()
        self._asked.move_to_end((queue_type, batch))
        if len(self._asked) > MAX_WAITING:
            self._asked.popitem(last=False)

    async def _drop(self, partition: int, queue_type: str, batch: str) -> None:
        not_after_us = self._clocks.not_after_us(partition)
        await self._pipeline.run(
            self._calls.drop_batch(partition, queue_type, batch, not_after_us=not_after_us)
        )

    def _partitions_of(self, queue_type: str) -> Sequence[int]:
        if "~" in queue_type:
            return [partition_of(queue_type, "", self._partitions)]
        return range(self._partitions)
