"""Forgets batches that ended a retention ago in all partitions.

A partition alone does not know that a batch goes on elsewhere, so it keeps its numbers and names the batch to the
reaper's call (reap.lua), again each time that the retention has passed. The node then asks all partitions, including
those of other nodes. If it stops before that, the next owner of the partition gets the same names.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice

from shard.batching.pipeline import Pipeline
from shard.cluster.partition_clocks import PartitionClocks
from shard.metrics.batches import BatchMetrics
from sharq_core.campaigns.batches import BatchState
from sharq_core.errors import SharqError
from sharq_core.partitions import is_gathered, partition_of
from sharq_core.scheduler.campaigns.batch_calls import BatchCalls
from sharq_core.scheduler.function_call import MAX_BATCH

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""The maximum number of batches that wait to be asked about. Partitions name the others again."""

ASK_EVERY_S = 60.0
"""A batch that goes on elsewhere is not asked about again for this time, or for the retention if that is shorter,
although several partitions name it.
"""

PAUSE_S = 0.01
"""The pause between two rounds of questions, so that thousands of batches that end together delay no other call."""


class BatchEnds:
    """The batches that may be forgotten.

    Args:
        partitions: P.
        retention_us: how long an ended batch is kept, in µs.
        metrics: counts the batches that are forgotten.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        calls: BatchCalls,
        clocks: PartitionClocks,
        partitions: int,
        retention_us: int,
        metrics: BatchMetrics,
    ) -> None:
        self._metrics = metrics
        self._pipeline = pipeline
        self._calls = calls
        self._clocks = clocks
        self._partitions = partitions
        self._ask_every_s = min(ASK_EVERY_S, retention_us / 1e6)
        self._loop = asyncio.get_running_loop()
        self._waiting: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._asked: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._news = asyncio.Event()
        metrics.waiting = self._waiting.__len__

    def note(self, queue_type: str, batches: Sequence[str]) -> None:
        """Record batches of a type that a partition named."""
        for batch in batches:
            asked_at = self._asked.get((queue_type, batch), -self._ask_every_s)
            if len(self._waiting) < MAX_WAITING and self._loop.time() - asked_at >= self._ask_every_s:
                self._waiting[queue_type, batch] = None
                self._news.set()

    async def run(self) -> None:
        """Ask about the batches until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                queue_type, batches = self._take()
                await self._try_to_settle(queue_type, batches)
                await asyncio.sleep(PAUSE_S)

    def _take(self) -> tuple[str, list[str]]:
        """Take some batches of the type whose batch waits longest."""
        (queue_type, _) = next(iter(self._waiting))
        batches = [batch for name, batch in islice(self._waiting, MAX_BATCH) if name == queue_type]
        for batch in batches:
            del self._waiting[queue_type, batch]
        return queue_type, batches

    async def _try_to_settle(self, queue_type: str, batches: Sequence[str]) -> None:
        try:
            await self._settle(queue_type, batches)
        except SharqError as error:
            level = logging.DEBUG if error.is_away else logging.WARNING
            log.log(level, "batches_not_forgotten queue_type=%s error=%r", queue_type, error.message)
        except Exception:
            log.exception("batches_not_forgotten queue_type=%s", queue_type)

    async def _settle(self, queue_type: str, batches: Sequence[str]) -> None:
        """Forget those of the batches in all partitions that are over in all of them."""
        partitions = self._partitions_of(queue_type)
        answers = await asyncio.gather(
            *(self._pipeline.value(self._calls.ask_batches(p, queue_type, batches)) for p in partitions)
        )
        # A batch that goes on in one partition is kept in all of them, because its numbers are their sum.
        goes_on = {
            batch
            for states in answers
            for batch, state in zip(batches, states, strict=True)
            if state is BatchState.GOES_ON
        }
        drops, ended = [], set[str]()
        for partition, states in zip(partitions, answers, strict=True):
            over = [
                batch
                for batch, state in zip(batches, states, strict=True)
                if state is BatchState.OVER and batch not in goes_on
            ]
            ended.update(over)
            if over:
                drops.append(self._drop(partition, queue_type, over))
        await asyncio.gather(*drops)
        self._metrics.forgotten += len(ended)
        # Other partitions name the same batch, and need not ask again so soon.
        for batch in goes_on:
            self._asked[queue_type, batch] = self._loop.time()
            self._asked.move_to_end((queue_type, batch))
        while len(self._asked) > MAX_WAITING:
            self._asked.popitem(last=False)

    async def _drop(self, partition: int, queue_type: str, batches: Sequence[str]) -> None:
        not_after_us = self._clocks.not_after_us(partition)
        await self._pipeline.run(
            self._calls.drop_batches(partition, queue_type, batches, not_after_us=not_after_us)
        )

    def _partitions_of(self, queue_type: str) -> Sequence[int]:
        if is_gathered(queue_type):
            return [partition_of(queue_type, "", self._partitions)]
        return range(self._partitions)
