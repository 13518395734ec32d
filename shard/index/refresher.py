"""Once a second, or more often: looks at the partitions, reads on where not all types are known, and keeps what is
remembered within its bounds over all partitions. Not here: how they are read (shard/index/surveyor.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from shard.batching.pipeline import Pipeline
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks
from shard.index.census import Census
from shard.index.ready_index import ReadyIndex
from shard.index.surveyor import Surveyor
from sharq_core.errors import SharqError
from sharq_core.scheduler.functions import Functions
from sharq_core.scheduler.surveys import SurveyCalls

log = logging.getLogger(__name__)

MIN_PERIOD_S = 0.05

TYPES_A_SECOND = 2_000
"""Types read again each second for certainty alone, all of them where there are not more: 1 to 2 % of a core."""

RANKED_A_SECOND = 5_000
RANKED_AT_ONCE = 500
"""Types looked at each second, and without a pause, for how long the longest due one is due."""

LOOKS_A_SECOND = 4_000
"""Partitions looked at each second, at the most: with thousands of them a period is longer."""

CHECKED_A_LOOK = 10_000
"""Types with dead letters that one look compares with the limit; with more, the next look goes on."""

READ_ON_S = 0.002
"""Pause between two pages while a node reads what it does not know yet, so that it serves meanwhile."""

FIRST_READ_S = 0.5
"""How long a node reads before it opens; for types that it has not met by then it asks the store (ownership.look)."""

K = TypeVar("K")


class Refresher:
    """What this node sees to in its partitions.

    Args:
        ownership: which partitions to watch.
        clocks: say until when a call about a partition may be done.
        period_s: time between two looks at them.
        tombstone_limit, dead_limit: most finished jobs remembered, and dead letters kept of a type, in the whole
            deployment; of those this node keeps its share.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        functions: Functions,
        surveys: SurveyCalls,
        surveyor: Surveyor,
        index: ReadyIndex,
        census: Census,
        ownership: Ownership,
        clocks: PartitionClocks,
        period_s: float,
        tombstone_limit: int,
        dead_limit: int,
    ) -> None:
        self._pipeline = pipeline
        self._functions = functions
        self._surveys = surveys
        self._surveyor = surveyor
        self._index = index
        self._census = census
        self._ownership = ownership
        self._clocks = clocks
        self._period_s = max(period_s, MIN_PERIOD_S)
        self._tombstone_limit = tombstone_limit
        self._dead_limit = dead_limit
        self._loop = asyncio.get_running_loop()
        self._just_turned: set[int] = set()
        self._given_up: list[int] = []
        self._next = 0
        self._look_at = self._loop.time()

    @property
    def tombstones(self) -> int:
        """Finished jobs that are remembered."""
        return sum(known.tombstones for _, known in self._surveyor.readings())

    @property
    def forgotten_early(self) -> int:
        """Finished jobs that were forgotten before they were a minute old, since ever."""
        return sum(known.forgotten_early for _, known in self._surveyor.readings())

    async def read_first(self) -> None:
        """Look at every partition, and read their types for a moment.

        Raises:
            SharqError: some could not be read.
        """
        stop_at = self._loop.time() + FIRST_READ_S
        await self._surveyor.read(self._ownership.owned, 0)
        while (behind := self._surveyor.behind()) and self._loop.time() < stop_at:
            await self._surveyor.read_on(behind)

    def give_up(self, partitions: Sequence[int]) -> None:
        """These partitions are other nodes' now."""
        self._given_up += partitions

    async def run(self) -> None:
        """Look every period, and at once at what the node takes over, until cancelled."""
        while True:
            try:
                await self._read_on()
            except SharqError as error:
                log.debug("survey_failed error=%r", error.message)
                await asyncio.sleep(self._period_s)
            except Exception:
                log.exception("survey_failed")
                await asyncio.sleep(self._period_s)

    async def _read_on(self) -> None:
        """What is due now: the look of the period, or a page more of what is not known yet."""
        behind = self._surveyor.behind()
        if not behind and self._loop.time() < self._look_at:
            await self._sleep()
        if self._ownership.changed.is_set() or self._loop.time() >= self._look_at:
            self._ownership.changed.clear()
            least_s = len(self._ownership.owned) / LOOKS_A_SECOND
            self._look_at = self._loop.time() + max(self._period_s, least_s)
            await self._look()
        elif behind:
            await self._surveyor.read_on(behind)
            await asyncio.sleep(READ_ON_S)

    async def _look(self) -> None:
        """Look at every partition. Pages go round: each look goes on with the partitions behind those of the last."""
        self._ownership.send_off()
        self._clocks.keep(self._ownership.covers)
        await self._surveyor.let_go()
        await self._say_given_up()
        covered = self._ownership.covered()
        first = self._next % max(len(covered), 1)
        left = max(int(TYPES_A_SECOND * self._period_s), 1)
        types, served = await self._surveyor.read([*covered[first:], *covered[:first]], left)
        self._next = first + max(served, 1)
        while (left := left - types) > 0 and (under_way := self._surveyor.under_way()):
            types, _ = await self._surveyor.read(under_way, left)
            types = max(types, 1)
        for _ in range(max(int(RANKED_A_SECOND * self._period_s / RANKED_AT_ONCE), 1)):
            self._index.rank(RANKED_AT_ONCE, self._census.named)
            await asyncio.sleep(0)
        await self._turn()
        await self._keep_bounds()

    async def _say_given_up(self) -> None:
        """Leave word for the new owners: calls of this node may have come after they looked."""
        given_up, self._given_up = self._given_up, []
        words = [self._pipeline.value(self._surveys.touch(partition, "")) for partition in given_up]
        for failure in await asyncio.gather(*words, return_exceptions=True):
            if failure is not None:
                log.warning("word_not_left error=%r", str(failure))

    def look_soon(self) -> None:
        """Look at all at once: the store's clock may have stepped."""
        self._ownership.changed.set()

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._look_at):
                await self._ownership.changed.wait()

    async def _turn(self) -> None:
        """Turn the generations of tombstones whose time has come."""
        due = [p for p, known in self._surveyor.readings() if known.must_turn]
        for partition in due:
            late_us = self._clocks.not_after_us(partition)
            await self._pipeline.value(self._functions.turn(partition, not_after_us=late_us))
            self._just_turned.add(partition)

    async def _keep_bounds(self) -> None:
        """Trims the partitions that remember most, so that all stay within this node's share of the limits (I11)."""
        counts = {
            partition: known.tombstones
            for partition, known in self._surveyor.readings()
            if partition not in self._just_turned
        }
        self._just_turned.clear()
        for partition in over_level(counts, self._share(self._tombstone_limit)):
            await self._pipeline.value(self._functions.turn(partition, limit=0))
        share = self._share(self._dead_limit)
        for queue_type in self._census.with_dead_above(share, CHECKED_A_LOOK):
            by_partition = self._census.dead_by_partition(queue_type)
            for partition, keep in over_level(by_partition, share).items():
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
