"""Reads the types of this node's partitions in bounded pages, and feeds the ready index, the reaper and the census.

A node knows its own changes from the replies. Another node that changes a type leaves a note (lua/touched.lua), and
each look reads the notes. The pages find all types after a start or a change of the ring, and are read in an endless
round, so that a missed change is found. A type is forgotten only if a scan from end to end did not meet it.
shard/index/refresher.py decides when to read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import takewhile
from time import monotonic

import msgspec

from shard.batching.pipeline import Pipeline
from shard.cluster.ownership import Ownership
from shard.cluster.partition_clocks import PartitionClocks
from shard.data_identity.guard import DataGuard
from shard.index.census import Census
from shard.index.partition_reading import PartitionReading
from shard.index.ready_index import ReadyIndex
from shard.index.set_aside import ASIDE_S, SetAside
from shard.reaper import Reaper
from sharq_core.clock import elapsed_us
from sharq_core.errors import SharqError
from sharq_core.scheduler.executor import value_of
from sharq_core.scheduler.replies import Reply
from sharq_core.scheduler.surveys import SurveyCalls, SurveyReply, TypeRow
from sharq_core.store.failures import CallFailed

log = logging.getLogger(__name__)

PAGE_TYPES = 500
"""Most types of one round trip, over all partitions: about a millisecond of the store, and some of the event loop."""

CALLS_AT_ONCE = 100
"""Most partitions of one round trip."""

SLICE_TYPES = 1_000
"""Types that are forgotten before the event loop may run other tasks."""

ROWS_AT_ONCE = 100
"""Types whose rows are passed on before the event loop may run other tasks: about a millisecond."""

_SPARE = 16
"""Types asked for beyond the known number; otherwise the scan of a short page might not report its end."""


class _Look(msgspec.Struct, frozen=True):
    """One call about a partition: its reading, the number of types asked for, the answer, and the time of the call.

    The time is that of sharq_core.clock.elapsed_us, in µs.
    """

    partition: int
    reading: PartitionReading
    count: int
    answer: asyncio.Future[tuple[Reply[SurveyReply], float]]
    asked_us: int


class Surveyor:
    """The reader of the types in the partitions that this node serves.

    Args:
        reaper: the node's reaper; None if it runs none. Due timers then count as ready, because a dequeue runs them.
        clocks: receives each reading of a partition's time.
        guard: receives the data set's id of each partition; partitions whose data is lost are not read.
        server_of: returns a value that changes when the cursors of a partition's server become invalid.

    Attributes:
        on_touched: called with a partition in which another node has changed something.
        on_parked: called with partition, type and the number of the latest change of its queues with caps.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        surveys: SurveyCalls,
        index: ReadyIndex,
        reaper: Reaper | None,
        ownership: Ownership,
        census: Census,
        set_aside: SetAside,
        guard: DataGuard,
        clocks: PartitionClocks,
        server_of: Callable[[int], Hashable],
    ) -> None:
        self._pipeline = pipeline
        self._surveys = surveys
        self._index = index
        self._reaper = reaper
        self._ownership = ownership
        self._census = census
        self._set_aside = set_aside
        self._guard = guard
        self._clocks = clocks
        self._server_of = server_of
        self._loop = asyncio.get_running_loop()
        self._readings: dict[int, PartitionReading] = {}
        self._rows_since_pause = 0
        self.on_touched: Callable[[int], None] = lambda _: None
        self.on_parked: Callable[[int, str, int], None] = lambda *_: None

    def readings(self) -> Iterable[tuple[int, PartitionReading]]:
        """Return (partition, reading) of each partition that this node owns."""
        return ((p, reading) for p, reading in self._readings.items() if self._ownership.owns(p))

    def clock_of(self, partition: int) -> int | None:
        """Return the number of a partition's clock, which grows with each correction; None before the first look."""
        reading = self._readings.get(partition)
        return None if reading is None else reading.clock

    def begin_again(self, partitions: Iterable[int]) -> None:
        """Discard the readings of these partitions: other nodes may have changed them unseen."""
        for partition in partitions:
            self._readings.pop(partition, None)

    def lose(self, partition: int) -> None:
        """Forget the due times of a partition whose data was lost; the next look forgets the rest."""
        self._readings.pop(partition, None)
        self._ownership.was_read(partition)
        self._index.forget(partition, SLICE_TYPES)

    def behind(self) -> list[int]:
        """Return the partitions that this node should know completely, and whose types are not all known.

        Partitions of other nodes are never fully known, since their owners change them.
        """
        served = filter(self._is_read, self._ownership.known)
        return [
            partition
            for partition in served
            if (reading := self._readings.get(partition)) is None or reading.is_behind
        ]

    def _is_read(self, partition: int) -> bool:
        """Return True if this node serves the partition and its data is not lost."""
        return self._ownership.serves(partition) and not self._guard.is_lost(partition)

    async def read(self, partitions: Sequence[int], max_types: int) -> None:
        """Look at each partition as `look` does.

        Raises:
            SharqError: the store did not answer for some partitions; the others were read.
        """
        _, _, failure = await self.look(partitions, max_types)
        if failure is not None:
            raise failure

    async def look(self, partitions: Sequence[int], max_types: int) -> tuple[int, int, SharqError | None]:
        """Look at each partition, and read pages of up to about `max_types` types in all, in the given order.

        Returns:
            The number of types asked for; the number of partitions that had a page before one that had none; and an
            error if the store did not answer for some partitions, which keep their readings. A partition that fails
            while its server works is set aside, and is no such error.
        """
        failure: SharqError | None = None
        types = served = looked_at = 0
        for group in self._groups([*filter(self._is_read, partitions)], max_types):
            looks = [self._begin_look(partition, count) for partition, count in group]
            answers = await asyncio.gather(*(look.answer for look in looks), return_exceptions=True)
            for look, answer in zip(looks, answers, strict=True):
                if isinstance(answer, CallFailed):
                    self._put_off(look, answer)
                elif isinstance(answer, SharqError):
                    look.reading.look_at = monotonic() + ASIDE_S
                    failure = failure or answer
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    await self._end_look(look, *answer)
            # Only the unbroken run of served partitions counts: the next look starts with the first unserved one.
            counts = [count for _, count in group]
            types += sum(counts)
            has_page = [
                count > 0 or look.reading.fields <= 0 for look, count in zip(looks, counts, strict=True)
            ]
            served += len(list(takewhile(bool, has_page))) if served == looked_at else 0
            looked_at += len(group)
            await asyncio.sleep(0)
        return types, served, failure

    async def read_on(self, behind: Sequence[int]) -> None:
        """Read a page of the first partitions whose types are not all known, in one round trip.

        Raises:
            SharqError: as `read`.
        """
        types = 0
        for index, partition in enumerate(behind[:CALLS_AT_ONCE]):
            reading = self._readings.get(partition)
            types += reading.fields if reading else 0
            if index and types > PAGE_TYPES:
                behind = behind[:index]
                break
        await self.read(behind[:CALLS_AT_ONCE], PAGE_TYPES)

    def under_way(self) -> list[int]:
        """Return the served partitions whose round has begun and not ended, without those that have just failed."""
        now = monotonic()
        return [
            partition
            for partition, reading in self._readings.items()
            if reading.scan and reading.look_at <= now and self._ownership.serves(partition)
        ]

    async def find(self, partition: int, queue_type: str) -> None:
        """Read one type of a partition, for a caller that must know whether a job is ready.

        Raises:
            SharqError: the store did not answer.
        """
        try:
            reply, sent_at = await self._pipeline.run(self._surveys.get_type(partition, queue_type))
        except CallFailed as error:
            self._set_aside.add(partition, queue_type, error.message)
            return
        if self._ownership.serves(partition):
            row, shift_us = value_of(reply)
            now_us = reply.hint.now_us
            self._tell(partition, [(queue_type, row)], now_us, sent_at, shift_us, with_timers=True)

    async def forget_unserved(self) -> None:
        """Forget the partitions that this node no longer serves, some types at a time."""
        for partition in [p for p in self._readings if not self._is_read(p)]:
            del self._readings[partition]
        for partition in self._index.partitions():
            await self._forget(partition, self._is_read, self._index.forget)
        for partition in self._census.partitions():
            await self._forget(partition, self._ownership.owns, self._census.forget)

    async def _forget(
        self, partition: int, is_kept: Callable[[int], bool], forget: Callable[[int, int], bool]
    ) -> None:
        """Forget the types of a partition, some at a time, and stop if the partition comes back in the meantime."""
        is_left = True
        while is_left and not is_kept(partition):
            is_left = forget(partition, SLICE_TYPES)
            await asyncio.sleep(0)

    def _groups(self, partitions: Sequence[int], max_types: int) -> Iterable[list[tuple[int, int]]]:
        """Yield groups of (partition, types to read), one group per round trip, each planned when it is sent."""
        group: list[tuple[int, int]] = []
        size = 0
        for partition in partitions:
            reading = self._readings.setdefault(partition, PartitionReading())
            count = min(max(reading.fields, 0), PAGE_TYPES, max(max_types, 0))
            if group and (size + count > PAGE_TYPES or len(group) == CALLS_AT_ONCE):
                yield group
                group, size = [], 0
            group.append((partition, count))
            size += count
            max_types -= count
        if group:
            yield group

    def _begin_look(self, partition: int, count: int) -> _Look:
        """Send the call for a partition's state, its notes and a page of about `count` types."""
        reading = self._readings[partition]
        if count and not reading.scan:
            self._begin_round(partition, reading, monotonic())
        wanted = count + _SPARE if count else 0
        call = self._surveys.survey(partition, touches=reading.touches, scan=reading.scan, count=wanted)
        return _Look(partition, reading, count, self._pipeline.submit(call), elapsed_us())

    def _begin_round(self, partition: int, reading: PartitionReading, begun_at: float) -> None:
        reading.begun_at, reading.met, reading.server = begun_at, set(), self._server_of(partition)
        reading.is_sound, reading.is_doubted = True, False

    def _put_off(self, look: _Look, error: CallFailed) -> None:
        """Set a failed partition aside; it counts as read, so that the rest of the index stays complete."""
        look.reading.look_at, look.reading.turn_us = monotonic() + ASIDE_S, None
        self._set_aside.add(look.partition, "", error.message)
        self._ownership.was_read(look.partition)

    async def _end_look(self, look: _Look, reply: Reply[SurveyReply], sent_at: float) -> None:
        partition, reading, value, now_us = look.partition, look.reading, value_of(reply), reply.hint.now_us
        if self._readings.get(partition) is not reading:
            return
        self._guard.note(partition, value.data_id)
        reading.fields, reading.touches = value.fields, value.touches
        reading.tombstones, reading.forgotten_early = value.tombstones, value.forgotten_early
        reading.turn_us, reading.now_us, reading.clock = value.turn_us, now_us, value.clock.number
        reading.result_bytes, reading.results_dropped = value.result_bytes, value.results_dropped
        reading.oldest_result_us = value.oldest_result_us
        reading.is_doubted |= value.is_cut
        if value.is_cut or value.touched:
            self.on_touched(partition)
        await self._see_clock(look, now_us, value)
        shift_us = value.clock.shift_us
        for rows in (value.touched, value.page):
            for start in range(0, len(rows), ROWS_AT_ONCE):
                self._tell(partition, rows[start : start + ROWS_AT_ONCE], now_us, sent_at, shift_us)
                await self._pause()
        if self._readings.get(partition) is not reading:
            return
        if not value.fields:
            self._begin_round(partition, reading, sent_at)
        elif not look.count:
            return
        # A cursor means nothing on another server. A first round begins again then; a later one only corrects.
        reading.is_sound &= reading.server == self._server_of(partition)
        reading.met.update([name for name, _ in value.page])
        reading.met.update([name for name, row in value.touched if row is not None])
        reading.scan = value.scan if reading.is_sound or reading.is_whole else 0
        if not reading.scan and reading.is_sound:
            await self._end_round(partition, reading, now_us)

    async def _see_clock(self, look: _Look, now_us: int, value: SurveyReply) -> None:
        """Pass the partition's time of a reading to the clocks, before any entry is computed from that time.

        A store that refuses to set the time, because it lacks a replica, is asked again with the next reading.
        """
        try:
            await self._clocks.see(
                look.partition,
                now_us,
                value.clock,
                look.asked_us,
                is_used=bool(value.fields or value.tombstones),
                is_owned=self._ownership.owns(look.partition),
            )
        except SharqError as error:
            log.debug("partition_time_not_set partition=%d error=%r", look.partition, error.message)

    async def _pause(self) -> None:
        """Let the event loop run other tasks if ROWS_AT_ONCE rows, of whatever partitions, came since the last time."""
        if self._rows_since_pause >= ROWS_AT_ONCE:
            self._rows_since_pause = 0
            await asyncio.sleep(0)

    async def _end_round(self, partition: int, reading: PartitionReading, now_us: int) -> None:
        """Forget the types that the round did not meet: a type that existed throughout would have been met."""
        met, reading.met, reading.is_whole = reading.met, set(), True
        self._ownership.was_read(partition)
        for at, name in enumerate(self._index.types_in(partition), 1):
            if name not in met:
                self._index.read(partition, now_us, [(name, None)], reading.begun_at)
            if not at % SLICE_TYPES:
                await asyncio.sleep(0)
        for at, name in enumerate(self._census.types_in(partition), 1):
            if name not in met:
                self._census.put(partition, name, None)
            if not at % SLICE_TYPES:
                await asyncio.sleep(0)

    def _tell(
        self,
        partition: int,
        rows: Sequence[tuple[str, TypeRow]] | Sequence[tuple[str, TypeRow | None]],
        now_us: int,
        sent_at: float,
        shift_us: int,
        *,
        with_timers: bool = False,
    ) -> None:
        """Pass rows that were read to the index, the reaper and the census.

        Args:
            now_us: the store's clock in the reply.
            shift_us: the time by which the rows' times are ahead of that clock.
            with_timers: if True, a type with a due timer counts as ready.
        """
        # The partition may have gone to another node during the call.
        if not rows or not self._ownership.serves(partition):
            return
        self._rows_since_pause += len(rows)
        heads: list[tuple[str, int | None]] = []
        is_owned = self._ownership.owns(partition)
        own_us = now_us + shift_us
        offset_s = self._loop.time() - own_us / 1e6
        for name, row in rows:
            ready_us, timer_us = (row.ready_us, row.timer_us) if row else (None, None)
            if timer_us is not None:
                if self._reaper is not None and is_owned:
                    self._reaper.note_at(partition, name, timer_us / 1e6 + offset_s)
                # A dequeue runs due timers itself, so a type with one may have a ready job.
                if self._reaper is None or (with_timers and timer_us <= own_us):
                    ready_us = timer_us if ready_us is None else min(timer_us, ready_us)
            # Rows have the partition's time, and the index compares with the store's clock.
            heads.append((name, None if ready_us is None else ready_us - shift_us))
            if row is not None and row.changed:
                self.on_parked(partition, name, row.changed)
            if is_owned:
                self._census.put(partition, name, row if row and row.has_jobs else None)
        self._index.read(partition, now_us, heads, sent_at)
