"""Once a second, or more often: reads the agendas of the partitions, feeds the ready index and the reaper, and keeps
what is remembered within its bounds over all partitions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar

from shard.ownership import Ownership
from shard.partition_clocks import PartitionClocks, elapsed_us
from shard.pipeline import Pipeline
from shard.ready_index import ReadyIndex
from shard.reaper import Reaper
from sharq_core.errors import SharqError
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.functions import Functions
from sharq_core.scheduler.replies import RefreshReply, Reply, TypeTotals

log = logging.getLogger(__name__)

MIN_PERIOD_S = 0.05

K = TypeVar("K")


class Watch:
    """What this node knows of its partitions, a second old at the most.

    Args:
        ownership: which partitions to watch.
        clocks: told each reading of an owned partition.
        period_s: time between two readings.
        reaper: None when this process runs none; due timers then count as ready, because a dequeue runs them.
        tombstone_limit, dead_limit: most finished jobs remembered, and dead letters kept of a type, in the whole
            deployment; of those this node keeps its share.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        functions: Functions,
        index: ReadyIndex,
        reaper: Reaper | None,
        ownership: Ownership,
        clocks: PartitionClocks,
        period_s: float,
        tombstone_limit: int,
        dead_limit: int,
    ) -> None:
        self._pipeline = pipeline
        self._functions = functions
        self._index = index
        self._reaper = reaper
        self._ownership = ownership
        self._clocks = clocks
        self._period_s = max(period_s, MIN_PERIOD_S)
        self._tombstone_limit = tombstone_limit
        self._dead_limit = dead_limit
        self._loop = asyncio.get_running_loop()
        self._known: dict[int, RefreshReply] = {}
        self._just_turned: set[int] = set()

    def totals(self) -> dict[str, TypeTotals]:
        """By type, the totals of all partitions together."""
        sums: dict[str, list[int]] = {}
        for known in self._known.values():
            for one in known.totals:
                numbers = (
                    one.enqueued,
                    one.queued,
                    one.delayed,
                    one.leased,
                    one.finished,
                    one.dead,
                    one.cancelled,
                )
                old = sums.get(one.queue_type, [0] * len(numbers))
                sums[one.queue_type] = [a + b for a, b in zip(old, numbers, strict=True)]
        return {queue_type: TypeTotals(queue_type, *numbers) for queue_type, numbers in sums.items()}

    @property
    def tombstones(self) -> int:
        """Finished jobs that are remembered."""
        return sum(known.tombstones for known in self._known.values())

    @property
    def forgotten_early(self) -> int:
        """Finished jobs that were forgotten before they were a minute old, since ever."""
        return sum(known.forgotten_early for known in self._known.values())

    async def read_all(self) -> None:
        """Read every partition's agenda.

        Raises:
            SharqError: some could not be read; those keep what was known.
        """
        places = [*self._ownership.owned, *self._clocks.others(self._ownership.owns)]
        results = await asyncio.gather(*(self.read(p) for p in places), return_exceptions=True)
        for result in results:
            if result is not None:
                raise result

    async def run(self) -> None:
        """Read every period, and at once what the node takes over, until cancelled."""
        while True:
            await self._sleep()
            self._ownership.send_off()
            self._index.keep(self._ownership.covers)
            self._clocks.keep(self._ownership.covers)
            try:
                await self.read_all()
                await self._keep_bounds()
            except SharqError as error:
                log.debug("refresh_failed error=%r", error.message)
            except Exception:
                log.exception("refresh_failed")

    async def read(self, partition: int) -> None:
        """Read one partition's agenda.

        Raises:
            SharqError: it could not be read, and what was known is kept.
        """
        asked_us = elapsed_us()
        reply, sent_at = await self._pipeline.run(self._functions.refresh(partition))
        known = value_of(reply)
        if self._ownership.owns(partition):
            self._known[partition] = known
        if self._ownership.covers(partition):
            await self._see_clock(partition, reply, known, asked_us)
            self._tell(partition, known, reply.hint.now_us, sent_at)
        if known.turn_us is not None and known.turn_us <= reply.hint.now_us:
            late_us = self._clocks.not_after_us(partition)
            await self._pipeline.value(self._functions.turn(partition, not_after_us=late_us))
            self._just_turned.add(partition)

    def forget(self, partition: int) -> None:
        """The partition is another node's now, which counts it from now on."""
        self._known.pop(partition, None)

    def look_soon(self) -> None:
        """Read all at once: the store's clock may have stepped."""
        self._ownership.changed.set()

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._period_s):
                await self._ownership.changed.wait()
        self._ownership.changed.clear()

    async def _see_clock(
        self, partition: int, reply: Reply[RefreshReply], known: RefreshReply, asked_us: int
    ) -> None:
        """Tells what a reading says of the partition's time, before anything goes by that time. A store that refuses to
        set it (it lacks a replica) is asked again with the next reading.
        """
        try:
            await self._clocks.see(
                partition,
                reply.hint.now_us,
                known.clock,
                asked_us,
                is_used=bool(known.totals or known.tombstones),
                is_owned=self._ownership.owns(partition),
            )
        except SharqError as error:
            log.debug("partition_time_not_set partition=%d error=%r", partition, error.message)

    def _tell(self, partition: int, known: RefreshReply, now_us: int, sent_at: float) -> None:
        """Tells the index and the reaper what a reading found."""
        ready_us = dict(known.ready_us)
        if self._reaper is None:
            for queue_type, due_us in known.timers_us.items():
                ready_us[queue_type] = min(due_us, ready_us.get(queue_type, due_us))
        else:
            for queue_type, due_us in known.timers_us.items():
                self._reaper.note_at(partition, queue_type, self._loop.time() + (due_us - now_us) / 1e6)
        self._index.refresh(partition, now_us, ready_us, sent_at)
        self._ownership.was_read(partition)

    async def _keep_bounds(self) -> None:
        """Trims the partitions that remember most, so that all stay within this node's share of the limits (I11)."""
        counts = {
            partition: known.tombstones
            for partition, known in self._known.items()
            if partition not in self._just_turned
        }
        self._just_turned.clear()
        for partition in over_level(counts, self._share(self._tombstone_limit)):
            await self._pipeline.value(self._functions.turn(partition, limit=0))
        dead: dict[str, dict[int, int]] = {}
        for partition, known in self._known.items():
            for one in known.totals:
                dead.setdefault(one.queue_type, {})[partition] = one.dead
        for queue_type, by_partition in dead.items():
            for partition, keep in over_level(by_partition, self._share(self._dead_limit)).items():
                await self._pipeline.value(self._functions.reap(partition, queue_type, keep_dead=keep))

    def _share(self, limit: int) -> int:
        """This node's part of a limit for all partitions, at least 1."""
        ownership = self._ownership
        return max(limit * len(ownership.owned) // max(len(ownership.ring.owners), 1), 1)


def over_level(counts: Mapping[K, int], limit: int) -> dict[K, int]:
    """Who holds more than the level at which all together hold `limit`, with that level; nobody when they hold less."""
    if sum(counts.values()) <= limit:
        return {}
    left, level = limit, 0
    ascending = sorted(counts.values())
    for index, count in enumerate(ascending):
        level = left // (len(ascending) - index)
        if count > level:
            break
        left -= count
    return {holder: level for holder, count in counts.items() if count > level}
