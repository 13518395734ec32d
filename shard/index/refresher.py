"""Refreshes the knowledge of the partitions once a second or more often, and trims tombstones and dead letters.

The refresher looks at every partition, continues to read those whose types are not all known, and keeps the remembered
jobs within their bounds over all partitions. shard/index/surveyor.py does the reading.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import TypeVar

from shard.batching.pipeline import Pipeline
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks
from shard.index.census import Census
from shard.index.partition_reading import PartitionReading
from shard.index.ready_index import ReadyIndex
from shard.index.set_aside import SetAside
from shard.index.surveyor import Surveyor
from sharq_core.caps import Permit
from sharq_core.errors import SharqError
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.functions import Functions
from sharq_core.scheduler.surveys import SurveyCalls
from sharq_core.store.failures import CallFailed

log = logging.getLogger(__name__)

MIN_PERIOD_S = 0.05

TYPES_A_SECOND = 2_000
"""Types reread each second to correct missed changes (all of them if there are fewer); takes 1 to 2 % of a core."""

RANKED_A_SECOND = 5_000
RANKED_AT_ONCE = 500
"""Types checked for the longest-due one, each second and without a pause."""

LOOKS_A_SECOND = 4_000
"""Most partitions looked at each second; with thousands of partitions the period is longer."""

CHECKED_A_LOOK = 10_000
"""Most types with dead letters that one look compares with the limit; the next look continues."""

READ_ON_S = 0.002
"""Pause between two pages while a node reads unknown types, so that it keeps serving calls."""

FIRST_READ_S = 0.5
"""Longest time that a node reads before it opens. It asks for types not read by then (Ownership.read_unknown)."""

K = TypeVar("K")
T = TypeVar("T")


class Refresher:
    """The loop that keeps this node's knowledge of its partitions fresh.

    Args:
        ownership: the partitions to read.
        clocks: the latest time at which a call about a partition may run.
        set_aside: records partitions that fail while their server works.
        period_s: the time between two looks at all partitions.
        tombstone_limit, dead_limit: the most finished jobs remembered, and the most dead letters kept of a type, in the
            whole deployment; this node keeps its share of them.

    Attributes:
        on_settled: called with the permits of leases that ended.
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
        set_aside: SetAside,
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
        self._set_aside = set_aside
        self._period_s = max(period_s, MIN_PERIOD_S)
        self._tombstone_limit = tombstone_limit
        self._dead_limit = dead_limit
        self._loop = asyncio.get_running_loop()
        self._just_turned: set[int] = set()
        self._given_up: list[int] = []
        self._next = 0
        self._look_at = self._loop.time()
        self.on_settled: Callable[[Sequence[Permit]], None] = lambda _: None

    @property
    def tombstones(self) -> int:
        """The number of finished jobs that are remembered."""
        return sum(reading.tombstones for _, reading in self._surveyor.readings())

    @property
    def forgotten_early(self) -> int:
        """The number of finished jobs ever forgotten before they were a minute old."""
        return sum(reading.forgotten_early for _, reading in self._surveyor.readings())

    @property
    def result_bytes(self) -> int:
        """The bytes of the results of finished jobs."""
        return sum(reading.result_bytes for _, reading in self._surveyor.readings())

    @property
    def results_dropped(self) -> int:
        """The number of results ever dropped to make room for others."""
        return sum(reading.results_dropped for _, reading in self._surveyor.readings())

    async def read_first(self) -> None:
        """Look at every partition, and read their types for at most FIRST_READ_S.

        Raises:
            SharqError: a partition could not be read.
        """
        stop_at = self._loop.time() + FIRST_READ_S
        await self._surveyor.read(self._ownership.known, 0)
        while (behind := self._surveyor.behind()) and self._loop.time() < stop_at:
            await self._surveyor.read_on(behind)

    def give_up(self, partitions: Sequence[int]) -> None:
        """Note that other nodes own these partitions now; the next look notifies them."""
        self._given_up += partitions

    async def run(self) -> None:
        """Look at all partitions every period, and at once after a takeover, until cancelled."""
        while True:
            try:
                await self._read_on()
            except SharqError as error:
                # The partitions that failed are not read on for a second, and the others need not wait for them.
                log.debug("survey_failed error=%r", error.message)
                await asyncio.sleep(READ_ON_S)
            except Exception:
                log.exception("survey_failed")
                await asyncio.sleep(self._period_s)

    async def _read_on(self) -> None:
        """Do the next step: the look of this period, or another page of unknown types."""
        behind = self._surveyor.behind()
        if not behind and self._loop.time() < self._look_at:
            await self._sleep()
        if self._ownership.changed.is_set() or self._loop.time() >= self._look_at:
            self._ownership.changed.clear()
            least_s = len(self._ownership.known) / LOOKS_A_SECOND
            self._look_at = self._loop.time() + max(self._period_s, least_s)
            await self._look()
        elif behind:
            await self._surveyor.read_on(behind)
            await asyncio.sleep(READ_ON_S)

    async def _look(self) -> None:
        """Look at every partition; each look reads the pages of the partitions after those of the last one."""
        self._ownership.expire_grace()
        self._clocks.keep(self._ownership.serves)
        await self._surveyor.forget_unserved()
        await self._say_given_up()
        places = self._ownership.served()
        first = self._next % max(len(places), 1)
        budget = max(int(TYPES_A_SECOND * self._period_s), 1)
        types, served, failure = await self._surveyor.look([*places[first:], *places[:first]], budget)
        self._next = first + max(served, 1)
        # The remaining budget goes to rounds that have begun, so that they end soon and show which types are gone.
        while (budget := budget - max(types, 1)) > 0 and (under_way := self._surveyor.under_way()):
            types, _, failed = await self._surveyor.look(under_way, budget)
            failure = failure or failed
        for _ in range(max(int(RANKED_A_SECOND * self._period_s / RANKED_AT_ONCE), 1)):
            if not self._index.rank(RANKED_AT_ONCE, self._census.named):
                break
            await asyncio.sleep(0)
        await self._turn()
        await self._trim_results()
        await self._keep_bounds()
        if failure is not None:
            raise failure

    async def _say_given_up(self) -> None:
        """Notify the new owners: a call of this node may have run after they read the partition."""
        given_up, self._given_up = self._given_up, []
        notes = [self._pipeline.value(self._surveys.touch(partition, "")) for partition in given_up]
        told = await asyncio.gather(*notes, return_exceptions=True)
        failures = [failure for failure in told if failure is not None]
        if failures:
            log.warning(
                "new_owners_not_told partitions=%d error=%r: they find late jobs by their own rounds",
                len(failures),
                str(failures[0]),
            )

    def look_soon(self) -> None:
        """Look at all partitions now: the store's clock may have stepped."""
        self._ownership.changed.set()

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._look_at):
                await self._ownership.changed.wait()

    async def _turn(self) -> None:
        """Drop the older generation of tombstones in partitions where its time has come."""
        due = [p for p, reading in self._sound_readings() if reading.must_turn]
        for partition in due:
            not_after_us = self._clocks.not_after_us(partition)
            await self._try(self._functions.turn(partition, not_after_us=not_after_us))
            self._just_turned.add(partition)

    async def _trim_results(self) -> None:
        """Drop results whose jobs are not remembered any more, some of each partition in each look."""
        results = self._functions.results
        for partition in [p for p, reading in self._sound_readings() if reading.must_trim(results)]:
            not_after_us = self._clocks.not_after_us(partition)
            await self._try(results.trim(partition, not_after_us=not_after_us))

    async def _keep_bounds(self) -> None:
        """Trim the partitions that remember most, so that all together stay within this node's share (I11)."""
        # This node also knows partitions that it has just given up, and may give up more at each await. They do not
        # count: the share is that of the partitions which it owns.
        owns = self._ownership.owns
        counts = {
            partition: reading.tombstones
            for partition, reading in self._surveyor.readings()
            if owns(partition) and partition not in self._just_turned
        }
        self._just_turned.clear()
        # A call to each partition of a server that is away might wait for its time limit.
        sound = {partition for partition, _ in self._sound_readings()}
        for partition in sound & over_level(counts, self._share(self._tombstone_limit)).keys():
            not_after_us = self._clocks.not_after_us(partition)
            await self._try(self._functions.turn(partition, limit=0, not_after_us=not_after_us))
        for queue_type in self._census.with_dead_above(self._share(self._dead_limit), CHECKED_A_LOOK):
            dead = {p: count for p, count in self._census.dead_by_partition(queue_type).items() if owns(p)}
            levels = over_level(dead, self._share(self._dead_limit))
            for partition in sound & levels.keys():
                keep = levels[partition]
                not_after_us = self._clocks.not_after_us(partition)
                call = self._functions.reap(partition, queue_type, keep_dead=keep, not_after_us=not_after_us)
                reaped = await self._try(call)
                if reaped is not None and reaped.settled:
                    self.on_settled(reaped.settled)

    def _sound_readings(self) -> Iterable[tuple[int, PartitionReading]]:
        """Return (partition, reading) of this node's partitions, without those that have just failed to be read."""
        now = monotonic()
        return ((p, reading) for p, reading in self._surveyor.readings() if reading.look_at <= now)

    async def _try(self, call: FunctionCall[T]) -> T | None:
        """Make a call and return its value; None if it failed, which holds up no other partition.

        The next look tries again.
        """
        try:
            return await self._pipeline.value(call)
        except CallFailed as error:
            self._set_aside.add(call.partition, call.queue_type, error.message)
        except SharqError as error:
            # The store's absence is logged where it is noticed.
            log.debug("bounds_not_kept partition=%d error=%r", call.partition, error.message)
        return None

    def _share(self, limit: int) -> int:
        """Return this node's share of a limit over all partitions, at least 1."""
        ownership = self._ownership
        return max(limit * len(ownership.owned) // max(len(ownership.ring.owners), 1), 1)


def over_level(counts: Mapping[K, int], limit: int) -> dict[K, int]:
    """Return holder → level for the holders above the level at which all together hold `limit`.

    The result is empty if all together hold no more than `limit`.
    """
    if sum(counts.values()) <= limit:
        return {}
    remaining, level = limit, 0
    ascending = sorted(counts.values())
    for index, count in enumerate(ascending):
        level = remaining // (len(ascending) - index)
        if count > level:
            break
        remaining -= count
    return {holder: level for holder, count in counts.items() if count > level}
